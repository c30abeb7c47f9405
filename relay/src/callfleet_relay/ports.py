"""Free relay ports: constant time, and the port freed longest ago is the next to be used."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from random import Random, SystemRandom

MAX_PAIRS_TRIED = 256
"""Even ports looked at for one whose odd neighbour is free too."""


class RelayPorts:
    """Ports of a range that no allocation holds.

    They are handed out in an order that cannot be guessed (RFC 6056) and used again as late as
    possible, so that an old peer's datagrams do not reach a new client.
    """

    def __init__(self, first: int, last: int, random: Random | None = None) -> None:
        """Both ends belong to the range. `random` is for tests that are to be repeated."""
        self._free = (OrderedDict[int, None](), OrderedDict[int, None]())
        ports = list(range(first, last + 1))
        (random or SystemRandom()).shuffle(ports)
        for port in ports:
            self.give_back(port)

    def __len__(self) -> int:
        return len(self._free[0]) + len(self._free[1])

    def take(self, *, even: bool) -> int | None:
        """A free port, or None; an odd one as long as there is any and `even` is not asked for."""
        for pool in self._free[:1] if even else reversed(self._free):
            if pool:
                return pool.popitem(last=False)[0]
        return None

    def take_pair(self) -> int | None:
        """An even port whose next one is free too, or None; both are taken."""
        evens, odds = self._free
        for port in islice(evens, MAX_PAIRS_TRIED):
            if port + 1 in odds:
                del evens[port], odds[port + 1]
                return port
        return None

    def give_back(self, port: int) -> None:
        """Hand back a port that was taken."""
        self._free[port % 2][port] = None
