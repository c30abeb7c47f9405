"""Free relay ports: constant time, and the port freed longest ago is the next to be used."""

from __future__ import annotations

from collections import deque
from random import SystemRandom


class RelayPorts:
    """Ports of a range that no allocation holds.

    They are handed out in an order that cannot be guessed (RFC 6056) and used again as late as
    possible, so that an old peer's datagrams do not reach a new client.
    """

    def __init__(self, first: int, last: int) -> None:
        """Both ends belong to the range."""
        self._free = (deque[int](), deque[int]())
        ports = list(range(first, last + 1))
        SystemRandom().shuffle(ports)
        for port in ports:
            self._free[port % 2].append(port)

    def __len__(self) -> int:
        return len(self._free[0]) + len(self._free[1])

    def take(self, *, even: bool) -> int | None:
        """A free port, or None; an odd one as long as there is any and `even` is not asked for."""
        for pool in self._free[:1] if even else reversed(self._free):
            if pool:
                return pool.popleft()
        return None

    def give_back(self, port: int) -> None:
        """Hand back a port that was taken."""
        self._free[port % 2].append(port)
