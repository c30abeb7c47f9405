from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from aioice.stun import Class, Method
from hypothesis import given
from hypothesis import strategies as st

from callfleet_relay.auth import (
    CLOCK_SKEW,
    NONCE_LIFETIME,
    AuthenticationError,
    Authenticator,
    Instant,
    InvalidSecretsError,
    Nonces,
    Principal,
    Refusal,
    read_secrets,
)
from callfleet_relay.message import Attribute, encode, parse

from .support import (
    REALM,
    SECRET,
    UNIX,
    Credential,
    consumer_credential,
    plain_credential,
)

CLIENT = ("198.51.100.7", 40000)
NOW = Instant(1000.0, UNIX)
OTHER = b"another-secret-of-32-characters-or-so"


def authenticator(*secrets: bytes, max_lifetime: float = 86_400) -> Authenticator:
    return Authenticator(
        realm=REALM, secrets=secrets, nonce_secret=b"n" * 32, max_lifetime=max_lifetime
    )


def authenticate(
    auth: Authenticator,
    credential: Credential,
    *,
    now: Instant = NOW,
    without: Attribute | None = None,
    known: Principal | None = None,
) -> Principal:
    attributes = [
        (Attribute.USERNAME, credential.username.encode()),
        *auth.challenge(CLIENT, NOW),
    ]
    request = encode(
        Method.ALLOCATE,
        Class.REQUEST,
        b"transaction!",
        [pair for pair in attributes if pair[0] != without],
        key=credential.key,
    )
    return auth.authenticate(parse(request), CLIENT, now, known)


def refusal(auth: Authenticator, credential: Credential, **more: object) -> Refusal:
    with pytest.raises(AuthenticationError) as caught:
        authenticate(auth, credential, **more)  # type: ignore[arg-type] # passed on as it came
    return caught.value.refusal


def test_takes_both_forms_of_usernames() -> None:
    auth = authenticator(SECRET)

    assert authenticate(auth, plain_credential("alice")).user == "alice"
    assert authenticate(auth, consumer_credential("p1")).user == "calls/main:p1"


def test_the_password_is_what_the_contract_says() -> None:
    derived = hmac.new(SECRET, b"callfleet-turn:calls/main", hashlib.sha256).digest()
    key_name = hmac.new(SECRET, b"callfleet-keyid", hashlib.sha256).hexdigest()[:8]
    username = f"1800003600:{key_name}:calls/main:p1"
    signature = hmac.new(base64.b64encode(derived), username.encode(), hashlib.sha1).digest()

    assert consumer_credential("p1") == Credential(username, base64.b64encode(signature).decode())


@pytest.mark.parametrize(
    "credential",
    [
        plain_credential(secret=OTHER),
        consumer_credential(secret=OTHER),
        Credential(consumer_credential().username, consumer_credential("p2").password),
        Credential("alice", "password"),
        Credential("", ""),
        Credential(f"{int(UNIX) + 9}:", "x"),
        Credential("x" * 600, "x"),
    ],
)
def test_refuses_who_is_not_proved(credential: Credential) -> None:
    assert refusal(authenticator(SECRET), credential) is Refusal.UNAUTHORIZED


def test_a_consumers_key_signs_for_no_other_consumer() -> None:
    mine, theirs = consumer_credential(), consumer_credential(consumer="other/one")
    forged = Credential(theirs.username, mine.password)

    assert refusal(authenticator(SECRET), forged) is Refusal.UNAUTHORIZED


def test_refuses_expired_credentials() -> None:
    expired = plain_credential(expires=UNIX)

    assert refusal(authenticator(SECRET), expired) is Refusal.EXPIRED


def test_enforces_the_longest_lifetime() -> None:
    auth = authenticator(SECRET, max_lifetime=600)
    longest = UNIX + 600 + CLOCK_SKEW

    assert authenticate(auth, plain_credential(expires=longest)).expires == longest
    assert refusal(auth, plain_credential(expires=longest + 1)) is Refusal.UNAUTHORIZED


@pytest.mark.parametrize("missing", [Attribute.USERNAME, Attribute.REALM, Attribute.NONCE])
def test_a_signed_request_needs_all_of_the_credential(missing: Attribute) -> None:
    assert refusal(authenticator(SECRET), plain_credential(), without=missing) is Refusal.INCOMPLETE


def test_an_unsigned_request_is_challenged() -> None:
    request = parse(encode(Method.ALLOCATE, Class.REQUEST, b"transaction!", []))

    with pytest.raises(AuthenticationError) as caught:
        authenticator(SECRET).authenticate(request, CLIENT, NOW)

    assert caught.value.refusal is Refusal.CHALLENGED


def test_an_old_nonce_is_stale() -> None:
    later = Instant(NOW.monotonic + NONCE_LIFETIME + 1, NOW.unix)

    assert refusal(authenticator(SECRET), plain_credential(), now=later) is Refusal.STALE_NONCE


def test_every_secret_verifies_and_a_removed_one_does_not() -> None:
    auth = authenticator(OTHER, SECRET)
    authenticate(auth, plain_credential(secret=SECRET))
    authenticate(auth, consumer_credential(secret=OTHER))

    auth.replace_secrets((OTHER,))

    assert refusal(auth, plain_credential(secret=SECRET)) is Refusal.UNAUTHORIZED
    assert refusal(auth, consumer_credential(secret=SECRET)) is Refusal.UNAUTHORIZED


def test_an_allocation_outlives_the_secret_it_was_made_with() -> None:
    auth = authenticator(SECRET)
    credential = consumer_credential()
    known = authenticate(auth, credential)

    auth.replace_secrets((OTHER,))

    assert authenticate(auth, credential, known=known) == known


@pytest.mark.parametrize(
    ("client", "later"),
    [(("198.51.100.8", 40000), 0.0), (("198.51.100.7", 40001), 0.0), (CLIENT, -2.0)],
)
def test_a_nonce_is_bound_to_address_and_time(client: tuple[str, int], later: float) -> None:
    nonces = Nonces(b"n" * 32)
    nonce = nonces.issue(CLIENT, NOW)

    assert nonces.is_fresh(nonce, CLIENT, NOW)
    assert not nonces.is_fresh(nonce, client, Instant(NOW.monotonic + later, NOW.unix))
    assert not Nonces(b"m" * 32).is_fresh(nonce, CLIENT, NOW)


@given(st.binary(max_size=60))
def test_nobody_guesses_a_nonce(nonce: bytes) -> None:
    assert not Nonces(b"n" * 32).is_fresh(nonce, CLIENT, NOW)


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
