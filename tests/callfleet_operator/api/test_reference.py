from __future__ import annotations

from functools import cache

import pytest

from callfleet_operator.api.v1alpha1.crd import KINDS, Kind
from callfleet_operator.api.v1alpha1.reference import page
from tests.callfleet_operator.api.test_crd import spec_and_status

by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@cache
def whole() -> str:
    return page()


def section(heading: str) -> str:
    """The text below one heading."""
    _, found, rest = whole().partition(f"\n### {heading}\n")
    assert found, f"no section {heading}"
    return rest.partition("\n##")[0]


@by_kind
def test_every_field_has_its_line_with_its_description(kind: Kind) -> None:
    for path, schema in spec_and_status(kind):
        parent, _, name = path.rpartition(".")
        (line,) = [
            line
            for line in section(f"{kind.name} {parent}").splitlines()
            if f"| `{name}` |" in line
        ]
        assert schema["description"] in line


@by_kind
def test_every_default_and_bound_is_shown(kind: Kind) -> None:
    for path, schema in spec_and_status(kind):
        parent, _, name = path.rpartition(".")
        text = section(f"{kind.name} {parent}")
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        if isinstance(schema.get("default", ""), str | int) and schema.get("default", "") != "":
            assert f"| `{schema['default']}` |" in line
        if "minimum" in schema and "maximum" in schema:
            assert f"{schema['minimum']} to {schema['maximum']}" in line
        for value in schema.get("enum", ()):
            assert f"`{value}`" in line
