"""Join tokens: what is accepted, what is refused and with which words, and the keys file."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.store.interface import NAME_LENGTH, ROOM_LENGTH
from callfleet_engine.token_keys import (
    Algorithm,
    JoinKey,
    KeysFileInvalid,
    new_key,
    parse_keys,
    public_part,
    to_jwk,
)
from callfleet_engine.tokens import (
    LEEWAY,
    LONGEST_IDENTITY,
    LONGEST_ROOM,
    BadSignature,
    Grant,
    JoinKeys,
    NotPermitted,
    Permission,
    TokenError,
    TokenExpired,
    TokenMalformed,
    TokenMissing,
    TokenNotYetValid,
    UnknownKey,
    WrongRoom,
    mint,
    verify,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = new_key(Algorithm.HS256)
PAIR = new_key(Algorithm.EDDSA)
KEYS = {SECRET.kid: SECRET, PAIR.kid: public_part(PAIR)}
GRANT = Grant(
    identity="ada",
    room="demo",
    can=frozenset({Permission.PUBLISH, Permission.START}),
    expires=NOW + timedelta(hours=1),
)


def signed(claims: Mapping[str, Any], key: JoinKey = SECRET, **header: object) -> str:
    assert key.private is not None
    return jwt.encode(
        dict(claims), key.private, algorithm=key.algorithm, headers={"kid": key.kid} | header
    )


def claims(**changes: object) -> dict[str, Any]:
    whole = {"sub": "ada", "room": "demo", "can": ["publish"], "exp": int(NOW.timestamp()) + 60}
    return {name: value for name, value in (whole | changes).items() if value is not ...}


def compact(header: object, payload: object, signature: bytes) -> str:
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize("key", [SECRET, PAIR], ids=["HS256", "EdDSA"])
def test_a_minted_token_grants_what_was_asked(key: JoinKey) -> None:
    assert verify(KEYS, mint(key, GRANT), NOW) == GRANT


def test_a_grant_is_for_its_room_and_permissions() -> None:
    GRANT.require_room("demo")
    GRANT.require(Permission.START)
    with pytest.raises(WrongRoom, match=r"another room\. Use the link"):
        GRANT.require_room("Demo")
    with pytest.raises(NotPermitted, match=r"not allow to moderate.*--can moderate"):
        GRANT.require(Permission.MODERATE)


@pytest.mark.parametrize("token", [None, ""])
def test_a_token_is_needed(token: str | None) -> None:
    with pytest.raises(TokenMissing, match="`callfleet token` makes them"):
        verify(KEYS, token, NOW)


def test_a_token_ends_with_its_time_and_the_leeway() -> None:
    token = mint(SECRET, GRANT)
    just_good = GRANT.expires + LEEWAY - timedelta(seconds=1)

    assert verify(KEYS, token, just_good) == GRANT
    with pytest.raises(TokenExpired, match="good until 2026-01-02 04:04:05 UTC"):
        verify(KEYS, token, GRANT.expires + LEEWAY)


def test_a_token_can_begin_later() -> None:
    begin = int(NOW.timestamp()) + 11
    token = signed(claims(nbf=begin))

    with pytest.raises(TokenNotYetValid, match="from 2026-01-02 03:04:16 UTC on"):
        verify(KEYS, token, NOW)
    verify(KEYS, token, NOW + timedelta(seconds=1))


def test_a_key_that_is_not_in_the_file() -> None:
    with pytest.raises(UnknownKey):
        verify(KEYS, mint(new_key(Algorithm.HS256), GRANT), NOW)


def test_a_signature_of_another_key_under_this_kid() -> None:
    for other, kid in (
        (new_key(Algorithm.HS256), SECRET.kid),
        (new_key(Algorithm.EDDSA), PAIR.kid),
    ):
        with pytest.raises(BadSignature):
            verify(KEYS, signed(claims(), other, kid=kid), NOW)


def test_an_altered_claim_breaks_the_signature() -> None:
    header, _, signature = signed(claims()).split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims(room="other")).encode()).rstrip(b"=")
    with pytest.raises(BadSignature):
        verify(KEYS, f"{header}.{payload.decode()}.{signature}", NOW)


def test_the_public_key_is_no_hs256_secret() -> None:
    """The classic confusion of algorithms: what verifies EdDSA is known to everybody."""
    assert not isinstance(PAIR.public, bytes)
    public = PAIR.public.public_bytes_raw()
    for secret in (public, base64.urlsafe_b64encode(public), json.dumps(to_jwk(PAIR)).encode()):
        header = {"alg": "HS256", "typ": "JWT", "kid": PAIR.kid}
        unsigned = compact(header, claims(), b"").rstrip(".")
        signature = hmac.digest(secret, unsigned.encode(), "sha256")
        with pytest.raises(BadSignature):
            verify(KEYS, compact(header, claims(), signature), NOW)


@pytest.mark.parametrize("alg", ["none", "None", "HS512", "RS256", "EdDSA"])
def test_the_token_does_not_choose_the_algorithm(alg: str) -> None:
    with pytest.raises(BadSignature):
        verify(KEYS, compact({"alg": alg, "kid": SECRET.kid}, claims(), b""), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a" * 257},
        {"sub": "a\x00"},
        {"room": ...},
        {"room": ["demo"]},
        {"room": "r" * 129},
        {"room": "\ud800"},
        {"can": ...},
        {"can": "publish"},
        {"can": [1]},
        {"exp": ...},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": -1},
        {"exp": 10**30},
        {"nbf": "yesterday"},
        {"aud": "somebody else"},
    ],
)
def test_claims_that_no_join_token_has(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenMalformed) as error:
        verify(KEYS, signed(claims(**changes)), NOW)
    assert next(iter(changes)) in str(error.value)


def test_permissions_of_a_later_release_are_passed_over() -> None:
    token = signed(claims(can=["fly", "subscribe"], later={"x": 1}))

    assert verify(KEYS, token, NOW).can == {Permission.SUBSCRIBE}


@pytest.mark.parametrize(
    "token",
    [
        "garbage",
        "a.b.c",
        "..",
        "é.é.é",
        "x" * 8193,
        compact({"alg": "HS256"}, {}, b""),
        compact({"alg": "HS256", "kid": ["x"]}, {}, b""),
        compact({"alg": "HS256", "kid": {}}, {}, b""),
        compact([], {}, b""),
    ],
)
def test_what_is_no_join_token(token: str) -> None:
    with pytest.raises(TokenMalformed):
        verify(KEYS, token, NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.text() | st.builds(compact, JSON, JSON, st.binary(max_size=40)))
def test_garbage_is_refused_with_a_typed_error(token: str) -> None:
    with pytest.raises(TokenError):
        verify(KEYS, token, NOW)


@given(st.dictionaries(st.sampled_from(["sub", "room", "can", "exp", "nbf", "x"]), JSON))
def test_signed_garbage_is_refused_with_a_typed_error(payload: dict[str, Any]) -> None:
    assert SECRET.private is not None
    token = jwt.PyJWS().encode(
        json.dumps(payload).encode(), SECRET.private, "HS256", {"kid": SECRET.kid}
    )
    with pytest.raises(TokenError):
        verify(KEYS, token, NOW)


def test_errors_never_quote_the_token_or_a_key() -> None:
    token = mint(new_key(Algorithm.HS256), GRANT)
    with pytest.raises(UnknownKey) as error:
        verify(KEYS, token, NOW)
    assert token.split(".")[2] not in repr(error.value)
    assert to_jwk(SECRET)["k"] not in repr(SECRET)


@pytest.mark.parametrize("key", [SECRET, PAIR, public_part(PAIR)])
def test_keys_survive_being_written_and_read(key: JoinKey) -> None:
    document = json.dumps({"keys": [to_jwk(key)]}).encode()

    (read,) = parse_keys(document).values()

    assert to_jwk(read) == to_jwk(key)
    assert read.algorithm is key.algorithm


def test_a_public_key_cannot_sign() -> None:
    with pytest.raises(KeysFileInvalid, match="public key, which cannot sign"):
        mint(public_part(PAIR), GRANT)
    with pytest.raises(KeysFileInvalid, match=r"no public part.*--algorithm EdDSA"):
        public_part(SECRET)


GOOD = to_jwk(SECRET)
OTHER = to_jwk(new_key(Algorithm.EDDSA))


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("", "no JSON"),
        ("[" * 60_000, "no JSON"),
        ("[]", "no JWK Set"),
        ({"keys": {}}, "no JWK Set"),
        ({"keys": []}, "1 to 100 keys"),
        ({"keys": [GOOD] * 101}, "1 to 100 keys"),
        ({"keys": [None]}, "Key 1 has no kid"),
        ({"keys": [GOOD, GOOD | {"kid": ""}]}, "Key 2 has no kid"),
        ({"keys": [GOOD, GOOD]}, "Two keys"),
        ({"keys": [GOOD | {"kty": "RSA"}]}, "type that is not used"),
        ({"keys": [OTHER | {"crv": "Ed448"}]}, "type that is not used"),
        ({"keys": [GOOD | {"alg": "HS512"}]}, "meant for something else"),
        ({"keys": [OTHER | {"alg": "HS256"}]}, "meant for something else"),
        ({"keys": [GOOD | {"use": "enc"}]}, "meant for something else"),
        ({"keys": [GOOD | {"k": "c2hvcnQ"}]}, "shorter than 32 bytes"),
        ({"keys": [GOOD | {"k": "a b"}]}, "no base64url"),
        ({"keys": [GOOD | {"k": "ü"}]}, "no base64url"),
        ({"keys": [GOOD | {"k": 5}]}, "no base64url"),
        ({"keys": [OTHER | {"x": "AAAA"}]}, "length of an Ed25519 key"),
        ({"keys": [OTHER | {"d": to_jwk(PAIR)["d"]}]}, "does not fit"),
    ],
)
def test_keys_files_that_are_refused(document: object, says: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))

    with pytest.raises(KeysFileInvalid, match=says) as error:
        JoinKeys(file)

    assert str(file) in str(error.value)
    for jwk in (GOOD, OTHER):
        assert not any(jwk.get(name, "?") in repr(error.value) for name in "kd")


def test_keys_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(KeysFileInvalid, match="No such file"):
        JoinKeys(tmp_path / "keys.json")
    with pytest.raises(KeysFileInvalid, match="Is a directory"):
        JoinKeys(tmp_path)
    (tmp_path / "large").write_bytes(b" " * 65537)
    with pytest.raises(KeysFileInvalid, match="larger than"):
        JoinKeys(tmp_path / "large")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


def write(path: Path, *keys: JoinKey) -> None:
    path.write_text(json.dumps({"keys": [to_jwk(key) for key in keys]}))


def problem_of(keys: JoinKeys) -> str | None:
    """Looked up anew each time, which a type checker does not expect of a property."""
    return keys.problem


def soon() -> Grant:
    return Grant("ada", "demo", frozenset(), datetime.now(UTC).replace(microsecond=0) + LEEWAY)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    old, new = new_key(Algorithm.HS256), new_key(Algorithm.EDDSA)
    write(file, old)
    keys = JoinKeys(file, clock=Clock())
    of_old = keys.mint(soon())
    write(file, new, old)

    of_new = keys.mint(soon())

    assert jwt.get_unverified_header(of_new)["kid"] == new.kid
    assert keys.verify(of_old).identity == keys.verify(of_new).identity == "ada"
    write(file, new)
    with pytest.raises(UnknownKey):
        keys.verify(of_old)


def test_a_secret_that_kubernetes_exchanges_is_read_again(tmp_path: Path) -> None:
    """A mounted Secret is a link to a directory of its version, exchanged by a rename."""
    old, new = new_key(Algorithm.HS256), new_key(Algorithm.HS256)
    for version, key in (("1", old), ("2", new)):
        (tmp_path / version).mkdir()
        write(tmp_path / version / "keys.json", key)
        os.utime(tmp_path / version / "keys.json", (1, 1))
    (tmp_path / "data").symlink_to("1")
    keys = JoinKeys(tmp_path / "data" / "keys.json", clock=Clock())
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(tmp_path / "data")

    assert keys.verify(mint(new, soon())).identity == "ada"


def test_a_file_that_breaks_leaves_the_last_good_keys(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.json"
    write(file, SECRET)
    keys = JoinKeys(file, clock=Clock())
    assert problem_of(keys) is None
    file.write_text("{")

    for _ in range(3):
        assert keys.verify(mint(SECRET, soon())).identity == "ada"
    assert "no JSON" in str(problem_of(keys))
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "keys read before stay in use" in caplog.text
    file.unlink()
    assert "No such file" in str(problem_of(keys))
    write(file, PAIR)
    assert problem_of(keys) is None
    with caplog.at_level(logging.INFO), pytest.raises(UnknownKey):
        keys.verify(mint(SECRET, soon()))


def test_a_file_of_public_keys_cannot_mint(tmp_path: Path) -> None:
    write(tmp_path / "keys.json", public_part(PAIR))
    with pytest.raises(KeysFileInvalid, match="public key"):
        JoinKeys(tmp_path / "keys.json").mint(GRANT)


def test_what_a_token_can_carry_the_store_can_hold() -> None:
    assert (LONGEST_ROOM, LONGEST_IDENTITY) == (ROOM_LENGTH, NAME_LENGTH)


def test_a_grant_that_no_token_can_carry_is_not_minted() -> None:
    for identity, room in (("", "demo"), ("ada", "r" * 129)):
        with pytest.raises(ValueError, match="no text of 1 to"):
            mint(SECRET, Grant(identity, room, frozenset(), NOW))
