"""Certificates that the strictest clients take."""

from __future__ import annotations

import http.server
import json
import ssl
import stat
import threading
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from cryptography import x509

from tests.cluster.pki import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def test_a_strict_client_takes_the_server_by_each_of_its_names(authority: Authority) -> None:
    certificate, key = authority.server("server", "server", ["127.0.0.1", "localhost"])
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    client = ssl.create_default_context(cafile=str(authority.certificate_file))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    for host in ("127.0.0.1", "localhost"):
        connection = HTTPSConnection(host, server.server_port, context=client, timeout=10)
        connection.request("GET", "/")
        assert connection.getresponse().status == 501
        connection.close()
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)


def test_the_same_authority_issues_below_another_directory(
    authority: Authority, tmp_path: Path
) -> None:
    before = sorted(authority.directory.iterdir())
    again = Authority(tmp_path / "again", same_as=authority.directory)
    assert again.certificate_file.read_bytes() == authority.certificate_file.read_bytes()
    path, _ = again.client("me", "me")
    issuer = x509.load_pem_x509_certificate(authority.certificate_file.read_bytes())
    x509.load_pem_x509_certificate(path.read_bytes()).verify_directly_issued_by(issuer)
    assert sorted(authority.directory.iterdir()) == before


def test_a_client_is_a_user_with_groups(authority: Authority) -> None:
    path, _ = authority.client("me", "system:node:a", ["system:nodes", "staff"])
    subject = x509.load_pem_x509_certificate(path.read_bytes()).subject
    assert [(part.rfc4514_attribute_name, part.value) for part in subject] == [
        ("O", "system:nodes"),
        ("O", "staff"),
        ("CN", "system:node:a"),
    ]


def test_keys_and_kubeconfigs_are_the_owners_alone(authority: Authority, tmp_path: Path) -> None:
    kubeconfig = authority.kubeconfig(
        tmp_path / "me.kubeconfig", server="https://127.0.0.1:1", user="me"
    )
    for path in (kubeconfig, *authority.directory.glob("*.key")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = json.loads(kubeconfig.read_text())
    assert written["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert "client-key-data" in written["users"][0]["user"]
