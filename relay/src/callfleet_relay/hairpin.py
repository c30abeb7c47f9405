"""Relayed addresses of this relay as peers of its own clients: denied unless hairpin is allowed.

Other programs may have sockets on the same host, on ports of the same range. So what counts is not
the range but which ports are relayed at this moment, and a channel that led to a port before it
was relayed ends when it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from callfleet_relay.message import Address


class RelayedPeers:
    """Which addresses are relayed ones, and which channels lead to where one may come to be."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        """`hosts`: of the relayed addresses; none where hairpin is allowed."""
        self._hosts = frozenset(hosts)
        self._ports: set[int] = set()
        self._bound: dict[Address, set[int]] = {}
        self._peers: dict[int, set[Address]] = {}

    def __contains__(self, peer: Address) -> bool:
        return peer[1] in self._ports and peer[0] in self._hosts

    def bound(self, session: int, peer: Address) -> None:
        """A session has a channel to this peer."""
        if peer[0] in self._hosts:
            self._bound.setdefault(peer, set()).add(session)
            self._peers.setdefault(session, set()).add(peer)

    def opened(self, port: int) -> list[tuple[int, Address]]:
        """A port is relayed from now on; sessions and peers of channels that led to it."""
        if self._hosts:
            self._ports.add(port)
        found = []
        for host in self._hosts:
            peer = (host, port)
            for session in self._bound.pop(peer, ()):
                self._forget(session, peer)
                found.append((session, peer))
        return found

    def closed(self, session: int, port: int) -> None:
        """A session has ended, and its port is relayed no longer."""
        self._ports.discard(port)
        for peer in self._peers.pop(session, ()):
            sessions = self._bound[peer]
            sessions.discard(session)
            if not sessions:
                del self._bound[peer]

    def _forget(self, session: int, peer: Address) -> None:
        peers = self._peers[session]
        peers.discard(peer)
        if not peers:
            del self._peers[session]
