"""aiortc's DTLS transport, whose datagrams are taken as they come: part of `seams.py`.

aiortc reads datagrams from a queue, each in a task of its own during the handshake and in one task
for the life of the connection. Here each is given to OpenSSL by whoever received it, and what
OpenSSL answers is sent before that returns. Certificates, keys and the states are aiortc's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceTransport
from aiortc.rtcdtlstransport import RTCDtlsParameters
from OpenSSL import SSL

from callfleet_engine.media.srtp import MAX_DATAGRAM, Incoming, Outgoing, Send
from callfleet_engine.media.srtp_keys import SrtpKeys, exported

DIGESTS = {"sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
"""OpenSSL's names of the fingerprints that count (RFC 8122 section 5)."""

Datagram = Callable[[bytes], None]


class MediaConnection(Protocol):
    """What the seams use of an ICE connection, beside what aiortc uses of aioice's.

    `media_received` is set by them: it takes a datagram of SRTP or SRTCP and says whether it was
    authentic. `told_end` is too: it is called once after the end.
    """

    media_received: Callable[[bytes], bool]
    told_end: Callable[[], None]

    @property
    def local_username(self) -> str:
        """The ufrag of the next description."""
        ...

    @property
    def local_password(self) -> str:
        """Its password."""
        ...

    @property
    def send_now(self) -> Send:
        """Sends without awaiting; False if there is nowhere to."""
        ...

    def take_dtls(self, received: Datagram) -> None:
        """Give `received` the DTLS datagrams that have come, and each one that comes."""
        ...


class DtlsTransport(RTCDtlsTransport):
    """One connection's DTLS, and the SRTP that it makes keys for.

    `on_rtp` and `on_rtcp` get each packet plain, unless somebody else unprotects and protects, who
    is told the keys by `on_keys`.
    """

    def __init__(
        self,
        ice: RTCIceTransport,
        connection: MediaConnection,
        certificate: RTCCertificate,
        on_rtp: Datagram,
        on_rtcp: Datagram,
        *,
        on_keys: Callable[[SrtpKeys], None] | None,
    ) -> None:
        super().__init__(ice, [certificate])
        self._connection = connection
        self._handshaken: asyncio.Future[None] | None = None
        self._resending: asyncio.TimerHandle | None = None
        self._on_keys = on_keys
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._outgoing = Outgoing(connection.send_now)
        self.send_rtp = self._outgoing.rtp
        self.send_rtcp = self._outgoing.rtcp
        self._incoming: Incoming | None = None
        connection.media_received = self._media_received

    # the handshake, and what comes after it

    async def _do_handshake(self) -> None:
        self._handshaken = asyncio.get_running_loop().create_future()
        self._shake()
        self._connection.take_dtls(self._dtls_received)
        await self._handshaken

    async def _RTCDtlsTransport__run(self) -> None:  # noqa: N802 (overrides a mangled name)
        """Nothing: datagrams need no task to be read."""

    async def stop(self) -> None:
        """End it, and say so to the client."""
        await super().stop()
        self.ended()

    def ended(self) -> None:
        """Nothing comes any more."""
        self._do_not_resend()
        if self._handshaken is None:
            return
        if not self._handshaken.done():
            self._settle(self._state.FAILED)
        elif self._state is self._state.CONNECTED:
            self._set_state(self._state.CLOSED)

    def _dtls_received(self, data: bytes) -> None:
        ssl: Any = self._ssl
        ssl.bio_write(data)
        if not self.encrypted:
            self._shake()
            return
        try:
            ssl.recv(MAX_DATAGRAM)  # nobody has a use for application data
        except SSL.ZeroReturnError:
            self.ended()
        except SSL.Error:
            pass  # nothing to read, or nothing that is authentic
        self._flush()
        if self._resending is not None:
            self._resend_later()

    def _shake(self) -> None:
        ssl: Any = self._ssl
        try:
            ssl.do_handshake()
        except SSL.WantReadError:
            self._flush()
            self._resend_later()
        except SSL.Error:
            self._flush()
            self._settle(self._state.FAILED)
        else:
            self.encrypted = True
            self._flush()
            self._resend_later()  # of DTLS 1.3 the last flight is acknowledged
            self._settle()

    def _flush(self) -> None:
        ssl: Any = self._ssl
        try:
            data = ssl.bio_read(MAX_DATAGRAM)
        except SSL.WantReadError:
            return
        self._connection.send_now(data)

    def _settle(self, state: Any = None) -> None:  # noqa: ANN401 (aiortc's State)
        if state is not None:
            self._do_not_resend()
            self._set_state(state)
        if self._handshaken is not None and not self._handshaken.done():
            self._handshaken.set_result(None)

    def _resend_later(self) -> None:
        self._do_not_resend()
        ssl: Any = self._ssl
        seconds = ssl.DTLSv1_get_timeout()
        if seconds is not None:
            self._resending = asyncio.get_running_loop().call_later(seconds, self._resend)

    def _do_not_resend(self) -> None:
        if self._resending is not None:
            self._resending.cancel()
            self._resending = None

    def _resend(self) -> None:
        ssl: Any = self._ssl
        try:
            ssl.DTLSv1_handle_timeout()
        except SSL.Error:  # so often that the client is taken for gone
            self.ended()
            return
        self._flush()
        self._resend_later()

    # SRTP

    def _validate_peer_identity(self, remoteParameters: RTCDtlsParameters) -> None:  # noqa: N803 (aiortc's name)
        """As aiortc's: one supported fingerprint at least, and all of them the certificate's.

        aiortc has `cryptography` read the certificate, which warns of a serial number that is not
        positive and is to refuse it; FFmpeg 8 makes negative ones.
        """
        ssl: Any = self._ssl
        certificate = ssl.get_peer_certificate()
        told = {
            (DIGESTS[name], fingerprint.value.upper())
            for fingerprint in remoteParameters.fingerprints
            if (name := fingerprint.algorithm.lower()) in DIGESTS
        }
        if (
            certificate is None
            or not told
            or any(certificate.digest(digest).decode() != value for digest, value in told)
        ):
            self._set_state(self._state.FAILED)

    def _setup_srtp(self) -> None:
        """As aiortc's, unless somebody else protects, who is told the keys."""
        if self._on_keys is not None:
            server = self._role == "server"
            keys = exported(self._ssl, self._srtp_profiles, server=server)
            if keys is None:
                self._set_state(self._state.FAILED)
            else:
                self._on_keys(keys)
            return
        super()._setup_srtp()
        if self._tx_srtp is not None:
            self._outgoing.use(self._tx_srtp)
            self._incoming = Incoming(self._rx_srtp)

    def _media_received(self, data: bytes) -> bool:
        incoming = self._incoming
        if incoming is None or not 12 <= len(data) <= MAX_DATAGRAM:
            return False
        if 192 <= data[1] < 224:  # RFC 5761 section 4
            plain, take = incoming.rtcp(data), self._on_rtcp
        else:
            plain, take = incoming.rtp(data), self._on_rtp
        if plain is None:
            return False
        take(plain)
        return True
