from __future__ import annotations

import pytest
from aioice.stun import Class, Method

from callfleet_relay.auth import (
    CLOCK_SKEW,
    Authenticated,
    AuthenticationError,
    Authenticator,
    Instant,
    Refusal,
)
from callfleet_relay.credentials import (
    NEVER,
    PasswordAlgorithm,
    Principal,
    long_term_key,
    read_users,
    userhash,
)
from callfleet_relay.message import Attribute, IntegrityKey, encode, parse
from callfleet_relay.nonces import NONCE_LIFETIME

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
ALGORITHMS = bytes([0, 2, 0, 0, 0, 1, 0, 0])
OFFERED = (Attribute.PASSWORD_ALGORITHMS, ALGORITHMS)
SHA256, MD5 = PasswordAlgorithm.SHA256, PasswordAlgorithm.MD5


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
        *auth.challenge(CLIENT, NOW)[:2],
    ]
    request = encode(
        Method.ALLOCATE,
        Class.REQUEST,
        b"transaction!",
        [pair for pair in attributes if pair[0] != without],
        key=credential.key,
    )
    return auth.authenticate(parse(request), [CLIENT], now, known).principal


def refusal(auth: Authenticator, credential: Credential, **more: object) -> Refusal:
    with pytest.raises(AuthenticationError) as caught:
        authenticate(auth, credential, **more)  # type: ignore[arg-type] # passed on as it came
    return caught.value.refusal


def test_takes_both_forms_of_usernames() -> None:
    auth = authenticator(SECRET)

    assert authenticate(auth, plain_credential("alice")).user == "alice"
    assert authenticate(auth, consumer_credential("p1")).user == "calls/main:p1"


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
        authenticator(SECRET).authenticate(request, [CLIENT], NOW)

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


def with_algorithms(
    auth: Authenticator, *attributes: tuple[int, bytes], key: IntegrityKey, name: bytes = b"alice"
) -> Authenticated:
    realm, nonce, _ = auth.challenge(CLIENT, NOW)
    named = (Attribute.USERHASH if len(name) == 32 else Attribute.USERNAME, name)
    body = [named, realm, nonce, *attributes]
    request = parse(encode(Method.ALLOCATE, Class.REQUEST, b"transaction!", body, key=key))
    return auth.authenticate(request, [CLIENT], NOW)


def of_users(text: str = "alice:password\n", *secrets: bytes) -> Authenticator:
    return Authenticator(
        realm=REALM,
        secrets=secrets,
        nonce_secret=b"n" * 32,
        max_lifetime=600,
        users=read_users(text, REALM),
        anonymity=not secrets,
    )


def chosen(algorithm: PasswordAlgorithm) -> tuple[int, bytes]:
    return Attribute.PASSWORD_ALGORITHM, algorithm.to_bytes(2, "big") + bytes(2)


def key_of(algorithm: PasswordAlgorithm) -> bytes:
    return long_term_key("alice", REALM, "password", algorithm)


@pytest.mark.parametrize("algorithm", list(PasswordAlgorithm))
def test_a_named_algorithm_makes_the_key_and_the_answer_strong(
    algorithm: PasswordAlgorithm,
) -> None:
    key = IntegrityKey(key_of(algorithm), sha256=True)

    who = with_algorithms(of_users(), OFFERED, chosen(algorithm), key=key)

    assert who.principal.user == "alice"
    assert who.key == key


def test_without_an_algorithm_it_is_md5_and_the_answer_as_weak() -> None:
    for sha256 in (False, True):
        key = IntegrityKey(key_of(MD5), sha256)

        assert with_algorithms(of_users(), key=key).key == IntegrityKey(key_of(MD5))


