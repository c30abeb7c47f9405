from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from callfleet_relay.transport.tls import Certificate, CertificateError, TlsLayer

from .certificates import Pair, make_pair


def handshake(server: TlsLayer, context: ssl.SSLContext) -> ssl.SSLObject:
    """A client's end, once both are done."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    for _ in range(10):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            if server.is_established:
                break
        server.incoming.write(outgoing.read())
        server.handshake()
        incoming.write(server.outgoing.read())
    server.incoming.write(outgoing.read())
    return client


def serial_served(certificate: Certificate, pair: Pair) -> int:
    """Serial number of the certificate that a client sees; it trusts that of `pair`."""
    assert certificate.context is not None
    client = handshake(TlsLayer(certificate.context), pair.client_context)
    seen = client.getpeercert()
    assert seen is not None
    return int(str(seen["serialNumber"]), 16)


def test_a_mount_that_is_replaced_is_followed(tmp_path: Path) -> None:
    first, second = make_pair(tmp_path / "..1"), make_pair(tmp_path / "..2")
    data = tmp_path / "..data"
    data.symlink_to("..1")
    certificate = Certificate(data / "tls.crt", data / "tls.key")
    certificate.load()
    assert not certificate.has_changed()
    assert serial_served(certificate, first) == first.serial

    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(data)
    assert certificate.has_changed()
    certificate.load()

    assert serial_served(certificate, second) == second.serial


@pytest.mark.parametrize("what", ["nonsense", "other key", "encrypted", "expired", "missing"])
def test_a_pair_that_cannot_be_used_takes_no_others_place(tmp_path: Path, what: str) -> None:
    pair = make_pair(tmp_path)
    serial = pair.serial
    certificate = Certificate(pair.certificate, pair.key)
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


def test_an_expired_certificate_is_better_than_none_at_a_start(tmp_path: Path) -> None:
    pair = make_pair(tmp_path, days=-1)
    certificate = Certificate(pair.certificate, pair.key)

    certificate.load()

    assert certificate.context is not None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_speaks_tls_1_2_and_1_3_and_turns_alpn(pair: Pair, version: ssl.TLSVersion) -> None:
    certificate = Certificate(pair.certificate, pair.key)
    certificate.load()
    assert certificate.context is not None
    context = pair.client_context
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["stun.turn"])
    server = TlsLayer(certificate.context)

    client = handshake(server, context)

    assert client.selected_alpn_protocol() == "stun.turn"
    buffer = memoryview(bytearray(100))
    assert server.read_into(buffer) is None


def test_tls_1_1_is_refused(pair: Pair) -> None:
    certificate = Certificate(pair.certificate, pair.key)
    certificate.load()
    assert certificate.context is not None
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_what_is_not_tls_is_refused(pair: Pair) -> None:
    certificate = Certificate(pair.certificate, pair.key)
    certificate.load()
    assert certificate.context is not None
    server = TlsLayer(certificate.context)
    server.incoming.write(b"\r\n\r\n\0\r\nQUIT\n" + bytes(16))

    with pytest.raises(ssl.SSLError):
        server.handshake()
