"""The host part of relayed addresses as clients and their peers see it, and where it is from.

It is given, or the address of the pod's host, or what a STUN server sees (RFC 8489 section 3).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from aioice.stun import Class, Method

from callfleet_relay.message import (
    Address,
    Attribute,
    MalformedMessageError,
    encode,
    parse,
    unpack_address,
)
from callfleet_relay.settings import Settings, StunServer, read_external

logger = logging.getLogger(__name__)

ROUNDS = 6
"""Attempts to learn the address, each after a longer wait: a minute in all."""
FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 16.0
RETRANSMIT_SECONDS = (0.5, 1.0, 2.0)
"""How long each of a round's requests is waited for (RFC 8489 section 6.2.1)."""
RESOLVE_SECONDS = 5.0
AGAIN_SECONDS = 300.0
_MAX_ANSWER = 2048


class AddressUnknownError(Exception):
    """The address could not be learned; the message names the flag and the remedy."""


class BadAnswerError(ValueError):
    """What came is no answer that can be believed."""


@dataclass(frozen=True, slots=True)
class Advertised:
    """An address that clients and peers are told, and why it is that one."""

    address: str
    source: str

    def as_dict(self) -> dict[str, str]:
        """As the contracts have it."""
        return {"address": self.address, "source": self.source}


def fixed_address(settings: Settings, local: IPv4Address | IPv6Address) -> Advertised | None:
    """What stands for a relay address as far as the settings alone tell it.

    None where a STUN server is to be asked.
    """
    external = settings.external(local.version)
    if external is None:
        return Advertised(str(local), "--relay-address")
    if isinstance(external, StunServer):
        return None
    if external == "host":
        host = settings.host(local.version)
        return Advertised(str(host), "--external-address host, --host-address")
    return Advertised(str(external), "--external-address")


async def find_addresses(settings: Settings) -> tuple[Advertised, ...]:
    """What stands for each relay address. Raises `AddressUnknownError`."""
    return tuple([await find_address(settings, local) for local in settings.relay_address])


async def find_address(settings: Settings, local: IPv4Address | IPv6Address) -> Advertised:
    """What stands for a relay address, asking a STUN server where the settings name one.

    Raises `AddressUnknownError` when there was no good answer after `ROUNDS` attempts.
    """
    fixed = fixed_address(settings, local)
    if fixed is not None:
        return fixed
    server = settings.external(local.version)
    assert isinstance(server, StunServer)  # noqa: S101 - else it is fixed
    reason = ""
    for wait in _waits():
        try:
            address = await ask(server, local)
        except (OSError, BadAnswerError) as error:
            reason = str(error) or "no answer"
        else:
            return Advertised(address, f"--external-address {server}")
        logger.warning("external address not known yet: %s", reason, extra={"server": str(server)})
        await asyncio.sleep(wait)
    raise AddressUnknownError(
        f"--external-address {server}: {reason}: name a STUN server that answers to "
        f"{local}, or the address itself"
    )


class PublicAddress:
    """Where clients reach the listeners, as a STUN server sees this host: for whoever hands the
    relay out. Relayed addresses do not depend on it."""

    def __init__(self, server: StunServer, local: IPv4Address | IPv6Address) -> None:
        self._server = server
        self._local = local
        self._address = ""
        self._problem = "no answer yet"

    async def follow(self) -> None:
        """Ask until there is an answer, and then now and again. Never ends.

        An address stays until another one is told.
        """
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                self._address = await ask(self._server, self._local)
            except (OSError, BadAnswerError) as error:
                problem = str(error) or "no answer"
                if problem != self._problem:
                    logger.warning(
                        "public address not known: %s", problem, extra={"server": str(self._server)}
                    )
                self._problem = problem
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
            else:
                self._problem = ""
                wait = FIRST_WAIT_SECONDS
                await asyncio.sleep(AGAIN_SECONDS)

    def as_dict(self) -> dict[str, str]:
        """As the contracts have it."""
        return {
            "address": self._address,
            "source": str(self._server),
            "problem": self._problem,
        }


def public_address(settings: Settings) -> PublicAddress | None:
    """What is to be followed, if the settings name a server."""
    if not settings.public_address_from:
        return None
    server = read_external(settings.public_address_from)
    assert isinstance(server, StunServer)  # noqa: S101 - the settings take nothing else
    return PublicAddress(server, settings.relay_address[0])


def _waits() -> Iterator[float]:
    """Seconds to wait after each attempt; none after the last."""
    wait = FIRST_WAIT_SECONDS
    for _ in range(ROUNDS - 1):
        yield wait
        wait = min(2 * wait, LONGEST_WAIT_SECONDS)
    yield 0.0


async def ask(server: StunServer, local: IPv4Address | IPv6Address) -> str:
    """The address from which `server` sees what is sent from `local`.

    Raises OSError (TimeoutError among them), `BadAnswerError`.
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if local.version == 6 else socket.AF_INET
    async with asyncio.timeout(RESOLVE_SECONDS):
        found = await loop.getaddrinfo(
            server.host, server.port, family=family, type=socket.SOCK_DGRAM
        )
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
        bound.bind((str(local), 0))
        # Connected: nothing is received from anybody else.
        bound.connect(found[0][4])
        transaction_id = secrets.token_bytes(12)
        request = encode(Method.BINDING, Class.REQUEST, transaction_id, [], fingerprint=True)
        for seconds in RETRANSMIT_SECONDS:
            await loop.sock_sendall(bound, request)
            try:
                async with asyncio.timeout(seconds):
                    answer = await loop.sock_recv(bound, _MAX_ANSWER)
            except TimeoutError:
                continue
            return mapped_address(answer, transaction_id, local)
    raise TimeoutError("no answer")


def mapped_address(answer: bytes, transaction_id: bytes, local: IPv4Address | IPv6Address) -> str:
    """The address that a Binding response tells, if it can be that of `local` seen from outside.

    Raises `BadAnswerError`.
    """
    try:
        message = parse(answer)
    except MalformedMessageError as error:
        raise BadAnswerError(f"the answer is no STUN message: {error}") from error
    if message.transaction_id != transaction_id:
        raise BadAnswerError("the answer is to another request")
    if message.method != Method.BINDING or message.message_class is not Class.RESPONSE:
        raise BadAnswerError("the answer is no success response to a Binding request")
    value = message.first(Attribute.XOR_MAPPED_ADDRESS)
    if value is None:
        raise BadAnswerError("the answer has no XOR-MAPPED-ADDRESS")
    try:
        mapped: Address = unpack_address(value, transaction_id)
    except ValueError as error:
        raise BadAnswerError(f"the answer's XOR-MAPPED-ADDRESS: {error}") from error
    address = ip_address(mapped[0])
    if address.version != local.version:
        raise BadAnswerError(f"the answer tells {address}, which is of another family")
    if (
        address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or (address.is_loopback and not local.is_loopback)
    ):
        raise BadAnswerError(f"the answer tells {address}, which reaches nobody from outside")
    return str(address)