@pytest.mark.parametrize(
    "attributes",
    [
        [chosen(SHA256)],
        [OFFERED],
        [chosen(SHA256), (Attribute.PASSWORD_ALGORITHMS, ALGORITHMS[4:])],
        [chosen(MD5), (Attribute.PASSWORD_ALGORITHMS, ALGORITHMS[4:])],
        [chosen(MD5), (Attribute.PASSWORD_ALGORITHMS, ALGORITHMS[4:] + ALGORITHMS[:4])],
        [OFFERED, (Attribute.PASSWORD_ALGORITHM, b"\0\3\0\0")],
        [OFFERED, (Attribute.PASSWORD_ALGORITHM, b"")],
    ],
)
def test_a_list_of_algorithms_that_was_tampered_with_is_a_bad_request(
    attributes: list[tuple[int, bytes]],
) -> None:
    for algorithm in PasswordAlgorithm:
        key = IntegrityKey(key_of(algorithm), sha256=True)
        with pytest.raises(AuthenticationError) as caught:
            with_algorithms(of_users(), *attributes, key=key)
        assert caught.value.refusal is Refusal.INCOMPLETE


def test_an_algorithm_without_its_key_is_of_no_use() -> None:
    auth = of_users(f"alice:{REALM}:{key_of(MD5).hex()}\n")

    assert with_algorithms(auth, key=IntegrityKey(key_of(MD5))).principal.user == "alice"
    key = IntegrityKey(key_of(SHA256), sha256=True)
    with pytest.raises(AuthenticationError) as caught:
        with_algorithms(auth, OFFERED, chosen(SHA256), key=key)
    assert caught.value.refusal is Refusal.UNAUTHORIZED


def test_a_hashed_name_is_found_among_the_users() -> None:
    name = userhash("alice", REALM)

    who = with_algorithms(of_users(), key=IntegrityKey(key_of(MD5)), name=name)

    assert who.principal.username == "alice"
    for wrong in (userhash("bob", REALM), userhash("alice", "elsewhere")):
        with pytest.raises(AuthenticationError) as caught:
            with_algorithms(of_users(), key=IntegrityKey(key_of(MD5)), name=wrong)
        assert caught.value.refusal is Refusal.UNAUTHORIZED


def test_a_name_and_its_hash_together_are_a_bad_request() -> None:
    both = (Attribute.USERHASH, userhash("alice", REALM))

    with pytest.raises(AuthenticationError) as caught:
        with_algorithms(of_users(), both, key=IntegrityKey(key_of(MD5)))

    assert caught.value.refusal is Refusal.INCOMPLETE


def test_names_are_to_be_hidden_where_all_of_them_are_known() -> None:
    def nonce(auth: Authenticator) -> bytes:
        return auth.challenge(CLIENT, NOW)[1][1]

    assert nonce(of_users()).startswith(b"obMatJos2wAAA")
    assert nonce(of_users("alice:password\n", SECRET)).startswith(b"obMatJos2gAAA")
    assert nonce(authenticator(SECRET)).startswith(b"obMatJos2gAAA")


def test_users_and_rest_credentials_go_together() -> None:
    auth = of_users("alice:password\n", SECRET)

    assert authenticate(auth, plain_credential("bob", expires=UNIX + 60)).user == "bob"
    assert authenticate(auth, Credential("alice", "password")).user == "alice"


def test_a_user_without_secrets_never_expires() -> None:
    later = Instant(NOW.monotonic, UNIX * 2)

    who = authenticate(of_users(), Credential("alice", "password"), now=later)

    assert who.expires == NEVER


def test_a_changed_password_counts_for_allocations_too() -> None:
    auth = of_users()
    alice = Credential("alice", "password")
    known = authenticate(auth, alice)

    auth.replace_users(read_users("alice:another\n", REALM))

    assert refusal(auth, alice, known=known) is Refusal.UNAUTHORIZED
    assert authenticate(auth, Credential("alice", "another"), known=known).user == "alice"
    auth.replace_users(read_users("bob:another\n", REALM))
    assert refusal(auth, Credential("alice", "another"), known=known) is Refusal.UNAUTHORIZED


def test_a_rest_credential_that_holds_the_allocation_may_be_hashed() -> None:
    auth = authenticator(SECRET)
    credential = plain_credential()
    known = authenticate(auth, credential)
    realm, nonce, _ = auth.challenge(CLIENT, NOW)
    hashed = (Attribute.USERHASH, userhash(credential.username, REALM))
    request = parse(
        encode(4, Class.REQUEST, b"transaction!", [hashed, realm, nonce], key=credential.key)
    )

    assert auth.authenticate(request, [CLIENT], NOW, known).principal == known
    with pytest.raises(AuthenticationError):
        auth.authenticate(request, [CLIENT], NOW)
