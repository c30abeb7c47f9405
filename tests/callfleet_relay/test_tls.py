"""The certificate of TLS listeners, and one connection's layer: OpenSSL's and rustls's alike."""

from __future__ import annotations

import logging
import ssl
import warnings
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callfleet_relay.transport.native_tls import rustls_layers
from callfleet_relay.transport.tls import (
    Certificate,
    CertificateError,
    LayerMaker,
    OpenSslLayer,
    TlsLayer,
    openssl_layers,
)

from .certificates import Pair, make_pair

HEADER = 5
"""Bytes of a record's header: what it holds, version, length."""
APPLICATION_DATA = 23


@pytest.fixture(params=[openssl_layers, rustls_layers], ids=["openssl", "rustls"])
def layers(request: pytest.FixtureRequest) -> LayerMaker:
    maker: LayerMaker = request.param
    return maker


@pytest.fixture
def certificate(pair: Pair, layers: LayerMaker) -> Certificate:
    loaded = Certificate(pair.certificate, pair.key, layers)
    loaded.load()
    return loaded


class Client:
    """OpenSSL's end of a connection with a layer, without a network between."""

    def __init__(self, server: TlsLayer, context: ssl.SSLContext) -> None:
        self._server = server
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.take = self._outgoing.read

    def shake_hands(self, piece: int = 1 << 14) -> None:
        """Until both are done; what either says comes in pieces of so many bytes."""
        done = False
        while not (done and self._server.is_established):
            try:
                self.tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            said = self.take()
            self.hand_over(said, piece)
            came = self.hear(piece)
            assert said or came or self._server.is_established, "both wait for one another"

    def hand_over(self, said: bytes, piece: int = 1 << 14) -> None:
        """Bytes to the server, which goes on with its handshake."""
        for at in range(0, len(said), piece):
            self._server.receive(memoryview(said)[at : at + piece])
            if not self._server.is_established:
                self._server.handshake()

    def hear(self, piece: int = 1 << 14) -> int:
        """Take what the server has to say; bytes of it."""
        came = self._server.take_outgoing()
        for at in range(0, len(came), piece):
            self._incoming.write(came[at : at + piece])
        return len(came)

    def write(self, data: bytes) -> bytes:
        """Records of this."""
        self.tls.write(data)
        return self.take()


def connect(certificate: Certificate, context: ssl.SSLContext) -> tuple[TlsLayer, Client]:
    """Both ends, once their handshake is done."""
    server = certificate.new_layer()
    client = Client(server, context)
    client.shake_hands()
    return server, client


def read(server: TlsLayer, size: int = 1 << 16) -> bytes | None:
    """What has come so far; None without any."""
    buffer, whole = memoryview(bytearray(size)), b""
    while count := server.read_into(buffer):
        whole += buffer[:count]
    return whole or (b"" if count == 0 else None)


def records(data: bytes) -> list[tuple[int, int]]:
    """What each holds, and how long it is."""
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at + 3 : at + HEADER], "big")
        found.append((data[at], length))
        at += HEADER + length
    assert at == len(data)
    return found


def serial_served(certificate: Certificate, pair: Pair) -> int:
    """Serial number of the certificate that a client sees; it trusts that of `pair`."""
    seen = connect(certificate, pair.client_context)[1].tls.getpeercert()
    assert seen is not None
    return int(str(seen["serialNumber"]), 16)


def test_a_mount_that_is_replaced_is_followed(tmp_path: Path, layers: LayerMaker) -> None:
    first, second = make_pair(tmp_path / "..1"), make_pair(tmp_path / "..2")
    data = tmp_path / "..data"
    data.symlink_to("..1")
    certificate = Certificate(data / "tls.crt", data / "tls.key", layers)
    certificate.load()
    assert not certificate.has_changed()
    assert serial_served(certificate, first) == first.serial
    server, client = connect(certificate, first.client_context)

    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(data)
    assert certificate.has_changed()
    certificate.load()

    assert serial_served(certificate, second) == second.serial
    client.hand_over(client.write(b"goes on"))
    assert read(server) == b"goes on"


