"""Settings of one relay. Each field is the flag of its name."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from callfleet_relay.message import Address
from callfleet_relay.peers import PUBLIC

_ADDRESS = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<four>[^:\[\]]+)):(?P<port>[0-9]{1,5})")


def parse_address(text: str) -> Address:
    """`HOST:PORT` with an IP address as host, IPv6 in brackets. Raises ValueError."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no address: write IP:PORT, for IPv6 [IP]:PORT")
    port = int(match["port"])
    if port > 65535:
        raise ValueError(f"port {port} is above 65535")
    try:
        host = ip_address(match["six"] or match["four"])
    except ValueError:
        raise ValueError(f"{text!r} names no IP address: host names are not resolved") from None
    if (host.version == 6) != (match["six"] is not None):
        raise ValueError(f"{text!r}: write IPv6 addresses, and only those, in brackets")
    return str(host), port


def format_address(address: Address) -> str:
    """The reverse of `parse_address`."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Listener:
    """Where clients come."""

    transport: str
    """udp, tcp or tls."""
    address: Address

    def __str__(self) -> str:
        return f"{self.transport}://{format_address(self.address)}"


def _listener(text: str) -> Listener:
    transport, separator, address = text.partition("://")
    if not separator or transport not in {"udp", "tcp", "tls"}:
        raise ValueError(
            f"{text!r} is no listener: write udp://IP:PORT, tcp://IP:PORT or tls://IP:PORT"
        )
    return Listener(transport, parse_address(address))


@dataclass(frozen=True, slots=True)
class StunServer:
    """A server that tells who asks how it is seen."""

    host: str
    """IP address or name."""
    port: int

    def __str__(self) -> str:
        return f"stun:{format_address((self.host, self.port))}"


External = IPv4Address | IPv6Address | StunServer | Literal["host"]

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


def _external(text: str) -> str:
    read_external(text)
    return text


def _stun_server(text: str) -> str:
    if text and not isinstance(read_external(text), StunServer):
        raise ValueError(f"{text!r} is no STUN server: write stun:HOST:PORT")
    return text


def read_external(text: str) -> External:
    """`IP`, `host`, or `stun:HOST:PORT`. Raises ValueError."""
    if text == "host":
        return "host"
    if not text.startswith("stun:"):
        try:
            return _one_host(ip_address(text))
        except ValueError as error:
            raise ValueError(
                f"{error}: write the IP address that reaches --relay-address, 'host' for "
                "--host-address, or stun:HOST:PORT"
            ) from None
    server = text.removeprefix("stun:")
    host, separator, port = server.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    try:
        named = str(ip_address(bare))
    except ValueError:
        named = host if _HOST_NAME.fullmatch(host) else ""
    if not separator or not named or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is no STUN server: write stun:HOST:PORT")
    return StunServer(named, int(port))


def _one_host(value: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if value.is_unspecified or value.is_multicast:
        raise ValueError(f"{value} is not the address of one host: name the one peers see")
    return value


def _host(text: object) -> IPv4Address | IPv6Address:
    try:
        return ip_address(str(text))
    except ValueError:
        raise ValueError(
            f"{str(text)!r} is no IP address: name one of this machine; host names are not resolved"
        ) from None


def _host_addresses(text: str) -> str:
    """The downward API's status.hostIPs has a comma between both."""
    for part in filter(None, text.split(",")):
        _one_host(ip_address(part))
    return text


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"{error}: write a CIDR such as 10.0.0.0/8") from None


def _several(given: object) -> object:
    """One value stands for a list of one."""
    return given if given is None or isinstance(given, list | tuple) else (given,)


def _listener_text(text: str) -> str:
    _listener(text)
    return text


def _http_address(text: str) -> str:
    parse_address(text)
    return text


def _peer_range(text: str) -> str:
    if text == PUBLIC:
        return text
    try:
        return _network(text)
    except ValueError as error:
        raise ValueError(f"{error}, or {PUBLIC!r}") from None


