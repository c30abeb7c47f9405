"""aiortc 1.16 and aioice 0.13 with the parts replaced that a forwarding server needs otherwise.

Everything that leans on their insides stands here; `test_seams.py` holds one test for each
behaviour leaned on, so that a new release of either says what it broke.

- `_IceGatherer`: hands out a connection of our own in place of aioice's (`ice_lite.py`, one shared
  port beneath all of them) and says `a=ice-lite`.
- `_IceTransport`: told of the end of its connection, without a task that waits for it.
- `DtlsTransport` (`dtls_seams.py`): DTLS is read, and SRTP is unprotected and protected, as it
  comes, without a task or a queue (`srtp.py`); certificates that `cryptography` does not like are
  taken by their fingerprint.
- `Receiver`, `Sender` (`rtp_seams.py`): no jitter buffer, decoder, encoder, thread or RTCP task.
- `ForwardingPeerConnection`: uses these; one transport that is connected by itself, a certificate
  and its TLS context shared by all, codecs and header extensions of our own (`negotiation.py`),
  descriptions that are read and written once (`sdp_seams.py`), and no events.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from aiortc import (
    RTCBundlePolicy,
    RTCCertificate,
    RTCConfiguration,
    RTCIceGatherer,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpTransceiver,
)
from aiortc.codecs import is_rtx
from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    SRTPProtectionProfile,
)
from aiortc.rtcicetransport import RTCIceParameters
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.sdp import SessionDescription
from OpenSSL import SSL

from callfleet_engine.media.dtls_seams import Datagram, DtlsTransport, MediaConnection
from callfleet_engine.media.ice_lite import LiteConnection
from callfleet_engine.media.interface import Kind
from callfleet_engine.media.negotiation import (
    OFFERED_CODECS,
    OFFERED_HEADER_EXTENSIONS,
    TAKEN_HEADER_EXTENSIONS,
)
from callfleet_engine.media.rtp_seams import Receiver, Sender
from callfleet_engine.media.sdp_seams import TABLES, described, with_tables
from callfleet_engine.media.srtp_keys import SrtpKeys


class Certificate(RTCCertificate):
    """A certificate with its SHA-256 fingerprint only: some peers refuse three.

    All its connections share a TLS context. It keeps no sessions: each client proves anew whose
    fingerprint it has.
    """

    def getFingerprints(self) -> list[RTCDtlsFingerprint]:  # noqa: N802 (aiortc's name)
        """The one fingerprint."""
        return [self._sha256]

    @cached_property
    def _sha256(self) -> RTCDtlsFingerprint:
        return next(f for f in super().getFingerprints() if f.algorithm == "sha-256")

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        assert srtp_profiles is SRTP_PROFILES  # noqa: S101 (aiortc's only list)
        return self._context

    @cached_property
    def _context(self) -> SSL.Context:
        context = super()._create_ssl_context(SRTP_PROFILES)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        return context


class _NoCertificate:
    """In place of the certificate that aiortc makes for each connection; ours is shared."""

    @staticmethod
    def generateCertificate() -> None:  # noqa: N802 (aiortc's name)
        """None: only transports that aiortc makes would use it."""


def _no_connection(**_: object) -> None:
    """In place of the one of aioice's that aiortc makes, and ours replaces."""


class _IceGatherer(RTCIceGatherer):
    _connection: Any
    _prepare = with_tables(RTCIceGatherer.__init__, Connection=_no_connection)

    def __init__(self, connection: MediaConnection) -> None:
        self._prepare(iceServers=[])
        self._connection = connection

    def getLocalParameters(self) -> RTCIceParameters:  # noqa: N802 (aiortc's name)
        connection = self._connection
        return RTCIceParameters(
            usernameFragment=connection.local_username,
            password=connection.local_password,
            iceLite=isinstance(connection, LiteConnection),
        )


class _IceTransport(RTCIceTransport):
    async def _monitor(self) -> None:
        """Nothing to wait for: `ended` is called instead."""

    @property
    def has_candidates(self) -> bool:
        """Whether clients can be told where to come to."""
        connection: Any = self._connection
        return bool(connection.local_candidates)

    def ended(self) -> None:
        """The connection has ended."""
        if self.state == "completed":
            self._RTCIceTransport__setState("failed")  # type: ignore[attr-defined] # mangled


