from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from callfleet_operator.api.v1alpha1.crd import (
    KINDS,
    Kind,
    custom_resource_definition,
    files,
    main,
    stale,
)

CHECKOUT = Path(__file__).parents[3]
EMBEDDED = {
    "affinity",
    "env",
    "imagePullSecrets",
    "resources",
    "selector",
    "tolerations",
    "topologySpreadConstraints",
}
by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def own_fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field that is not one of Kubernetes' own types."""
    for name, field in schema.get("properties", {}).items():
        if name not in EMBEDDED:
            yield f"{path}.{name}", field
            yield from own_fields(field, f"{path}.{name}")
            yield from own_fields(field.get("items", {}), f"{path}.{name}[]")


def spec_and_status(kind: Kind) -> list[tuple[str, dict[str, Any]]]:
    (version,) = custom_resource_definition(kind)["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]["properties"]
    return [
        *own_fields(schema["spec"], "spec"),
        *own_fields(schema["status"], "status"),
    ]


def test_the_files_are_what_the_models_say() -> None:
    assert stale(CHECKOUT) == [], "run: make generate"


@pytest.mark.parametrize("directory", ["crds", "charts/callfleet/templates/crds"])
def test_nothing_else_lies_beside_them(directory: str) -> None:
    present = {f"{directory}/{file.name}" for file in (CHECKOUT / directory).iterdir()}
    assert present == {path for path in files() if path.startswith(directory)}


def test_the_check_names_what_is_out_of_date(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(main, [str(tmp_path)]).exit_code == 0
    assert runner.invoke(main, ["--check", str(tmp_path)]).exit_code == 0
    (tmp_path / "crds/callfleet.dev_turnpools.yaml").write_text("kind: Other\n")

    result = runner.invoke(main, ["--check", str(tmp_path)])

    assert result.exit_code == 1
    assert "out of date: crds/callfleet.dev_turnpools.yaml; run: make generate" in result.output


@by_kind
def test_every_field_is_described(kind: Kind) -> None:
    assert [path for path, field in spec_and_status(kind) if not field.get("description")] == []


@by_kind
def test_every_number_has_bounds_and_every_text_and_list_an_end(kind: Kind) -> None:
    unbounded = []
    for path, field in spec_and_status(kind):
        if not path.startswith("spec"):
            continue
        bounded = {
            "integer": {"minimum", "maximum"} <= field.keys(),
            "string": bool({"maxLength", "enum"} & field.keys()),
            "array": "maxItems" in field,
            "object": "properties" in field or "maxProperties" in field,
        }[field["type"]]
        if not bounded:
            unbounded.append(path)
    assert unbounded == []


@by_kind
def test_there_is_no_scale_subresource(kind: Kind) -> None:
    (version,) = custom_resource_definition(kind)["spec"]["versions"]
    assert version["subresources"] == {"status": {}}


def test_yaml_1_1_takes_no_value_of_an_enum_for_a_boolean() -> None:
    for path, text in files().items():
        if not path.startswith("crds/"):
            continue
        (version,) = yaml.safe_load(text)["spec"]["versions"]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        values = [value for _, field in own_fields(spec, "") for value in field.get("enum", ())]
        assert "Active" in values
        assert all(isinstance(value, str) for value in values)


COLUMNS = {
    "CallCluster": "Ready Desired Open Draining Util Limited Mode Age",
    "TurnPool": "Ready Desired Open Draining Failing Sat Limited Mode Age",
}


@by_kind
def test_columns(kind: Kind) -> None:
    narrow = [column["name"] for column in kind.columns if "priority" not in column]
    wide = [column["name"] for column in kind.columns if column.get("priority") == 1]
    assert narrow == COLUMNS[kind.name].split()
    assert wide == ["Min", "Max", "Starting", "Reason", "Last-Scale"]


@by_kind
def test_columns_show_fields_that_exist(kind: Kind) -> None:
    paths = {f".{path}" for path, _ in spec_and_status(kind)}
    for column in kind.columns:
        path = column["jsonPath"]
        if path != ".metadata.creationTimestamp" and "?(" not in path:
            assert path in paths
