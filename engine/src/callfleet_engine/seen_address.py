"""The address at which a STUN server sees this host: where a node's address is translated one to
one, clients reach the media port there (RFC 8489 section 3)."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
from dataclasses import dataclass

from aioice import stun

from callfleet_engine.media.advertised import Advertised

logger = logging.getLogger(__name__)

RETRANSMIT_SECONDS = (0.5, 1.0, 2.0)
"""How long each request is waited for (RFC 8489 section 6.2.1)."""
RESOLVE_SECONDS = 5.0
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 30.0
AGAIN_SECONDS = 300.0
"""The address of a node may change while calls go on."""
_MAX_ANSWER = 2048
_SERVER = re.compile(r"stun:(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class StunServer:
    """Whom to ask."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> StunServer:
        """Read stun:HOST:PORT. Raises ValueError."""
        found = _SERVER.fullmatch(text)
        if found is None or not 1 <= int(found[2]) <= 65535:
            raise ValueError(f"{text!r} is no STUN server; write stun:HOST:PORT")
        return cls(found[1].strip("[]"), int(found[2]))

    def __str__(self) -> str:
        return (
            f"stun:[{self.host}]:{self.port}"
            if ":" in self.host
            else f"stun:{self.host}:{self.port}"
        )


class NoGoodAnswer(Exception):  # noqa: N818 - what came, or that nothing did
    """The server did not answer, or with nothing that clients could be told."""


class SeenAddress:
    """What the server said last."""

    def __init__(self, server: StunServer, local: str) -> None:
        """`local` is this host's address to ask from."""
        self._server = server
        self._local = local
        self.address: Advertised | None = None
        self.problem = f"{server} has not answered yet"
        """Why there is no address."""

    async def follow(self) -> None:
        """Ask until there is an answer, and then now and again. Never ends.

        An address stays until another one is told: running calls need one.
        """
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                found = await ask(self._server, self._local)
            except (OSError, NoGoodAnswer) as error:
                problem = f"{self._server}: {error}"
                if problem != self.problem:
                    self.problem = problem
                    logger.warning("external address not known: %s", problem)
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_SECONDS)
            else:
                self.address = Advertised(found, str(self._server))
                self.problem = ""
                wait = FIRST_WAIT_SECONDS
                await asyncio.sleep(AGAIN_SECONDS)


async def ask(server: StunServer, local: str) -> str:
    """The address from which `server` sees what is sent from `local`.

    Raises OSError, NoGoodAnswer.
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await loop.getaddrinfo(
                server.host, server.port, family=family, type=socket.SOCK_DGRAM
            )
    except TimeoutError as error:
        raise NoGoodAnswer("its name could not be resolved in time") from error
    request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
        bound.bind((local, 0))
        # Connected: nothing is received from anybody else.
        bound.connect(found[0][4])
        for seconds in RETRANSMIT_SECONDS:
            await loop.sock_sendall(bound, bytes(request))
            try:
                async with asyncio.timeout(seconds):
                    answer = await loop.sock_recv(bound, _MAX_ANSWER)
            except TimeoutError:
                continue
            return seen(answer, request.transaction_id, local)
    raise NoGoodAnswer("no answer")


def seen(answer: bytes, transaction_id: bytes, local: str) -> str:
    """The address that a Binding response tells, if clients can be told it. Raises NoGoodAnswer."""
    try:
        message = stun.parse_message(answer)
    except ValueError as error:
        raise NoGoodAnswer(f"the answer is no STUN message: {error}") from error
    if message.transaction_id != transaction_id or message.message_class is not stun.Class.RESPONSE:
        raise NoGoodAnswer("the answer is no success response to the request")
    mapped = message.attributes.get("XOR-MAPPED-ADDRESS")
    if mapped is None:
        raise NoGoodAnswer("the answer has no XOR-MAPPED-ADDRESS")
    address, own = ipaddress.ip_address(mapped[0]), ipaddress.ip_address(local)
    if address.version != own.version:
        raise NoGoodAnswer(f"the answer tells {address}, which is of another family")
    if (
        address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or (address.is_loopback and not own.is_loopback)
    ):
        raise NoGoodAnswer(f"the answer tells {address}, which reaches nobody from outside")
    return str(address)
