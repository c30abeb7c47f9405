"""Signalling over TLS, and its certificate as it changes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509

from callfleet_engine.certificate import Certificate, UnusableCertificate
from callfleet_engine.engine import Engine
from callfleet_engine.settings import Endpoint, InvalidSettings, load
from tests.callfleet_engine.engines import Caller, Client, running, settings
from tests.callfleet_relay.certificates import Pair, make_pair
from tests.waiting import until


def tls(pair: Pair) -> dict[str, object]:
    return {"listen_tls": "127.0.0.1:0", "tls_cert": pair.certificate, "tls_key": pair.key}


def served_by(at: Endpoint) -> int:
    """The serial number of the certificate that a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((at.host, at.port), timeout=20) as plain,
        context.wrap_socket(plain) as connection,
    ):
        shown = connection.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number


def tls_of(engine: Engine) -> Endpoint:
    assert engine.listening.listen_tls is not None
    return engine.listening.listen_tls


async def test_page_and_call_over_tls(tmp_path: Path) -> None:
    pair = make_pair(tmp_path / "tls")
    async with running(settings(tmp_path, **tls(pair))) as [engine]:
        trusting = aiohttp.TCPConnector(ssl=pair.client_context)
        async with aiohttp.ClientSession(connector=trusting) as http:
            url = f"https://{tls_of(engine)}"
            async with http.get(f"{url}/r/room") as page:
                assert page.status == 200
            socket_ = await http.ws_connect(
                f"{url}/api/v1/signal", protocols=("callfleet.v1",), headers={"Origin": url}
            )
            caller = Caller(Client(socket_))
            await caller.join()
            published = await caller.client.ask("publish", offer=await caller.offer())
            assert published["type"] == "published"
            await caller.close()
        async with aiohttp.ClientSession() as http:  # pods reach each other without
            client = await Client.connect(http, engine)
            assert (await client.join())["type"] == "joined"
            await client.close()


async def test_a_renewed_certificate_is_taken_and_a_bad_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr("callfleet_engine.certificate.LOOK_SECONDS", 0.05)
    pair = make_pair(tmp_path / "tls")
    async with running(settings(tmp_path, **tls(pair))) as [engine]:
        at = tls_of(engine)
        first = await asyncio.to_thread(served_by, at)
        assert first == pair.serial
        renewed = make_pair(tmp_path / "tls").serial
        assert renewed != first
        await until(lambda: "took a new certificate" in caplog.text)
        assert await asyncio.to_thread(served_by, at) == renewed

        caplog.clear()
        pair.key.write_text("no key")
        await until(lambda: "cannot be used, the last one stays" in caplog.text)
        assert "is no PEM private key of the certificate" in caplog.text
        assert await asyncio.to_thread(served_by, at) == renewed


def test_what_cannot_be_used_is_said_with_the_remedy(tmp_path: Path) -> None:
    good, other = make_pair(tmp_path / "good"), make_pair(tmp_path / "other")
    secret = make_pair(tmp_path / "secret", passphrase=b"x")
    for certificate, key, why in (
        (good.key, good.key, "holds no PEM certificate"),
        (good.certificate, other.key, "is no PEM private key of the certificate"),
        (secret.certificate, secret.key, "is encrypted: store it without a passphrase"),
        (tmp_path / "absent", good.key, "absent: No such file"),
    ):
        with pytest.raises(UnusableCertificate, match=why):
            Certificate(certificate, key)


async def test_an_engine_with_a_bad_certificate_does_not_start(tmp_path: Path) -> None:
    pair = make_pair(tmp_path / "tls")
    pair.key.write_text("no key")
    with pytest.raises(InvalidSettings, match=r"--tls-cert, --tls-key: .* is no PEM private key"):
        async with running(settings(tmp_path, **tls(pair))):
            pass


def test_the_flags_belong_together(tmp_path: Path) -> None:
    for given in ({"listen_tls": "127.0.0.1:0"}, {"tls_cert": tmp_path}, {"tls_key": tmp_path}):
        with pytest.raises(InvalidSettings, match="--listen-tls, --tls-cert and --tls-key belong"):
            load({"open": True, **given})
