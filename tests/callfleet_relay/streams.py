"""TURN clients on a loop, over TCP, TLS and UDP, for relays of this process and of others."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from aioice.stun import Method

from callfleet_relay.message import Address, Attribute, Message, pack_address, parse

from .support import (
    UDP,
    Client,
    Credential,
    attribute,
    channel_number,
    error_of,
    make_world,
    real_credential,
)

REPLY_SECONDS = 20.0
CHANNEL = 0x4000


class LoopClient(Client):
    """Like `Client`, with a network in place of a world."""

    def __init__(self, transport: asyncio.BaseTransport, credential: Credential | None) -> None:
        super().__init__(
            make_world(),
            transport.get_extra_info("sockname")[:2],
            credential=credential or real_credential(),
        )

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    async def frame(self) -> bytes:
        """The next STUN message or ChannelData, without padding."""
        raise NotImplementedError

    async def exchange(self, data: bytes) -> Message:
        """The reply to a request; ChannelData that comes before is passed over."""
        self.write(data)
        while (reply := await self.frame())[0] & 0xC0:
            pass
        return parse(reply)

    async def request(self, method: int, *attributes: tuple[int, bytes]) -> Message:
        """A request, after a challenge where there is one."""
        if self.nonce is None:
            challenge = await self.exchange(self.build(method, attributes))
            assert error_of(challenge) == 401
            self.nonce = challenge.first(Attribute.NONCE)
        return await self.exchange(self.build(method, attributes))

    async def open(self) -> Message:
        """An allocation."""
        return await self.request(Method.ALLOCATE, UDP)

    async def bind_channel(self, peer: Address, number: int = CHANNEL) -> Message:
        """A channel to `peer`."""
        transaction_id = self.transaction_id()
        value = attribute(Attribute.XOR_PEER_ADDRESS, pack_address(peer, transaction_id))
        request = self.build(
            Method.CHANNEL_BIND, [channel_number(number), value], transaction_id=transaction_id
        )
        return await self.exchange(request)

    def send_data(self, payload: bytes, number: int = CHANNEL) -> None:
        """ChannelData."""
        data = number.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + payload
        self.write(data + bytes(-len(payload) % 4))


class DatagramClient(LoopClient, asyncio.DatagramProtocol):
    """Over UDP; nothing is sent twice."""

    def __init__(self, transport: asyncio.DatagramTransport, credential: Credential | None) -> None:
        super().__init__(transport, credential)
        self.transport = transport
        self.came: asyncio.Queue[bytes] = asyncio.Queue()
        transport.set_protocol(self)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's
        self.came.put_nowait(data)

    def write(self, data: bytes) -> None:
        self.transport.sendto(data)

    async def frame(self) -> bytes:
        async with asyncio.timeout(REPLY_SECONDS):
            return await self.came.get()


@asynccontextmanager
async def over_udp(
    address: Address, credential: Credential | None = None
) -> AsyncIterator[DatagramClient]:
    """A client of the relay at `address`."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, remote_addr=address
    )
    try:
        yield DatagramClient(transport, credential)
    finally:
        transport.close()


class StreamClient(LoopClient):
    """Over TCP or TLS."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        credential: Credential | None = None,
    ) -> None:
        self.reader, self.writer = reader, writer
        super().__init__(writer.transport, credential)

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def frame(self) -> bytes:
        async with asyncio.timeout(REPLY_SECONDS):
            head = await self.reader.readexactly(4)
            length = int.from_bytes(head[2:], "big")
            if head[0] & 0xC0:
                body = await self.reader.readexactly(length + -length % 4)
                return head + body[:length]
            return head + await self.reader.readexactly(length + 16)

    def stop_reading(self) -> None:
        """Leave what comes in the kernel's buffers."""
        self._socket_transport.pause_reading()

    def read_again(self) -> None:
        """Take what has come."""
        self._socket_transport.resume_reading()

    @property
    def _socket_transport(self) -> asyncio.ReadTransport:
        transport = self.writer.transport
        # asyncio's TLS transport goes on reading into a buffer of its own while it is paused.
        tls = getattr(transport, "_ssl_protocol", None)
        return cast("asyncio.ReadTransport", tls._transport if tls else transport)

    async def ended(self) -> None:
        """Until the relay has closed the connection."""
        async with asyncio.timeout(REPLY_SECONDS):
            try:
                while await self.reader.read(1 << 16):
                    pass
            except ConnectionError:
                return


@asynccontextmanager
async def connected(
    address: Address,
    *,
    context: ssl.SSLContext | None = None,
    first: bytes = b"",
    receive_buffer: int = 0,
    credential: Credential | None = None,
) -> AsyncIterator[StreamClient]:
    """A client of the relay at `address`; `first` is sent before all else, TLS included."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setblocking(False)
    if receive_buffer:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    loop = asyncio.get_running_loop()
    await asyncio.wait_for(loop.sock_connect(bound, address), REPLY_SECONDS)
    await loop.sock_sendall(bound, first)
    async with asyncio.timeout(REPLY_SECONDS):
        reader, writer = await asyncio.open_connection(
            sock=bound,
            ssl=context,
            server_hostname="localhost" if context else None,
            limit=1 << 14,
        )
    try:
        yield StreamClient(reader, writer, credential)
    finally:
        if not writer.is_closing():
            writer.transport.abort()


class EchoPeer(asyncio.DatagramProtocol):
    """Sends back what it gets."""

    address: Address
    _transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # In Python 3.11 the loop's own class is no subclass of it.
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self._transport.sendto(data, addr)

    def send(self, data: bytes, address: Address) -> None:
        """To a relayed address."""
        self._transport.sendto(data, address)


@asynccontextmanager
async def echo_peer(host: str = "127.0.0.1") -> AsyncIterator[EchoPeer]:
    loop = asyncio.get_running_loop()
    transport, peer = await loop.create_datagram_endpoint(EchoPeer, local_addr=(host, 0))
    try:
        yield peer
    finally:
        transport.close()
