"""The extension answers checks that change nothing, with the bytes that the reference writes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aioice import stun
from hypothesis import example, given
from hypothesis import strategies as st

from callfleet_engine import _native
from callfleet_engine.media.ice_lite import MAX_TRANSACTIONS
from callfleet_engine.media.native.totals import read_totals
from callfleet_engine.media.stun_check import Address, authenticated, local_ufrag, success

UFRAG, PASSWORD = b"serving1", b"a password of 24 letters"
CLIENT: Address = ("192.0.2.1", 1001)
CLIENT_6: Address = ("2001:db8::1", 1001, 0, 0)
ELSEWHERE: Address = ("198.51.100.9", 9)
CONNECTION = 1


@dataclass
class Connected:
    """A client whose address is selected."""

    address: Address = CLIENT
    plane: _native.Plane = field(init=False)

    def __post_init__(self) -> None:
        self.plane = _native.Plane([], 0.0)
        self.plane.open(CONNECTION, True)
        self.plane.claim(self.address, CONNECTION)
        self.plane.select(CONNECTION, 0, self.address)
        self.plane.serve(CONNECTION, UFRAG, PASSWORD)

    def receive(self, data: bytes, source: Address | None = None, side: int = 0) -> None:
        self.plane.receive(side, source or self.address, data, 1.0)

    def answers(self) -> list[bytes]:
        return [data for _, _, data in self.plane.take_datagrams()]

    def told(self) -> int:
        return len(self.plane.take(100))


def check(
    username: str = "serving1:peer", password: bytes = PASSWORD, **attributes: object
) -> bytes:
    """What a controlling agent sends."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes = {"USERNAME": username, "PRIORITY": 7, "ICE-CONTROLLING": 1}
    message.attributes |= {name.replace("_", "-"): value for name, value in attributes.items()}
    message.add_message_integrity(password)
    return bytes(message)


def expected(data: bytes, source: Address) -> bytes:
    message = authenticated(data, PASSWORD)
    assert message is not None
    return success(message, source, PASSWORD)


def test_a_connected_clients_check_is_answered_as_by_the_reference() -> None:
    for address in (CLIENT, CLIENT_6):
        client = Connected(address)
        for data in (check(), check(USE_CANDIDATE=None), check(SOFTWARE="libnice 0.1")):
            client.receive(data)
            assert client.answers() == [expected(data, address)]
        assert client.told() == 0
        assert client.plane.take_heard() == [CONNECTION]
        assert client.plane.take_heard() == []


def test_whatever_else_comes_goes_up() -> None:
    client = Connected()
    other = check(ICE_CONTROLLED=1)
    unsigned = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": "a:b"})
    others = [
        (other, CLIENT, 0),
        (check(password=b"x" * 24), CLIENT, 0),
        (check("restart2:peer"), CLIENT, 0),
        (check(), ELSEWHERE, 0),
        (check(), CLIENT, 1),
        (bytes(unsigned), CLIENT, 0),
        (bytes(stun.Message(stun.Method.BINDING, stun.Class.INDICATION)), CLIENT, 0),
        (b"\x00\x01 no stun", CLIENT, 0),
    ]
    for data, source, side in others:
        client.receive(data, source, side)
        assert client.told() == 1, data
        assert client.answers() == []
    assert client.plane.take_heard() == []


def test_nothing_is_answered_before_and_after() -> None:
    client = Connected()
    client.plane.select(CONNECTION, 0, None)
    client.receive(check())
    client.plane.select(CONNECTION, 0, CLIENT)
    client.plane.serve(CONNECTION, b"restart2", PASSWORD)
    client.receive(check())
    assert (client.told(), client.answers()) == (2, [])
    client.receive(check("restart2:peer"))
    assert len(client.answers()) == 1
    client.plane.end(CONNECTION)
    client.receive(check("restart2:peer"))
    assert (client.told(), client.answers()) == (1, [])


def replayed(client: Connected) -> int:
    return dict(read_totals(client.plane).dropped)["replayed"]


def test_a_recording_from_elsewhere_is_counted_and_goes_nowhere() -> None:
    client = Connected()
    recorded = check()
    client.receive(recorded)
    client.receive(recorded)  # a retransmission
    assert len(client.answers()) == 2
    assert replayed(client) == 0
    client.receive(recorded, ELSEWHERE)
    assert (replayed(client), client.told(), client.answers()) == (1, 0, [])
    for _ in range(MAX_TRANSACTIONS):
        client.receive(check())
    client.receive(recorded, ELSEWHERE)
    assert (replayed(client), client.told()) == (1, 1)


@given(
    attributes=st.dictionaries(
        st.sampled_from(["USE-CANDIDATE", "SOFTWARE", "ICE-CONTROLLED", "REALM", "ERROR-CODE"]),
        st.just(None),
    ),
    extra=st.binary(max_size=12),
    damage=st.tuples(st.integers(0, 200), st.integers(0, 255)),
)
@example(attributes={}, extra=b"", damage=(0, 0))
def test_nothing_is_answered_that_the_reference_would_not_answer_so(
    attributes: dict[str, None], extra: bytes, damage: tuple[int, int]
) -> None:
    values: dict[str, Any] = {
        "USE-CANDIDATE": None,
        "SOFTWARE": "x",
        "ICE-CONTROLLED": 1,
        "REALM": "x",
        "ERROR-CODE": (487, ""),
    }
    data = bytearray(check(**{name: values[name] for name in attributes}) + extra)
    if damage[0] < len(data):
        data[damage[0]] ^= damage[1]
    client = Connected()
    client.receive(bytes(data))
    answers, told = client.answers(), client.told()
    if data[0] <= 3:
        assert len(answers) + told == 1
    if answers:
        message = authenticated(bytes(data), PASSWORD)
        assert message is not None
        assert "ICE-CONTROLLED" not in message.attributes
        assert local_ufrag(bytes(data)) == UFRAG
        assert answers == [success(message, CLIENT, PASSWORD)]
