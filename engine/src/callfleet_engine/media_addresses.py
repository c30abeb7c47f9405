"""By which addresses clients reach the media port, from where that is known, and since when."""

from __future__ import annotations

import ipaddress
import logging
from pathlib import Path

from callfleet_engine.media.advertised import Advertised, advertised
from callfleet_engine.reloading import Reloading
from callfleet_engine.seen_address import SeenAddress, StunServer
from callfleet_engine.settings import InvalidSettings, Settings, flag

logger = logging.getLogger(__name__)

MAX_FILE_BYTES = 4096


class MediaAddresses:
    """The addresses of this moment; a change is logged with its reasons."""

    def __init__(self, settings: Settings) -> None:
        """Raises InvalidSettings naming the flag."""
        self._mode = settings.advertise_mode
        self._internal = tuple(
            Advertised(address, flag("media_address")) for address in settings.media_address
        )
        self._given = tuple(
            Advertised(address, flag("external_address")) for address in settings.external_address
        )
        self._file: Reloading[tuple[Advertised, ...]] | None = None
        path = settings.external_address_file
        if path is not None:
            families = frozenset(
                int(ipaddress.ip_address(address).version) for address in settings.media_address
            )
            try:
                self._file = Reloading(path, lambda found: read_addresses(found, families))
            except (OSError, ValueError) as error:
                raise InvalidSettings(f"{flag('external_address_file')}: {error}") from error
        self._seen: SeenAddress | None = None
        if settings.external_address_from:
            server = StunServer.of(settings.external_address_from)
            self._seen = SeenAddress(server, settings.media_address[0])
        self._told: tuple[Advertised, ...] | None = None

    def __call__(self) -> tuple[Advertised, ...]:
        """The addresses in the order of preference; empty while an external one is awaited."""
        external = (*self._given, *(self._file.value if self._file else ()))
        if self._seen is not None and self._seen.address is not None:
            external = (*external, self._seen.address)
        found = advertised(self._mode, internal=self._internal, external=external)
        if not found and self._told:
            return self._told  # running calls need one, and the old one is the best guess
        if found != self._told:
            self._told = found
            if found:
                logger.info(
                    "clients are told these addresses of the media port",
                    extra={"addresses": [f"{one.address} ({one.source})" for one in found]},
                )
            else:
                logger.warning("no calls are taken: %s", self.why_none)
        return found

    async def follow(self) -> None:
        """Learn the address that only others can tell. Never ends where there is one to learn."""
        if self._seen is not None:
            await self._seen.follow()

    @property
    def why_none(self) -> str:
        """What is awaited while there is no address."""
        if self._seen is not None:
            return f"no external address is known: {self._seen.problem}"
        return (
            "no external address is known; the operator writes one into "
            f"{flag('external_address_file')} once this pod's node has one"
        )


def read_addresses(path: Path, families: frozenset[int]) -> tuple[Advertised, ...]:
    """Read lines of ADDRESS, a space, and where it comes from. An empty file has none.

    Raises OSError, ValueError.
    """
    with path.open("rb") as file:
        text = file.read(MAX_FILE_BYTES + 1)
    if len(text) > MAX_FILE_BYTES:
        raise ValueError(f"{path} is longer than {MAX_FILE_BYTES} bytes")
    found = []
    for line in text.decode("utf-8").splitlines():
        address, _, source = line.strip().partition(" ")
        if not address:
            continue
        version = ipaddress.ip_address(address).version
        if version not in families:
            raise ValueError(
                f"{address} is an address of IPv{version}, and no {flag('media_address')} is"
            )
        found.append(Advertised(address, source or str(path)))
    return tuple(found)
