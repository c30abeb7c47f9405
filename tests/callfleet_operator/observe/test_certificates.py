from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from callfleet_operator.observe.certificates import certificate_problem
from tests.callfleet_operator.certificates import make_pair

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CERTIFICATE, KEY = make_pair(NOW)
OTHER_CERTIFICATE, OTHER_KEY = make_pair(NOW)


def test_a_pair_and_its_chain_are_in_order() -> None:
    assert certificate_problem(CERTIFICATE, KEY, NOW) == ""
    assert certificate_problem(CERTIFICATE + OTHER_CERTIFICATE, KEY, NOW) == ""


@pytest.mark.parametrize(
    ("certificate", "key", "problem"),
    [
        (b"", KEY, "tls.crt holds no PEM certificate"),
        (b"\xff\xfe", KEY, "tls.crt holds no PEM certificate"),
        (CERTIFICATE[:200], KEY, "tls.crt holds no PEM certificate"),
        (CERTIFICATE, b"", "tls.key holds no PEM private key"),
        (CERTIFICATE, CERTIFICATE, "tls.key holds no PEM private key"),
        (CERTIFICATE, make_pair(NOW, passphrase=b"x")[1], "tls.key is encrypted"),
        (CERTIFICATE, OTHER_KEY, "tls.key is not the key of the certificate in tls.crt"),
    ],
)
def test_what_a_server_could_not_use_is_named(certificate: bytes, key: bytes, problem: str) -> None:
    assert problem in certificate_problem(certificate, key, NOW)


def test_an_expired_certificate_is_named() -> None:
    later = NOW + timedelta(days=90)

    assert "has expired on 2026-03-" in certificate_problem(CERTIFICATE, KEY, later)