class Settings(BaseModel):
    """Checked settings; see `callfleet-relay --help` for what each does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: tuple[Annotated[str, AfterValidator(_listener_text)], ...] = Field(
        default=("udp://127.0.0.1:3478",), min_length=1, max_length=16
    )
    cert: Path | None = None
    key: Path | None = None
    proxy_protocol_from: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        default=(), max_length=64
    )
    max_connections: int = Field(default=4000, ge=1, le=60_000)
    max_connections_per_address: int = Field(default=256, ge=1, le=60_000)
    idle_limit: int = Field(default=30, ge=1, le=3600)
    relay_address: Annotated[
        tuple[
            Annotated[IPv4Address | IPv6Address, BeforeValidator(_host), AfterValidator(_one_host)],
            ...,
        ],
        BeforeValidator(_several),
    ] = Field(min_length=1, max_length=2)
    external_address: Annotated[
        tuple[Annotated[str, AfterValidator(_external)], ...], BeforeValidator(_several)
    ] = Field(default=(), max_length=2)
    public_address_from: Annotated[str, AfterValidator(_stun_server)] = ""
    host_address: Annotated[str, AfterValidator(_host_addresses)] = ""
    relay_ports: str = "49152-65535"
    realm: str = Field(default="callfleet", min_length=1, max_length=127)
    secret_file: Path | None = None
    user_file: Path | None = None
    limits_file: Path | None = None
    allow_peer: tuple[Annotated[str, AfterValidator(_peer_range)], ...] = Field(
        default=(), max_length=1024
    )
    peers_from_admin: bool = False
    allow_hairpin: bool = False
    max_allocations: int = Field(default=2000, ge=1, le=60_000)
    max_allocations_per_user: int = Field(default=10, ge=1, le=60_000)
    max_credential_lifetime: int = Field(default=86_400, ge=60, le=31 * 86_400)
    credential_grace: int = Field(default=60, ge=0, le=3600)
    no_tcp_relay: bool = False
    mobility: bool = False
    max_bits_per_second: int = Field(default=0, ge=0)
    max_bits_per_second_per_user: int = Field(default=0, ge=0)
    allocation_rate: int = Field(default=500, ge=0, le=1_000_000)
    reply_rate: int = Field(default=1000, ge=0, le=1_000_000)
    sustainable_packet_rate: int = Field(default=30_000, ge=1)
    termination_grace: int = Field(default=3600, ge=0, le=7 * 86_400)
    metrics: Annotated[str, AfterValidator(_http_address)] = "127.0.0.1:9090"
    admin: Annotated[str, AfterValidator(_http_address)] = "127.0.0.1:9091"
    admin_keys_file: Path | None = None
    pod_name: str = ""
    pod_uid: str = Field(default_factory=lambda: str(uuid.uuid4()), min_length=1)
    pod_address: IPv4Address | IPv6Address | None = None
    dataplane: Literal["auto", "python", "native"] = "auto"
    dataplane_threads: int = Field(default=1, ge=1, le=64)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("relay_ports")
    @classmethod
    def _ports(cls, text: str) -> str:
        match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 65535:
            raise ValueError(f"{text!r} is no range of ports: write FIRST-LAST, as 49152-65535")
        return text

    @model_validator(mode="after")
    def _knows_somebody(self) -> Self:
        if self.secret_file is None and self.user_file is None:
            raise ValueError(
                "--secret-file: without it and without --user-file nobody has credentials: give "
                "the secrets of TURN REST credentials, or a file of users"
            )
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._check_external()
        self._check_certificate()
        first, last = self.relay_port_range
        if last - first + 1 < self.max_allocations:
            raise ValueError(
                f"--relay-ports: {self.relay_ports} has fewer ports than --max-allocations "
                f"({self.max_allocations}): widen the range or lower the number"
            )
        host = ip_address(parse_address(self.admin)[0])
        if self.admin_keys_file is None and not host.is_loopback:
            raise ValueError(
                f"--admin: {self.admin} is open to others and asks for no token: give "
                "--admin-keys-file, or listen on 127.0.0.1"
            )
        return self

    def _check_external(self) -> None:
        versions = [each.version for each in self.relay_address]
        if len(set(versions)) < len(versions):
            raise ValueError(
                "--relay-address: two addresses are one of IPv4 and one of IPv6; leave one out"
            )
        external = [read_external(text) for text in self.external_address]
        fixed = [each.version for each in external if isinstance(each, IPv4Address | IPv6Address)]
        if not set(fixed) <= set(versions):
            raise ValueError(
                "--external-address: it must be of the same family as --relay-address, "
                f"{', '.join(map(str, self.relay_address))}"
            )
        if len(set(fixed)) < len(fixed) or len(external) > max(1, len(fixed) + 1):
            raise ValueError(
                "--external-address: two of them are one of IPv4 and one of IPv6, or one of these "
                "and 'host' or stun:HOST:PORT for the other family"
            )
        for version in versions:
            if self.external(version) == "host" and self.host(version) is None:
                raise ValueError(
                    f"--external-address host: --host-address has no IPv{version} address: give "
                    "it, in a pod from status.hostIPs of the downward API"
                )

    def _check_certificate(self) -> None:
        tls = [str(listener) for listener in self.listeners if listener.transport == "tls"]
        for flag, value in (("--cert", self.cert), ("--key", self.key)):
            if tls and value is None:
                raise ValueError(f"{flag}: {tls[0]} needs it: name a PEM file")
            if value is not None and not tls:
                raise ValueError(f"{flag}: no listener takes it: add --listen tls://IP:PORT")
        if self.proxy_protocol_from and not self.has_streams:
            raise ValueError(
                "--proxy-protocol-from: no listener takes it: add --listen tcp:// or tls://"
            )

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Where clients come, in the order asked for."""
        return tuple(_listener(text) for text in self.listen)

    @property
    def listen_addresses(self) -> tuple[Address, ...]:
        """Where the UDP listeners are."""
        return tuple(each.address for each in self.listeners if each.transport == "udp")

    @property
    def has_streams(self) -> bool:
        """Whether there are TCP or TLS listeners."""
        return any(listener.transport != "udp" for listener in self.listeners)

    @property
    def relay_hosts(self) -> tuple[str, ...]:
        """Where relay sockets are bound, one of each family."""
        return tuple(str(each) for each in self.relay_address)

    def external(self, version: int) -> External | None:
        """Where the advertised address of a family is from; None: the relay address itself."""
        given = [read_external(text) for text in self.external_address]
        fixed = [each for each in given if isinstance(each, IPv4Address | IPv6Address)]
        learned = [each for each in given if each not in fixed]
        return next((each for each in fixed if each.version == version), next(iter(learned), None))

    def host(self, version: int) -> IPv4Address | IPv6Address | None:
        """The host's address of a family."""
        hosts = (ip_address(part) for part in self.host_address.split(",") if part)
        return next((each for each in hosts if each.version == version), None)

    @property
    def files(self) -> int:
        """Descriptors that sessions and connections may take."""
        sockets = self.max_allocations * len(self.relay_address)
        connections = self.max_connections if self.has_streams else 0
        return sockets + connections + self.max_peer_connections

    @property
    def max_peer_connections(self) -> int:
        """TCP connections with peers, each of which a client's connection carries."""
        return self.max_connections if self.has_streams and not self.no_tcp_relay else 0

    @property
    def relay_port_range(self) -> tuple[int, int]:
        """First and last relay port."""
        first, last = self.relay_ports.split("-")
        return int(first), int(last)

    @property
    def allowed_peers(self) -> tuple[str, ...]:
        """What the peer policy opens from the start: by default the public Internet."""
        if self.allow_peer or self.peers_from_admin:
            return self.allow_peer
        return (PUBLIC,)

    def relayed_hosts(self, advertised: Iterable[str]) -> frozenset[str]:
        """Hosts of relayed addresses that are no peers: none where hairpin is allowed."""
        return frozenset() if self.allow_hairpin else frozenset(self._hosts(advertised))

    def own_addresses(self, bound: list[Address], advertised: Iterable[str]) -> list[Address]:
        """Every address that reaches one of this process's sockets, as far as is known here."""
        mine = self._hosts(advertised) | {"127.0.0.1", "::1"}
        own: list[Address] = []
        for host, port in bound:
            hosts = mine if ip_address(host).is_unspecified else {host}
            own.extend((each, port) for each in sorted(hosts))
        return own

    def _hosts(self, advertised: Iterable[str]) -> set[str]:
        mine = {*self.relay_hosts, *advertised}
        mine.update(filter(None, self.host_address.split(",")))
        if self.pod_address is not None:
            mine.add(str(self.pod_address))
        return mine


def describe(error: ValidationError) -> str:
    """What is wrong with which flag, one a line."""
    lines = []
    wrong = {detail["loc"][:1] for detail in error.errors() if detail["type"] != "too_short"}
    for detail in error.errors():
        if detail["type"] == "too_short" and detail["loc"][:1] in wrong:
            continue  # a wrong item counts as none
        message = detail["msg"].removeprefix("Value error, ")
        flag = f"--{str(detail['loc'][0]).replace('_', '-')}: " if detail["loc"] else ""
        lines.append(f"{flag}{message}")
    return "\n".join(lines)
