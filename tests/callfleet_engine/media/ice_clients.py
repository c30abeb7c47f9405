"""A client of the shared port: its checks are made by hand, and a wire keeps what it is sent."""

from __future__ import annotations

from aioice import stun

from callfleet_engine.media.ice_lite import LiteConnection
from callfleet_engine.media.native.port import NativePort
from callfleet_engine.media.port import MediaPort
from callfleet_engine.media.stun_check import Address

MEDIA, DTLS = b"\x80 media", b"\x16 dtls"


class Wire:
    """Stands where the socket is: keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []

    def sendto(self, data: bytes, address: Address) -> None:
        self.sent.append((data, address))

    def last(self) -> stun.Message:
        return stun.parse_message(self.sent[-1][0])


class Client:
    """The client's knowledge of one connection: its credentials."""

    def __init__(self, port: MediaPort, connection: LiteConnection, wire: Wire) -> None:
        self.port, self.connection, self.wire = port, connection, wire
        self.username = connection.local_username
        self.password = connection.local_password

    def check(self, source: Address, *, use: bool = False, **changes: str) -> bytes:
        message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        message.attributes = {
            "USERNAME": f"{changes.get('username', self.username)}:client",
            changes.get("role", "ICE-CONTROLLING"): 1,
        }
        if use:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(changes.get("password", self.password).encode())
        data = bytes(message)
        self.resend(data, source)
        return data

    def resend(self, data: bytes, source: Address) -> None:
        if isinstance(self.port, NativePort):
            self.port.plane.receive(0, source, data, float(self.port.sweeps))
            self.port._take()
            self._collect()
        else:
            self.port.stun_received(data, source, self.wire)  # type: ignore[arg-type] # all it uses

    def _collect(self) -> None:
        if isinstance(self.port, NativePort):
            sent = self.port.plane.take_datagrams()
            self.wire.sent += [(data, address) for _, address, data in sent]

    def media(self, source: Address, data: bytes = MEDIA) -> bool:
        """Whether the port knows whom a datagram from there is for."""
        owner = self.port.by_address.get(source)
        if owner is not None:
            owner.datagram_received(data, source)
        return owner is self.connection

    @property
    def goes_to(self) -> Address | None:
        """Where media is sent to."""
        if not self.connection.send_now(b"out"):
            return None
        self._collect()
        return self.wire.sent[-1][1]


def new_client(port: MediaPort, wire: Wire) -> Client:
    connection = LiteConnection(port)
    connection.media_received = lambda data: data == MEDIA
    if isinstance(port, NativePort):
        port.number_of(connection, publishes=True)
    return Client(port, connection, wire)


def pass_sweeps(port: MediaPort, count: int) -> None:
    for _ in range(count):
        port.sweep()
