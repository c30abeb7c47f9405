from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.render.turn_keys import TurnKey, parse_masters, turn_key
from tests.callfleet_operator.render.samples import MASTER


def test_the_vector_of_the_contract() -> None:
    assert turn_key(MASTER, "media/calls") == TurnKey(
        keyid="d640eb48", key="QujWcIxZXBhv/o5+tmG/8LfzhZsjBa23SiA6FOQ3vw0="
    )


def test_consumers_have_keys_of_their_own_and_share_the_master_s_id() -> None:
    one, other = turn_key(MASTER, "a/calls"), turn_key(MASTER, "b/calls")
    assert one.key != other.key
    assert one.keyid == other.keyid


@given(st.lists(st.binary(min_size=32, max_size=64).map(bytes.hex), min_size=1, max_size=8))
def test_masters_are_read_newest_first(masters: list[str]) -> None:
    text = "\n".join(masters).encode()
    assert parse_masters(text) == parse_masters(text + b"\r\n")
    assert [master.decode() for master in parse_masters(text)] == masters


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty: put one master secret"),
        (b"\n\n", "is empty: put one master secret"),
        (MASTER + b"\nshort", "line 2 of key `secrets` has 5 characters"),
        (b"\n".join([MASTER] * 9), "has 9 lines, 8 are allowed"),
    ],
)
def test_bad_masters_are_refused(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_masters(text)


def test_a_refusal_quotes_no_secret() -> None:
    with pytest.raises(ValueError, match="line 1") as refused:
        parse_masters(b"hunter2")
    assert "hunter2" not in str(refused.value)


@given(st.binary(max_size=200))
def test_whatever_is_accepted_is_long_enough(text: bytes) -> None:
    try:
        masters = parse_masters(text)
    except ValueError:
        return
    assert masters
    assert all(len(master) >= 32 for master in masters)
