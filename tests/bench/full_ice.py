"""The client's end of ICE for benches: aioice's full agent on a socket of its own."""

from __future__ import annotations

from collections.abc import Callable

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol
from aioice.utils import random_string

from callfleet_engine.media.udp import UdpTransport


class _Protocol(StunProtocol):
    receiver: FullConnection

    def datagram_received(self, data: bytes | str, addr: tuple[object, ...]) -> None:
        if not isinstance(data, bytes) or not data:
            return
        if data[0] > 3:
            self.receiver.data_received(data, 1)
        else:
            super().datagram_received(data, addr)


class FullConnection(Connection):
    """One host candidate; DTLS and media go past the STUN parser and the queue."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__(
            ice_controlling=False,
            local_username=random_string(8),
            local_password=random_string(24),
        )
        self._address = address
        self.media_received: Callable[[bytes], bool] = lambda _: False
        self.told_end: Callable[[], None] = lambda: None
        self._early: list[bytes] = []
        self._dtls_received: Callable[[bytes], None] = self._early.append

    async def gather_candidates(self) -> None:
        if self._local_candidates_start:
            return
        self._local_candidates_start = True
        protocol = _Protocol(self)
        host, port = UdpTransport.bind(self._address, protocol).address
        protocol.local_candidate = Candidate(
            foundation=candidate_foundation("host", "udp", host),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "host"),
            host=host,
            port=port,
            type="host",
        )
        self._protocols.append(protocol)
        self._local_candidates.append(protocol.local_candidate)
        self._local_candidates_end = True

    def data_received(self, data: bytes, component: int) -> None:  # noqa: ARG002 (aioice's)
        if 127 < data[0] < 192:
            self.media_received(data)
        else:
            self._dtls_received(data)

    def take_dtls(self, received: Callable[[bytes], None]) -> None:
        """Give `received` the DTLS datagrams that have come, and each one that comes."""
        self._dtls_received = received
        for data in self._early:
            received(data)

    async def close(self) -> None:
        await super().close()
        self.told_end()

    def send_now(self, data: bytes | memoryview) -> bool:
        """Send on the selected pair without awaiting; False if there is none."""
        pair = self._nominated.get(1)
        if pair is None:
            return False
        pair.protocol.transport.sendto(data, pair.remote_addr)
        return True
