"""SRTP keys as DTLS exports them, for a plane that protects without aiortc. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aiortc.rtcdtlstransport import SRTPProtectionProfile

_LABEL = b"EXTRACTOR-dtls_srtp"


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Key and salt of each direction. `profile` is the protection profile as OpenSSL calls it."""

    profile: str
    inbound: tuple[bytes, bytes]
    outbound: tuple[bytes, bytes]


def exported(
    connection: Any,  # noqa: ANN401 (pyOpenSSL's)
    profiles: Iterable[SRTPProtectionProfile],
    *,
    server: bool,
) -> SrtpKeys | None:
    """The keys after the handshake (RFC 5764 section 4.2); None if no profile was negotiated.

    `server`: whether this side is the DTLS server.
    """
    name = connection.get_selected_srtp_profile()
    profile = next((p for p in profiles if p.openssl_profile == name), None)
    if profile is None:
        return None
    size = profile.key_length
    material = connection.export_keying_material(_LABEL, 2 * (size + profile.salt_length))
    client, of_server = (
        (both[:size], both[size:])
        for both in (profile.get_key_and_salt(material, index) for index in (0, 1))
    )
    inbound, outbound = (client, of_server) if server else (of_server, client)
    return SrtpKeys(name.decode(), inbound, outbound)
