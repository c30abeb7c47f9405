"""One of a participant's two peer connections: its attempt to connect, its life and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiortc import RTCCertificate

from callfleet_engine.media.description import MAX_CANDIDATES, Address
from callfleet_engine.media.dtls_seams import Datagram
from callfleet_engine.media.ice_lite import LiteConnection
from callfleet_engine.media.interface import FailureCause, LossCause, Path, PeerConnection
from callfleet_engine.media.port import MediaPort
from callfleet_engine.media.seams import ForwardingPeerConnection

CLOSE_SECONDS = 5.0


class LinkEvents(Protocol):
    """What a link tells its session."""

    def link_connected(self, link: Link, path: Path, seconds: float) -> None:
        """Media can flow."""

    def link_active(self) -> None:
        """Something has come that the next tick is to look at."""

    def link_moved(self, link: Link) -> None:
        """Media goes to another address of the client from now on."""

    def link_failed(self, link: Link, cause: FailureCause) -> None:
        """It never connected."""

    def link_lost(self, cause: LossCause) -> None:
        """It was connected and is no more."""


class Link:
    """A peer connection with its candidates and the timer of its attempt."""

    def __init__(
        self,
        name: PeerConnection,
        events: LinkEvents,
        *,
        port: MediaPort,
        certificate: RTCCertificate,
        attempt_seconds: float,
        on_rtp: Datagram,
        on_rtcp: Datagram,
    ) -> None:
        self.name = name
        self.connected = False
        self.connection = LiteConnection(port)
        self.connection.moved = self._moved
        self.pc = ForwardingPeerConnection(
            connection=self.connection,
            certificate=certificate,
            on_rtp=on_rtp,
            on_rtcp=on_rtcp,
            on_state=self._state_changed,
            on_keys=port.keys_for(self.connection),
        )
        self.send_rtp: Callable[[bytes], bool] = self.pc.dtls.send_rtp
        self.send_rtcp: Callable[[bytes], bool] = self.pc.dtls.send_rtcp
        self._events = events
        self._ended = False
        self._candidates: dict[Address, str] = {}
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._timer = self._loop.call_later(attempt_seconds, self._fail, "timeout")

    def add_candidate(self, address: Address, candidate_type: str) -> None:
        """Remember where the client says it can be reached, to tell the path by."""
        if len(self._candidates) < MAX_CANDIDATES:
            self._candidates[address] = candidate_type

    def active(self) -> None:
        """Something has come without its callbacks."""
        self._events.link_active()

    def _path(self) -> Path:
        address = self.connection.remote_address
        known = self._candidates.get(address) if address is not None else None
        if known is not None:
            return "relayed" if known == "relay" else "direct"
        # An address that no candidate names: relayed if the client has relays only.
        types = set(self._candidates.values())
        return "relayed" if types == {"relay"} else "direct"

    def _moved(self) -> None:
        if self.connected:
            self._events.link_moved(self)

    def _state_changed(self) -> None:
        if self._ended:
            return
        dtls, ice = self.pc.dtls.state, self.pc.ice.state
        if self.connected:
            if dtls in {"closed", "failed"} or ice in {"closed", "failed"}:
                self._end()
                self._events.link_lost("consent" if self.connection.ended else "dtls_closed")
        elif dtls == "connected":
            self.connected = True
            self._timer.cancel()
            self._events.link_connected(self, self._path(), self._loop.time() - self._started)
        elif ice == "failed":
            self._fail("ice")
        elif dtls in {"closed", "failed"}:
            self._fail("dtls")

    def _fail(self, cause: FailureCause) -> None:
        if not self._ended:
            self._end()
            self._events.link_failed(self, cause)

    def _end(self) -> None:
        self._ended = True
        self._timer.cancel()

    async def close(self) -> None:
        """Close without events. Raises TimeoutError if aiortc does not end in time."""
        self._end()
        await asyncio.wait_for(self.pc.close(), CLOSE_SECONDS)