@pytest.mark.parametrize("what", ["nonsense", "other key", "encrypted", "expired", "missing"])
def test_a_pair_that_cannot_be_used_takes_no_others_place(
    tmp_path: Path, layers: LayerMaker, what: str
) -> None:
    pair = make_pair(tmp_path)
    serial = pair.serial
    certificate = Certificate(pair.certificate, pair.key, layers)
    certificate.load()
    good = make_pair(tmp_path / "good")
    good.certificate.write_bytes(pair.certificate.read_bytes())
    if what == "nonsense":
        pair.certificate.write_text("nonsense")
    elif what == "other key":
        pair.key.write_bytes(make_pair(tmp_path / "other").key.read_bytes())
    elif what == "encrypted":
        make_pair(tmp_path, passphrase=b"x")
    elif what == "expired":
        make_pair(tmp_path, days=-1)
    else:
        pair.key.unlink()

    with pytest.raises((CertificateError, FileNotFoundError)):
        certificate.load()

    assert serial_served(certificate, good) == serial


def test_an_expired_certificate_is_better_than_none_at_a_start(
    tmp_path: Path, layers: LayerMaker
) -> None:
    pair = make_pair(tmp_path, days=-1)
    certificate = Certificate(pair.certificate, pair.key, layers)

    certificate.load()

    assert not certificate.new_layer().is_established


def test_a_key_that_rustls_does_not_know_is_left_to_openssl(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = make_pair(tmp_path, curve=ec.SECP521R1())
    certificate = Certificate(pair.certificate, pair.key, rustls_layers)
    with caplog.at_level(logging.WARNING):
        certificate.load()

    assert "have one issued for an ECDSA P-256 key" in caplog.text
    server, client = connect(certificate, pair.client_context)
    assert isinstance(server, OpenSslLayer)
    client.hand_over(client.write(b"all the same"))
    assert read(server) == b"all the same"


@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
        (ssl.TLSVersion.TLSv1_3, "TLS_AES_256_GCM_SHA384"),
    ],
)
def test_speaks_tls_1_2_and_1_3_and_turns_alpn(
    certificate: Certificate, pair: Pair, version: ssl.TLSVersion, cipher: str
) -> None:
    context = pair.client_context
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["http/1.1", "stun.turn"])

    server, client = connect(certificate, context)

    assert client.tls.selected_alpn_protocol() == "stun.turn"
    chosen = client.tls.cipher()
    assert chosen is not None
    assert chosen[0] == cipher
    assert read(server) is None


def test_who_names_other_protocols_alone_is_served_without(
    certificate: Certificate, pair: Pair
) -> None:
    context = pair.client_context
    context.set_alpn_protocols(["webrtc"])

    _, client = connect(certificate, context)

    assert client.tls.selected_alpn_protocol() is None


def refused(certificate: Certificate, context: ssl.SSLContext) -> str:
    """What a client hears whose handshake the server does not accept."""
    server = certificate.new_layer()
    client = Client(server, context)
    with pytest.raises(OSError, match=r"."):
        client.shake_hands()
    server.say_goodbye()
    assert client.hear()
    with pytest.raises(ssl.SSLError) as error:
        client.tls.do_handshake()
    assert not server.is_established
    return str(error.value.reason)


def test_tls_1_1_is_refused(certificate: Certificate, pair: Pair) -> None:
    context = pair.client_context
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    # rustls looks for what TLS 1.2 must name first.
    reasons = {"TLSV1_ALERT_PROTOCOL_VERSION", "SSLV3_ALERT_HANDSHAKE_FAILURE"}
    assert refused(certificate, context) in reasons


def test_ciphers_without_authentication_of_data_are_refused(
    certificate: Certificate, pair: Pair
) -> None:
    context = pair.client_context
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA")

    assert refused(certificate, context) == "SSLV3_ALERT_HANDSHAKE_FAILURE"


@pytest.mark.parametrize(
    "data",
    [b"\r\n\r\n\0\r\nQUIT\n" + bytes(16), b"GET / HTTP/1.1\r\n\r\n", b"\0\1\0\0\x21\x12\xa4\x42"],
    ids=["proxy", "http", "stun"],
)
def test_what_is_not_tls_is_refused(certificate: Certificate, data: bytes) -> None:
    server = certificate.new_layer()
    server.receive(memoryview(data))

    with pytest.raises(OSError, match=r"."):
        server.handshake()

    assert not server.is_established


