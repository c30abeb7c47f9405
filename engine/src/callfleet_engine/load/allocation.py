"""TURN clients without a call: one user, one allocation (RFC 8656), held until let go."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from aioice import stun, turn

ALLOCATE_SECONDS = 12.0
UNREACHABLE = 701
"""What browsers report when a relay does not answer (W3C WebRTC, section 4.8.3)."""


class AllocationRefusedError(Exception):
    """The relay gave none; `code` is STUN's error code, or 701 without an answer."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Allocation:
    """A relayed address; aioice refreshes it."""

    transport: turn.TurnTransport

    async def close(self) -> None:
        """Give the address back."""
        await self.transport._close()  # noqa: SLF001 (close() leaves the request to a stray task)


async def open_allocation(server: dict[str, Any]) -> Allocation:
    """Ask the first UDP relay of an RTCIceServer for an allocation.

    Raises:
        AllocationRefusedError: it refused, did not answer, or the server has no UDP URL.
    """
    host, port = _udp_address(server["urls"])
    try:
        async with asyncio.timeout(ALLOCATE_SECONDS):
            transport, _ = await turn.create_turn_endpoint(
                asyncio.DatagramProtocol,
                server_addr=(host, port),
                username=server.get("username"),
                password=server.get("credential"),
            )
    except stun.TransactionFailed as failed:
        reason = failed.response.attributes["ERROR-CODE"]
        raise AllocationRefusedError(reason[0], reason[1]) from failed
    except (stun.TransactionTimeout, TimeoutError, OSError) as error:
        raise AllocationRefusedError(UNREACHABLE, f"{host}:{port} does not answer") from error
    return Allocation(transport)


def _udp_address(urls: list[str] | str) -> tuple[str, int]:
    for url in [urls] if isinstance(urls, str) else urls:
        scheme, _, rest = url.partition(":")
        address, _, query = rest.partition("?")
        if scheme != "turn" or query not in {"", "transport=udp"}:
            continue
        host, separator, port = address.rpartition(":")
        return (host.strip("[]"), int(port)) if separator else (address, 3478)
    raise AllocationRefusedError(UNREACHABLE, f"no turn: URL over UDP among {urls}")


def spoiled(server: dict[str, Any]) -> dict[str, Any]:
    """The same relay with a password that nobody signed."""
    return {**server, "credential": f"wrong-{random.randbytes(8).hex()}"}  # noqa: S311
