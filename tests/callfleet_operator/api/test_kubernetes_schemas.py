from __future__ import annotations

import json

import pytest

from callfleet_operator.api.v1alpha1.kubernetes_schemas import EMBEDDED, derive, stored
from tests.cluster.api_server import ApiServer


def test_every_reference_is_kept() -> None:
    definitions = stored()
    text = json.dumps(definitions)
    for name in definitions:
        text = text.replace(f'"$ref": "{name}"', "")
    assert "$ref" not in text
    assert {full.rsplit(".", 1)[1] for full in EMBEDDED} <= definitions.keys()


def test_a_required_field_stays_required() -> None:
    """The published schemas give required fields Go's zero value as a default."""
    env = stored()["EnvVar"]
    assert env["required"] == ["name"]
    assert "default" not in env["properties"]["name"]


@pytest.mark.api
def test_what_is_kept_is_what_the_api_server_publishes(api_server: ApiServer) -> None:
    assert derive(json.loads(api_server.get("/openapi/v3/api/v1"))) == stored()
