"""What the operator says of a ConfigMap with presets, and what engines do with it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.presets import BUILT_IN, parse_presets
from callfleet_operator.observe.presets import presets_problem
from tests import presets
from tests.presets import BAD, GOOD


def config_map(text: str) -> dict[str, Any]:
    return {"data": {"presets.yaml": text}}


@pytest.mark.parametrize("text", GOOD)
def test_what_is_in_order(text: str) -> None:
    assert presets_problem(config_map(text)) == ""


@pytest.mark.parametrize(("text", "named"), BAD, ids=[named for _, named in BAD])
def test_what_engines_refuse_is_named(text: str, named: str) -> None:
    assert named in presets_problem(config_map(text))


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (None, "does not exist"),
        ({}, "has no key presets.yaml"),
        ({"data": {"presets.json": "{}"}}, "has no key presets.yaml"),
        ({"binaryData": {"presets.yaml": "e30="}}, "has no key presets.yaml"),
    ],
)
def test_what_is_not_there(found: dict[str, Any] | None, problem: str) -> None:
    assert presets_problem(found) == problem


@given(presets.valid() | presets.nearly() | st.text(max_size=60))
def test_engines_take_just_what_is_in_order(content: Any) -> None:  # noqa: ANN401
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    try:
        parse_presets(text.encode())
        taken = True
    except ValueError:
        taken = False
    assert taken == (presets_problem(config_map(text)) == "")


def test_the_built_in_ones_can_be_written_down() -> None:
    content = BUILT_IN.model_dump(by_alias=True, exclude_none=True)
    assert presets_problem(config_map(yaml.safe_dump(content))) == ""