@dataclass(frozen=True, slots=True)
class NegotiatedMedia:
    """One m-line after offer and answer. `sends` and `receives` are the server's.

    `rtx` leads from the payload types of retransmissions (RFC 4588) to those of `codecs`.
    """

    mid: str
    kind: Kind
    sends: bool
    receives: bool
    codecs: tuple[RTCRtpCodecParameters, ...]
    extensions: dict[str, int]
    rtx: dict[int, int] = field(default_factory=dict)


class MediaLine:
    """One m-line of a peer connection whose offers the server makes."""

    def __init__(self, transceiver: RTCRtpTransceiver, kind: Kind) -> None:
        self._transceiver = transceiver
        self.kind = kind
        sender: Any = transceiver.sender
        self.ssrc: int = sender._ssrc  # noqa: SLF001 (a seam)
        self.rtx_ssrc: int = sender._rtx_ssrc  # noqa: SLF001 (a seam)

    @property
    def mid(self) -> str:
        """Known once the offer is the local description."""
        mid = self._transceiver.mid
        return mid if mid is not None else ""

    def offer_stream(self, stream: str | None) -> None:
        """Offer to send as part of the MediaStream of that id, or nothing."""
        self._transceiver.direction = "sendonly" if stream is not None else "inactive"
        if stream is not None:
            sender: Any = self._transceiver.sender
            sender._stream_id = stream  # noqa: SLF001 (a seam)
            sender._track_id = f"{stream}-{self.kind}"  # noqa: SLF001 (a seam)


