"""The operator's key: its forms, and the Secret it is kept in."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from callfleet_operator.gateway.admin_key import (
    SECRET_NAME,
    AdminKey,
    AdminKeyError,
    load_or_create,
)
from callfleet_operator.gateway.kube import Kube
from tests.callfleet_operator.gateway.connections import uncounted
from tests.cluster.api_server import ApiServer


def test_a_key_survives_its_pem_form() -> None:
    key = AdminKey.generate()
    assert AdminKey.from_pem(key.to_pem()).public_jwk == key.public_jwk


def test_only_the_public_half_is_shown() -> None:
    (shown,) = AdminKey.generate().jwk_set()["keys"]
    assert set(shown) == {"kty", "crv", "x", "kid", "alg", "use"}


def test_the_key_id_is_the_thumbprint_of_rfc_8037() -> None:
    # RFC 8037, appendices A.1 to A.3.
    raw = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    prefix = bytes.fromhex("302e020100300506032b657004220420")
    der = base64.b64encode(prefix + raw).decode()
    pem = f"-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n"
    shown = AdminKey.from_pem(pem.encode()).public_jwk
    assert shown["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert shown["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_token_says_who_for_whom_and_how_long() -> None:
    key = AdminKey.generate()
    token = key.token("pod-uid", now=1_000_000.7)
    assert jwt.get_unverified_header(token) == {
        "alg": "EdDSA",
        "typ": "JWT",
        "kid": key.public_jwk["kid"],
    }
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims == {
        "iss": "callfleet-operator",
        "aud": "pod-uid",
        "iat": 1_000_000,
        "exp": 1_000_060,
    }


def test_what_is_no_ed25519_key_is_refused() -> None:
    with pytest.raises(AdminKeyError, match="no PEM private key"):
        AdminKey.from_pem(b"nonsense")
    rsa = generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(AdminKeyError, match="not an Ed25519 key"):
        AdminKey.from_pem(rsa)


@pytest.mark.api
class TestSecret:
    """On a real API server."""

    @pytest.fixture
    async def kube(self, api_server: ApiServer) -> AsyncIterator[Kube]:
        async with uncounted(api_server.kubeconfig) as kube:
            yield kube

    async def test_operators_that_start_together_share_a_key(
        self, kube: Kube, api_namespace: str
    ) -> None:
        keys = await asyncio.gather(*(load_or_create(kube, api_namespace) for _ in range(5)))
        assert len({json.dumps(key.public_jwk) for key in keys}) == 1
        later = await load_or_create(kube, api_namespace)
        assert later.public_jwk == keys[0].public_jwk

    async def test_a_spoilt_secret_is_left_to_a_person(
        self, kube: Kube, api_namespace: str
    ) -> None:
        await kube.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": SECRET_NAME, "namespace": api_namespace},
                "data": {"ed25519.pem": base64.b64encode(b"nonsense").decode()},
            }
        )
        with pytest.raises(AdminKeyError, match="Restore it from a backup; or delete it"):
            await load_or_create(kube, api_namespace)
