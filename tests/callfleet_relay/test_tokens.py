from __future__ import annotations

import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callfleet_relay.tokens import InvalidKeysError, TokenError, TokenVerifier, read_keys

UID = "pod-uid"
KEY = Ed25519PrivateKey.generate()


def jwk_set(key: Ed25519PrivateKey = KEY, kid: str = "k1") -> str:
    public = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return json.dumps({"keys": [{**public, "kid": kid}]})


def token(key: Ed25519PrivateKey = KEY, *, kid: str = "k1", **claims: object) -> str:
    now = int(time.time())
    payload = {"iss": "callfleet-operator", "aud": UID, "iat": now, "exp": now + 60} | claims
    kept = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(kept, key, algorithm="EdDSA", headers={"kid": kid})


def refused(authorization: str | None) -> str:
    with pytest.raises(TokenError) as caught:
        TokenVerifier(read_keys(jwk_set()), UID).verify(authorization)
    return caught.value.code


def test_takes_a_token_of_the_operator() -> None:
    TokenVerifier(read_keys(jwk_set()), UID).verify(f"Bearer {token()}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc"])
def test_asks_for_a_token(header: str | None) -> None:
    assert refused(header) == "token_missing"


def test_refuses_what_does_not_verify() -> None:
    now = int(time.time())
    stranger = Ed25519PrivateKey.generate()

    assert refused("Bearer nonsense") == "token_invalid"
    assert refused(f"Bearer {token(stranger)}") == "token_invalid"
    assert refused(f"Bearer {token(kid='k2')}") == "token_invalid"
    assert refused(f"Bearer {token(iss='somebody')}") == "token_invalid"
    assert refused(f"Bearer {token(iat=None)}") == "token_invalid"
    assert refused(f"Bearer {token(exp=now + 3600)}") == "token_invalid"
    assert refused(f"Bearer {token(exp=now - 30, iat=now - 60)}") == "token_expired"
    assert refused(f"Bearer {token(aud='other-pod')}") == "wrong_audience"
    hs256 = jwt.encode({"aud": UID}, "x" * 32, algorithm="HS256", headers={"kid": "k1"})
    assert refused(f"Bearer {hs256}") == "token_invalid"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"keys": []}', '{"keys": [{"kty": "OKP"}]}'])
def test_unusable_key_files_are_explained(text: str) -> None:
    with pytest.raises(InvalidKeysError, match=r"JWK Set|no key"):
        read_keys(text)