class ForwardingPeerConnection(RTCPeerConnection):
    """A peer connection that hands on unprotected packets and sends what it is given.

    `on_rtp` and `on_rtcp` get each packet synchronously, plain; none where somebody else protects,
    who is told the keys by `on_keys`. `on_state` is called at each change of the ICE or DTLS state.
    """

    createOffer = with_tables(  # noqa: N815 (aiortc's name)
        RTCPeerConnection.createOffer,
        CODECS=OFFERED_CODECS,
        HEADER_EXTENSIONS=OFFERED_HEADER_EXTENSIONS,
        **TABLES,
    )
    createAnswer = with_tables(RTCPeerConnection.createAnswer, **TABLES)  # noqa: N815
    setLocalDescription = with_tables(  # noqa: N815 (aiortc's name)
        RTCPeerConnection.setLocalDescription, **TABLES
    )
    setRemoteDescription = with_tables(  # noqa: N815 (aiortc's name)
        RTCPeerConnection.setRemoteDescription,
        CODECS=OFFERED_CODECS,
        HEADER_EXTENSIONS=TAKEN_HEADER_EXTENSIONS,
        **TABLES,
    )
    _prepare = with_tables(RTCPeerConnection.__init__, RTCCertificate=_NoCertificate)

    def __init__(
        self,
        *,
        connection: MediaConnection,
        certificate: RTCCertificate,
        on_rtp: Datagram,
        on_rtcp: Datagram,
        on_state: Callable[[], None],
        on_keys: Callable[[SrtpKeys], None] | None = None,
    ) -> None:
        self._prepare(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.ice = _IceTransport(_IceGatherer(connection))
        self.dtls = DtlsTransport(
            self.ice, connection, certificate, on_rtp, on_rtcp, on_keys=on_keys
        )
        connection.told_end = self._connection_ended
        # DTLS server, so that the client's offer "actpass" is answered "passive" and the server
        # chooses the SRTP profile: AES-GCM, which costs half of AES-CM with SHA-1.
        self.dtls._set_role("server")  # noqa: SLF001 (a seam)
        self.ice.on("statechange", on_state)
        self.dtls.on("statechange", on_state)
        self._ice_transports().add(self.ice)

    async def _RTCPeerConnection__gather(self) -> None:  # noqa: N802 (overrides a mangled name)
        """As aiortc's with one transport."""
        await self.ice.iceGatherer.gather()

    async def _RTCPeerConnection__connect(self) -> None:  # noqa: N802 (overrides a mangled name)
        """As aiortc's with one transport, and senders and receivers that need no start."""
        if self.connectionState == "closed" or not self.ice.has_candidates:
            return
        known = self._remote_parameters()
        if known is None:
            return
        ice, dtls = known
        await self.ice.start(ice)
        if self.dtls.state == "new":
            await self.dtls.start(dtls)

    def _remote_parameters(self) -> tuple[RTCIceParameters, RTCDtlsParameters] | None:
        ice: dict[RTCRtpTransceiver, RTCIceParameters] = self._RTCPeerConnection__remoteIce  # type: ignore[attr-defined] # mangled
        dtls: dict[RTCRtpTransceiver, RTCDtlsParameters] = self._RTCPeerConnection__remoteDtls  # type: ignore[attr-defined] # mangled
        return next(((ice[t], dtls[t]) for t in self._all_transceivers() if t in ice), None)

    def emit(self, event: str, *_: object, **__: object) -> bool:  # noqa: ARG002 (pyee's)
        """Nothing: nobody listens to it, only to its transports."""
        return False

    def _connection_ended(self) -> None:
        self.ice.ended()
        self.dtls.ended()

    def _ice_transports(self) -> set[RTCIceTransport]:
        transports: set[RTCIceTransport] = self._RTCPeerConnection__iceTransports  # type: ignore[attr-defined] # mangled
        return transports

    def _all_transceivers(self) -> list[RTCRtpTransceiver]:
        transceivers: list[RTCRtpTransceiver] = self._RTCPeerConnection__transceivers  # type: ignore[attr-defined] # mangled
        return transceivers

    def _RTCPeerConnection__createTransceiver(  # noqa: N802 (overrides a mangled name)
        self,
        direction: str,
        kind: str,
        sender_track: None = None,  # noqa: ARG002 (aiortc's)
    ) -> RTCRtpTransceiver:
        transceivers = self._all_transceivers()
        sender: Any = Sender(self.dtls, uuid.uuid4().int & 0xFFFFFFFF)
        receiver: Any = Receiver(self.dtls)
        transceiver = RTCRtpTransceiver(
            direction=direction, kind=kind, sender=sender, receiver=receiver
        )
        transceiver._bundled = bool(transceivers)  # noqa: SLF001 (a seam)
        transceivers.append(transceiver)
        return transceiver

    def add_line(self, kind: Kind) -> MediaLine:
        """A new m-line of the next offer, inactive."""
        transceiver = self.addTransceiver(kind, "inactive")
        return MediaLine(transceiver, kind)

    def lines(self) -> list[MediaLine]:
        """The m-lines in their order."""
        return [
            MediaLine(t, "audio" if t.kind == "audio" else "video") for t in self.getTransceivers()
        ]

    async def answer_offer(
        self, sdp: str | SessionDescription, *, client_is_dtls_server: bool = False
    ) -> str:
        """Take the client's offer and return the answer, with all candidates."""
        await self.take_offer(sdp, client_is_dtls_server=client_is_dtls_server)
        return await self.make_answer()

    async def take_offer(
        self, sdp: str | SessionDescription, *, client_is_dtls_server: bool = False
    ) -> None:
        """Take the client's offer, to be answered next."""
        if client_is_dtls_server:
            self.dtls._set_role("client")  # noqa: SLF001 (a seam)
        await self.setRemoteDescription(described(sdp, "offer"))

    async def make_answer(self) -> str:
        """The answer to the offer taken, with all candidates."""
        await self.setLocalDescription(await self.createAnswer())
        return str(self.localDescription.sdp)

    async def make_offer(self) -> str:
        """An offer, set as the local description, with all candidates."""
        await self.setLocalDescription(await self.createOffer())
        return str(self.localDescription.sdp)

    async def take_answer(self, sdp: str | SessionDescription) -> None:
        """Take the client's answer."""
        await self.setRemoteDescription(described(sdp, "answer"))

    def negotiated(self) -> dict[str, NegotiatedMedia]:
        """The m-lines by mid, after an answer."""
        lines = {}
        for t in self.getTransceivers():
            direction = t.currentDirection or "inactive"
            if t.mid is None:
                continue
            codecs = t._codecs  # noqa: SLF001 (a seam)
            lines[t.mid] = NegotiatedMedia(
                mid=t.mid,
                kind="audio" if t.kind == "audio" else "video",
                sends=direction in {"sendonly", "sendrecv"},
                receives=direction in {"recvonly", "sendrecv"},
                codecs=tuple(codec for codec in codecs if not is_rtx(codec)),
                extensions={e.uri: e.id for e in t._headerExtensions},  # noqa: SLF001 (a seam)
                rtx={
                    codec.payloadType: int(codec.parameters["apt"] or 0)
                    for codec in codecs
                    if is_rtx(codec) and codec.payloadType is not None
                },
            )
        return lines

    async def close(self) -> None:
        """End it, also before any negotiation."""
        await super().close()
        await self.dtls.stop()
        await self.ice.stop()
