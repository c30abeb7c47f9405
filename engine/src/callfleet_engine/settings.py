"""Settings of the engine: what the command line and the environment say, checked."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from uuid import uuid4

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from callfleet_engine.limits import Limits
from callfleet_engine.media.advertised import Advertise
from callfleet_engine.seen_address import StunServer
from callfleet_engine.store.interface import InvalidDatabaseUrl
from callfleet_engine.store.settings import SqliteFile, parse_database_url
from callfleet_engine.turn.relays import Relay

_ENDPOINT = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\s\[\]]*)):(?P<port>\d{1,5})")


class InvalidSettings(Exception):  # noqa: N818 - named for what is the case
    """The configuration cannot be used; the text names the flags and what to do."""


class Endpoint(BaseModel):
    """Where to listen: HOST:PORT; port 0 takes a free one."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int = Field(ge=0, le=65_535)

    @classmethod
    def parse(cls, value: object) -> object:
        """Read HOST:PORT or [IPV6]:PORT. Raises ValueError."""
        if not isinstance(value, str):
            return value
        match = _ENDPOINT.fullmatch(value)
        if match is None or int(match["port"]) > 65_535:
            raise ValueError(f"{value!r} is not HOST:PORT; write for example 127.0.0.1:8080")
        return cls(host=match["six"] or match["host"] or "0.0.0.0", port=int(match["port"]))  # noqa: S104 - ":8080" means all addresses

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


At = Annotated[Endpoint, BeforeValidator(Endpoint.parse)]


def _split(value: object) -> object:
    """The downward API gives a pod's addresses with commas between."""
    if isinstance(value, str):
        value = (value,)
    if not isinstance(value, tuple | list):
        return value
    return tuple(part for text in value for part in str(text).split(",") if part)


Addresses = Annotated[tuple[str, ...], BeforeValidator(_split)]


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None
    if address.is_unspecified or address.is_link_local or address.is_multicast:
        raise ValueError(f"{text} is no address that clients can send to; give the one they reach")
    return address


class Settings(BaseModel):
    """Everything the engine is told at its start. A field is named like its flag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: At = Endpoint(host="127.0.0.1", port=8080)
    listen_tls: At | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    metrics: At = Endpoint(host="127.0.0.1", port=9090)
    admin: At = Endpoint(host="127.0.0.1", port=9091)
    media_address: Addresses = ("127.0.0.1",)
    media_port: int = Field(0, ge=0, le=65_535)
    external_address: Addresses = ()
    external_address_file: Path | None = None
    external_address_from: str = ""
    advertise: Advertise | None = None
    mediaplane: Literal["auto", "python", "native"] = "auto"
    open: bool = False
    keys_file: Path | None = None
    database: str = "sqlite:///calls.db"
    database_connections: int = Field(10, ge=1, le=100)
    retention_days: int = Field(30, ge=1, le=3650)
    turn: tuple[str, ...] = ()
    turn_secret_file: Path | None = None
    turn_keys_directory: Path | None = None
    turn_credential_lifetime: int = Field(43_200, ge=60, le=86_400)
    consumer: str = Field("", max_length=300)
    require_relay: bool = False
    capacity: int = Field(150, ge=1, le=10_000)
    limits_file: Path | None = None
    quality_presets: Path | None = None
    admin_keys_file: Path | None = None
    allowed_origins: tuple[str, ...] = ()
    pod_name: str = Field("callfleet-engine", min_length=1, max_length=253)
    pod_uid: str = Field(default_factory=lambda: str(uuid4()), min_length=1, max_length=64)
    pod_address: str = ""
    heartbeat_seconds: float = Field(3.0, ge=0.1, le=60)
    termination_grace: float = Field(3595.0, ge=0)
    log_level: str = "info"

    @field_validator("media_address", "external_address")
    @classmethod
    def _ip_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        families = [_ip_address(text).version for text in value]
        if len(set(families)) < len(families):
            raise ValueError(f"{', '.join(value)}: give at most one address of IPv4 and of IPv6")
        return value

    @field_validator("external_address_from")
    @classmethod
    def _a_stun_server(cls, value: str) -> str:
        return str(StunServer.of(value)) if value else ""

    @field_validator("database")
    @classmethod
    def _a_database(cls, value: str) -> str:
        try:
            parse_database_url(value)
        except InvalidDatabaseUrl as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("turn")
    @classmethod
    def _turn_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            try:
                Relay(pod=url, urls=(url,))
            except ValidationError:
                raise ValueError(
                    f"{url!r} is no TURN URL; write for example turn:192.0.2.1:3478?transport=udp"
                ) from None
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError(
                    f"{origin!r} is no origin; write for example https://calls.example.org"
                )
        return value

    @model_validator(mode="after")
    def _who_may_join(self) -> Self:
        if self.open and self.keys_file:
            raise ValueError(
                "--open and --keys-file exclude each other: leave --open out to ask for tokens"
            )
        if not self.open and not self.keys_file:
            raise ValueError(
                "--keys-file is missing: name a JWK Set (`callfleet token` makes one), or give "
                "--open to let everybody join without a token"
            )
        return self

    @model_validator(mode="after")
    def _tls_belongs_together(self) -> Self:
        given = [self.listen_tls, self.tls_cert, self.tls_key]
        if any(given) and not all(given):
            raise ValueError(
                "--listen-tls, --tls-cert and --tls-key belong together: the port, the certificate "
                "with its chain, and its key"
            )
        return self

    @model_validator(mode="after")
    def _media_is_reached(self) -> Self:
        if not self.media_address:
            raise ValueError("--media-address is empty: give an address of this host")
        bound = {_ip_address(text).version for text in self.media_address}
        for text in self.external_address:
            version = _ip_address(text).version
            if version not in bound:
                raise ValueError(
                    f"--external-address: {text} is an address of IPv{version}; give a "
                    "--media-address of the same kind too"
                )
        if self.advertise in {"external", "both"} and not self._has_external:
            raise ValueError(
                f"--advertise {self.advertise} needs --external-address, --external-address-file "
                "or --external-address-from"
            )
        return self

    @model_validator(mode="after")
    def _turn_belongs_together(self) -> Self:
        if bool(self.turn) != bool(self.turn_secret_file):
            raise ValueError(
                "--turn and --turn-secret-file belong together: the URL of a relay and the file "
                "with its secret"
            )
        if self.turn_keys_directory and not self.consumer:
            raise ValueError("--turn-keys-directory needs --consumer NAMESPACE/NAME")
        return self

    @property
    def single_pod(self) -> bool:
        """Whether the database serves one engine only."""
        return isinstance(parse_database_url(self.database), SqliteFile)

    @property
    def advertise_mode(self) -> Advertise:
        """What was asked for; without it the external address where there is to be one."""
        if self.advertise is not None:
            return self.advertise
        return "external" if self._has_external else "internal"

    @property
    def _has_external(self) -> bool:
        given = self.external_address, self.external_address_file, self.external_address_from
        return any(given)

    @property
    def fixed_limits(self) -> Limits:
        """The limits without a limits file."""
        return Limits(capacity_participants=self.capacity)


def flag(field: str) -> str:
    """The flag of a field."""
    return "--" + field.replace("_", "-")


def load(values: dict[str, object]) -> Settings:
    """Check what was given; None means not given. Raises InvalidSettings."""
    try:
        return Settings.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        raise InvalidSettings("\n".join(_explain(dict(e)) for e in error.errors())) from error


def _explain(error: dict[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    return f"{flag(str(error['loc'][0]))}: {message}"
