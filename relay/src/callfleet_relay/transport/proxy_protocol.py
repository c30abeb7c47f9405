"""The header by which a load balancer says who the client is: PROXY protocol, version 2.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2. It stands before
everything else on a connection, TLS included. The reader never takes a byte more than the header
has, so that what follows stays in the socket for whom it belongs to.
"""

from __future__ import annotations

import socket
import struct

from callfleet_relay.message import Address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MAX_LENGTH = 2048
"""Bytes of addresses and extensions; the longest that load balancers send have some hundred."""

_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_COMMANDS = (_LOCAL, _PROXY)
"""Of version 2."""
_UNSPECIFIED = 0x00
_ADDRESSES = {
    0x11: (socket.AF_INET, struct.Struct("!4s4sHH")),
    0x21: (socket.AF_INET6, struct.Struct("!16s16sHH")),
}
"""Of TCP over IPv4 and over IPv6: source, destination, source port, destination port."""


class ProxyHeaderError(ValueError):
    """What stands there is no header of version 2 for TCP."""


class ProxyHeaderReader:
    """Takes one header piece by piece: read at most `wanted` bytes, `feed` them, go on until
    `is_complete`."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._wanted = _FIXED.size
        self.is_complete = False
        self.client: Address | None = None
        """Who the client is; None where the connection is the load balancer's own, as a health
        check's is, or where it does not say."""

    @property
    def wanted(self) -> int:
        """Bytes still to be read."""
        return self._wanted - len(self._data)

    def feed(self, data: bytes) -> None:
        """Take at most `wanted` bytes. Raises `ProxyHeaderError`."""
        self._data += data
        if not SIGNATURE.startswith(self._data[: len(SIGNATURE)]):
            raise ProxyHeaderError("the connection does not begin with a PROXY protocol header")
        if self._wanted == _FIXED.size == len(self._data):
            self._wanted += self._length_of_rest()
        if not self.wanted:
            self.client = self._read_client()
            self.is_complete = True

    def _length_of_rest(self) -> int:
        _, command, _, length = _FIXED.unpack_from(self._data)
        if command not in _COMMANDS:
            raise ProxyHeaderError(f"version and command {command:#04x} are unknown")
        if length > MAX_LENGTH:
            raise ProxyHeaderError(f"a header of {length} bytes, {MAX_LENGTH} are allowed")
        return int(length)

    def _read_client(self) -> Address | None:
        _, command, family, length = _FIXED.unpack_from(self._data)
        if command == _LOCAL or family == _UNSPECIFIED:
            return None
        if family not in _ADDRESSES:
            raise ProxyHeaderError(f"address family and protocol {family:#04x} are not TCP's")
        kind, addresses = _ADDRESSES[family]
        if length < addresses.size:
            raise ProxyHeaderError(f"{length} bytes are too few for two addresses")
        source, _, port, _ = addresses.unpack_from(self._data, _FIXED.size)
        return socket.inet_ntop(kind, source), int(port)
