from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from callfleet_relay.credentials import (
    MAX_USERS,
    InvalidSecretsError,
    InvalidUsersError,
    PasswordAlgorithm,
    long_term_key,
    read_secrets,
    read_users,
    userhash,
)

from .support import REALM, SECRET, Credential, consumer_credential

MD5, SHA256 = PasswordAlgorithm.MD5, PasswordAlgorithm.SHA256


def test_the_password_is_what_the_contract_says() -> None:
    derived = hmac.new(SECRET, b"callfleet-turn:calls/main", hashlib.sha256).digest()
    key_name = hmac.new(SECRET, b"callfleet-keyid", hashlib.sha256).hexdigest()[:8]
    username = f"1800003600:{key_name}:calls/main:p1"
    signature = hmac.new(base64.b64encode(derived), username.encode(), hashlib.sha1).digest()

    assert consumer_credential("p1") == Credential(username, base64.b64encode(signature).decode())


def test_reads_secrets_newest_first_as_they_stand() -> None:
    text = f"{'a' * 31} \n\n{'b' * 40}\r\n"

    assert read_secrets(text) == (b"a" * 31 + b" ", b"b" * 40)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "write one a line"),
        (f"{'a' * 40}\n{'b' * 31}", "secret 2 has 31 characters"),
        ("\n".join(["c" * 32] * 65), "keep at most 64"),
    ],
)
def test_unusable_secret_files_are_explained(text: str, remedy: str) -> None:
    with pytest.raises(InvalidSecretsError, match=remedy):
        read_secrets(text)


def test_a_password_makes_both_keys() -> None:
    users = read_users("alice:correct horse\n# nobody\n\nbob:with:colon\n", REALM)

    alice, bob = users.named("alice"), users.named("bob")

    assert alice is not None
    assert bob is not None
    assert alice.keys[MD5] == hashlib.md5(f"alice:{REALM}:correct horse".encode()).digest()  # noqa: S324 - the RFC's
    assert alice.keys[SHA256] == hashlib.sha256(f"alice:{REALM}:correct horse".encode()).digest()
    assert bob.keys[MD5] == long_term_key("bob", REALM, "with:colon")
    assert len(users) == 2


def test_a_user_may_have_a_key_of_each_algorithm_and_no_password() -> None:
    text = f"alice:{REALM}:{'0a' * 16}\nalice:{REALM}:{'0B' * 32}\nbob:{REALM}:{'0c' * 16}"

    users = read_users(text, REALM)

    alice, bob = users.named("alice"), users.named("bob")
    assert alice is not None
    assert bob is not None
    assert alice.keys == {MD5: b"\x0a" * 16, SHA256: b"\x0b" * 32}
    assert bob.keys == {MD5: b"\x0c" * 16}


def test_users_are_found_by_the_hash_of_their_name() -> None:
    users = read_users("\u30de:x\n", REALM)

    assert users.hashed(hashlib.sha256(f"\u30de:{REALM}".encode()).digest()) is users.named(
        "\u30de"
    )
    assert users.hashed(userhash("\u30de", "another realm")) is None


def test_passwords_are_prepared_as_clients_prepare_them() -> None:
    users = read_users("alice:e\u0301\u00a0t\u00e9\n", REALM)

    alice = users.named("alice")

    assert alice is not None
    assert alice.keys[MD5] == long_term_key("alice", REALM, "\u00e9 t\u00e9")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "it holds no user: write USER:PASSWORD"),
        ("# alice:password\n", "it holds no user"),
        ("alice:a\nbob\n", "line 2: write USER:PASSWORD or USER:REALM:KEY"),
        (":password", "line 1: write USER:PASSWORD"),
        ("alice:", "line 1: write USER:PASSWORD"),
        ("alice:a\nalice:b\n", "line 2: 'alice' is there already"),
        (f"alice:{REALM}:{'0a' * 16}\nalice:b\n", "line 2: 'alice' is there already"),
        (f"alice:elsewhere:{'0a' * 16}", "made for the realm 'elsewhere' and --realm is 'test'"),
        ("alice:a\tb", "line 1: the password has a control character"),
        (f"{'x' * 509}:a", "line 1: the name is longer than 508 bytes"),
        ("".join(f"u{n}:p\n" for n in range(MAX_USERS + 1)), f"more than {MAX_USERS} users"),
    ],
)
def test_unusable_user_files_are_explained(text: str, remedy: str) -> None:
    with pytest.raises(InvalidUsersError, match=remedy):
        read_users(text, REALM)
