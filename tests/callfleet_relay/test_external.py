from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from aioice.stun import Class, Method

from callfleet_relay import external
from callfleet_relay.external import (
    AddressUnknownError,
    BadAnswerError,
    find_address,
    find_addresses,
    fixed_address,
    mapped_address,
)
from callfleet_relay.message import Attribute, encode, pack_address
from callfleet_relay.relay import Relay
from callfleet_relay.settings import Settings, StunServer, parse_address

ID = b"t" * 12
LOCAL = IPv4Address("10.0.0.1")


def settings(**more: object) -> Settings:
    smallest: dict[str, object] = {"relay_address": "10.0.0.1", "secret_file": "secrets"}
    return Settings.model_validate(smallest | more)


def answer(
    host: str = "198.51.100.1",
    *,
    method: int = Method.BINDING,
    kind: Class = Class.RESPONSE,
    transaction_id: bytes = ID,
) -> bytes:
    mapped = (int(Attribute.XOR_MAPPED_ADDRESS), pack_address((host, 40000), transaction_id))
    return encode(method, kind, transaction_id, [mapped])


def test_says_which_address_it_is_and_why() -> None:
    told = [
        fixed_address(settings(), LOCAL),
        fixed_address(settings(external_address="198.51.100.1"), LOCAL),
        fixed_address(
            settings(external_address="host", host_address="2001:db8::1,192.0.2.7"), LOCAL
        ),
    ]

    assert [each.as_dict() for each in told if each] == [
        {"address": "10.0.0.1", "source": "--relay-address"},
        {"address": "198.51.100.1", "source": "--external-address"},
        {"address": "192.0.2.7", "source": "--external-address host, --host-address"},
    ]
    assert fixed_address(settings(external_address="stun:server:3478"), LOCAL) is None


async def test_each_family_has_its_own_address() -> None:
    both = settings(
        relay_address=("10.0.0.1", "fd00::1"),
        external_address=("2001:db8::7", "host"),
        host_address="192.0.2.7",
    )

    assert [each.as_dict() for each in await find_addresses(both)] == [
        {"address": "192.0.2.7", "source": "--external-address host, --host-address"},
        {"address": "2001:db8::7", "source": "--external-address"},
    ]


def test_a_good_answer_is_believed() -> None:
    assert mapped_address(answer(), ID, LOCAL) == "198.51.100.1"
    assert mapped_address(answer("::1"), ID, IPv6Address("::1")) == "::1"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no STUN message"),
        (answer(transaction_id=b"o" * 12), "to another request"),
        (answer(kind=Class.ERROR), "no success response"),
        (answer(kind=Class.REQUEST), "no success response"),
        (answer(method=Method.ALLOCATE), "no success response"),
        (encode(Method.BINDING, Class.RESPONSE, ID, []), "no XOR-MAPPED-ADDRESS"),
        (encode(Method.BINDING, Class.RESPONSE, ID, [(0x0020, b"\0\1")]), "XOR-MAPPED-ADDRESS: "),
        (answer("2001:db8::1"), "another family"),
        (answer("0.0.0.0"), "reaches nobody"),
        (answer("127.0.0.1"), "reaches nobody"),
        (answer("224.0.0.1"), "reaches nobody"),
        (answer("169.254.1.1"), "reaches nobody"),
    ],
)
def test_what_cannot_be_believed_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(BadAnswerError, match=message):
        mapped_address(data, ID, LOCAL)


async def test_a_stun_server_is_asked(relay: Relay) -> None:
    (server,) = [text for text in relay.listening if text.startswith("udp")]
    host, port = parse_address(server.removeprefix("udp://"))

    found = await find_address(
        settings(relay_address="127.0.0.1", external_address=f"stun:{host}:{port}"),
        IPv4Address("127.0.0.1"),
    )

    assert found.as_dict() == {
        "address": "127.0.0.1",
        "source": f"--external-address stun:{host}:{port}",
    }


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(external, "RETRANSMIT_SECONDS", (0.01, 0.01))


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def waiting(bound: socket.socket) -> list[bytes]:
    """The datagrams that have come."""
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(bound.recv(100))
    return found


@pytest.mark.usefixtures("impatient")
async def test_who_never_answers_is_given_up_with_a_remedy(silent: socket.socket) -> None:
    server = f"stun:127.0.0.1:{silent.getsockname()[1]}"

    with pytest.raises(AddressUnknownError, match="no answer: name a STUN server") as refused:
        await find_address(
            settings(relay_address="127.0.0.1", external_address=server), IPv4Address("127.0.0.1")
        )

    assert f"--external-address {server}" in str(refused.value)
    assert len(waiting(silent)) == external.ROUNDS * len(external.RETRANSMIT_SECONDS)


async def test_a_lost_request_is_sent_again(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "RETRANSMIT_SECONDS", (0.01, 20.0))
    host, port = silent.getsockname()
    asked = asyncio.ensure_future(external.ask(StunServer(host, port), IPv4Address("127.0.0.1")))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        await loop.sock_recvfrom(silent, 100)
        request, source = await loop.sock_recvfrom(silent, 100)
        silent.sendto(answer("127.0.0.9", transaction_id=request[8:20]), source)

        assert ip_address(await asked) == ip_address("127.0.0.9")