def test_a_handshake_that_is_broken_off_is_only_waited_for(
    certificate: Certificate, pair: Pair
) -> None:
    server = certificate.new_layer()
    client = Client(server, pair.client_context)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    hello = client.take()

    client.hand_over(hello[:-1])

    assert not server.is_established
    assert not server.pending
    with pytest.raises(OSError, match=r"."):
        server.write(b"too early")
    server.say_goodbye()
    assert not server.take_outgoing()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_everything_may_come_in_any_pieces(
    certificate: Certificate, pair: Pair, version: ssl.TLSVersion
) -> None:
    context = pair.client_context
    context.minimum_version = context.maximum_version = version
    server = certificate.new_layer()
    client = Client(server, context)
    client.shake_hands(piece=1)
    data = bytes(range(256)) * 300

    client.hand_over(client.write(data), piece=1)
    assert read(server, 1000) == data
    server.write(data)
    client.hear(piece=1)

    came = b""
    while len(came) < len(data):
        came += client.tls.read(1 << 16)
    assert came == data


def test_the_first_data_may_come_with_the_end_of_the_handshake(
    certificate: Certificate, pair: Pair
) -> None:
    server = certificate.new_layer()
    client = Client(server, pair.client_context)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.hand_over(client.take())
    client.hear()
    client.tls.do_handshake()
    client.tls.write(b"early bird")

    client.hand_over(client.take())

    assert server.is_established
    assert read(server) == b"early bird"


def test_each_frame_is_a_record(certificate: Certificate, pair: Pair) -> None:
    server, client = connect(certificate, pair.client_context)
    client.hear()
    frames = [bytes([number]) * (4 * number) for number in range(1, 200)]
    ends: list[tuple[int, int]] = []
    for frame in frames:
        ends.append((len(frame) + (ends[-1][0] if ends else 0), 0))

    server.write_frames(b"".join(frames), ends)
    waiting = server.pending
    sent = server.take_outgoing()

    assert len(sent) == waiting
    assert not server.pending
    found = records(sent)
    overhead = found[0][1] - len(frames[0])
    assert found == [(APPLICATION_DATA, len(each) + overhead) for each in frames]


@pytest.mark.parametrize(
    "broken",
    [b"\x17\x03\x03\xff\xff" + bytes(100), b"\x17\x03\x03\0\x20" + bytes(32), b"\x99" * 40],
    ids=["oversized", "forged", "nonsense"],
)
def test_what_came_before_a_broken_record_counts(
    certificate: Certificate, pair: Pair, broken: bytes
) -> None:
    server, client = connect(certificate, pair.client_context)
    client.hand_over(client.write(b"sound") + broken)
    buffer = memoryview(bytearray(100))

    count = server.read_into(buffer)

    assert count == 5
    assert bytes(buffer[:5]) == b"sound"
    for _ in range(2):
        with pytest.raises(OSError, match=r"."):
            server.read_into(buffer)
    server.say_goodbye()
    assert client.hear()  # an alert
    with pytest.raises(ssl.SSLError):
        client.tls.read(100)


def test_a_clients_goodbye_comes_after_its_data(certificate: Certificate, pair: Pair) -> None:
    server, client = connect(certificate, pair.client_context)
    data = client.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.hand_over(data + client.take())
    buffer = memoryview(bytearray(100))

    assert server.read_into(buffer) == 10
    assert server.read_into(buffer) == 0

    server.say_goodbye()
    client.hear()
    client.tls.unwrap()  # has both ends' word now


def test_the_servers_goodbye_is_heard(certificate: Certificate, pair: Pair) -> None:
    server, client = connect(certificate, pair.client_context)
    server.write(b"last words")
    server.say_goodbye()
    client.hear()

    assert client.tls.read(100) == b"last words"
    assert client.tls.read(100) == b""


@given(data=st.binary(max_size=200), flips=st.lists(st.integers(0, 10**6), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_comes_in_place_of_a_hello_harms_nothing(
    certificate: Certificate, pair: Pair, data: bytes, flips: list[int]
) -> None:
    server = certificate.new_layer()
    client = Client(server, pair.client_context)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    hello = bytearray(client.take())
    for flip in flips:
        hello[flip // 8 % len(hello)] ^= 1 << flip % 8

    try:
        client.hand_over(bytes(hello) + data)
    except OSError:
        assert not server.is_established
