"""Reading and writing messages."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from callfleet_engine.errors import CallError
from callfleet_engine.signalling.messages import (
    BadMessage,
    Candidate,
    Error,
    Join,
    Reconnect,
    parse,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "room", "token", "offer", "candidate", "pc", "audio"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


def refused(text: str) -> BadMessage:
    with pytest.raises(BadMessage) as error:
        parse(text)
    return error.value


@given(st.text() | st.binary() | json_values.map(json.dumps))
def test_any_input_is_a_message_or_refused(text: str | bytes) -> None:
    try:
        outcome: object = parse(text)
    except BadMessage as error:
        outcome = Error.of(error, error.id)
    assert isinstance(outcome, BaseModel)
    assert json.loads(outcome.model_dump_json(by_alias=True))["type"]


def test_deep_nesting_is_refused() -> None:
    assert refused("[" * 30_000).message == "The message is not JSON."


def test_a_lone_surrogate_is_refused() -> None:
    assert refused(r'{"type": "join", "room": "a", "name": "\ud800"}').id is None


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({}, "type"),
        ({"type": "dance"}, "dance"),
        ({"type": "join"}, "give either room or call"),
        ({"type": "join", "room": "a", "call": "b"}, "give either room or call"),
        ({"type": "join", "room": ""}, "room"),
        ({"type": "join", "room": "a/b"}, "room"),
        ({"type": "join", "room": "x" * 129}, "room"),
        ({"type": "join", "room": "a", "token": "x" * 9000}, "token"),
        ({"type": "join", "room": "a", "name": "a\nb"}, "name"),
        ({"type": "publish"}, "offer"),
        ({"type": "publish", "offer": 7}, "offer"),
        ({"type": "candidate", "pc": "both", "candidate": None}, "pc"),
        ({"type": "candidate", "pc": "publish"}, "candidate"),
        ({"type": "toggle", "audio": "yes"}, "audio"),
        ({"type": "report", "iceErrors": [{"errorCode": "x"}]}, "iceErrors.0.errorCode"),
        ({"type": "report", "iceErrors": [{"errorCode": 1}] * 65}, "iceErrors"),
    ],
)
def test_a_refusal_names_the_field(message: dict[str, object], named: str) -> None:
    assert named in refused(json.dumps({**message, "id": 7})).message


@pytest.mark.parametrize(
    ("given_id", "kept"),
    [(7, 7), ("a", "a"), ("x" * 65, None), (True, None), ([1], None), (None, None)],
)
def test_the_id_of_a_bad_message_comes_back(given_id: object, kept: object) -> None:
    assert refused(json.dumps({"type": "dance", "id": given_id})).id == kept


def test_unknown_fields_are_ignored() -> None:
    message = parse('{"type": "join", "room": "a", "colour": "blue"}')
    assert message == Join(type="join", room="a")


def test_candidates_have_their_own_names() -> None:
    message = parse(
        '{"type": "candidate", "pc": "publish", "candidate": '
        '{"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "a"}}'
    )
    assert isinstance(message, Candidate)
    assert message.candidate is not None
    assert message.candidate.model_dump(by_alias=True) == {
        "candidate": "candidate:1",
        "sdpMid": "0",
        "sdpMLineIndex": 0,
        "usernameFragment": "a",
    }


def test_what_has_no_value_is_left_out() -> None:
    error = CallError("full", "No room.", "Wait.")
    assert json.loads(Error.of(error).to_json()) == {
        "type": "error",
        "code": "full",
        "message": "No room.",
        "remedy": "Wait.",
    }
    error = CallError("full", "No room.", "Wait.", retry_after_ms=0)
    assert json.loads(Error.of(error, 3).to_json()) == {
        "id": 3,
        "type": "error",
        "code": "full",
        "message": "No room.",
        "remedy": "Wait.",
        "retryAfterMs": 0,
    }
    assert json.loads(Reconnect(after_ms=5).to_json()) == {"type": "reconnect", "afterMs": 5}
