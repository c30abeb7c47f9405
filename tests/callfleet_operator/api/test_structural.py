from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, computed_field

from callfleet_operator.api.v1alpha1.model import LIST_KEYS, Model, rule, validated
from callfleet_operator.api.v1alpha1.structural import hoisted_rules, structural_schema


class Inner(Model):
    """A part."""

    model_config = validated(rule("self.low <= self.high", "low above high", field_path=".low"))

    low: int = Field(default=1, ge=0, le=9)
    """The lower one."""
    high: int = Field(default=2, ge=0, le=9)
    """The higher one."""


class Item(Model):
    """One of several."""

    name: str = Field(max_length=9)
    """Its name."""
    namespace: str = Field(default="", max_length=9)
    """Its namespace."""


class Outer(Model):
    """The whole."""

    inner: Inner = Inner()
    """The inner part, over
    two lines."""
    maybe: int | None = None
    """May be absent."""
    text: str = Field(default="", max_length=5)
    """May be empty."""
    items: Annotated[
        tuple[Item, ...], Field(json_schema_extra={LIST_KEYS: ["namespace", "name"]})
    ] = ()
    """Several."""


def test_a_part_with_defaults_inside_defaults_to_an_empty_object() -> None:
    inner = structural_schema(Outer, defaults=True)["properties"]["inner"]
    assert inner["default"] == {}
    assert inner["description"] == "The inner part, over two lines."
    assert inner["properties"]["low"] == {
        "description": "The lower one.",
        "type": "integer",
        "minimum": 0,
        "maximum": 9,
        "default": 1,
    }


def test_optional_is_absent_and_never_null() -> None:
    properties = structural_schema(Outer, defaults=True)["properties"]
    assert properties["maybe"] == {"description": "May be absent.", "type": "integer"}
    assert "default" not in properties["text"]


def test_the_key_of_a_list_map_is_required_or_has_a_default() -> None:
    items = structural_schema(Outer, defaults=True)["properties"]["items"]
    assert items["x-kubernetes-list-type"] == "map"
    assert items["x-kubernetes-list-map-keys"] == ["namespace", "name"]
    assert items["items"]["required"] == ["name"]
    assert items["items"]["properties"]["namespace"]["default"] == ""


def test_a_status_has_no_defaults() -> None:
    assert '"default"' not in str(structural_schema(Outer, defaults=False)).replace("'", '"')


def test_rules_of_a_part_with_a_default_move_to_the_root() -> None:
    schema = structural_schema(Outer, defaults=True) | {"default": {}}
    assert hoisted_rules(schema, ".spec") == [
        {
            "rule": "self.spec.inner.low <= self.spec.inner.high",
            "message": "low above high",
            "fieldPath": ".spec.inner.low",
        }
    ]
    assert "x-kubernetes-validations" not in schema["properties"]["inner"]


def test_what_has_no_structural_form_is_refused() -> None:
    class Either(Model):
        keys: dict[Annotated[str, Field(max_length=3)], str] = Field(default={})

    with pytest.raises(ValueError, match="no structural form for"):
        structural_schema(Either, defaults=True)


def test_a_part_s_default_must_be_what_an_empty_object_stands_for() -> None:
    class Odd(Model):
        inner: Inner = Inner(low=2)

    with pytest.raises(ValueError, match="a part's default must be"):
        structural_schema(Odd, defaults=True)


def test_a_computed_field_is_not_required() -> None:
    class Times(Model):
        """Two times."""

        early: int = Field(ge=0, le=9)
        """The early one."""

        @computed_field  # type: ignore[prop-decorator]  # mypy cannot see a decorated property
        @property
        def late(self) -> int:
            """The late one."""
            return self.early + 1

    schema = structural_schema(Times, defaults=False)
    assert schema["properties"].keys() == {"early", "late"}
    assert schema["required"] == ["early"]
