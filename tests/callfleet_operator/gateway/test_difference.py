"""Whether an apply would change something, by table."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.gateway.difference import apply_would_change

MANAGER = "callfleet-operator"


def live(fields: dict[str, Any] | None, manager: str = MANAGER, **body: object) -> dict[str, Any]:
    owned = [{"manager": manager, "operation": "Apply", "fieldsV1": fields}]
    return {"metadata": {"managedFields": owned if fields is not None else []}, **body}


DATA: dict[str, Any] = {"f:data": {"f:a": {}}}
PORTS: dict[str, Any] = {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}}


@pytest.mark.parametrize(
    ("desired", "present", "changes"),
    [
        ({"data": {"a": "1"}}, live(DATA, data={"a": "1"}), False),
        ({"data": {"a": "1"}}, live(DATA, data={"a": "1", "theirs": "2"}), False),
        ({"data": {"a": "1"}}, live(DATA, data={"a": "2"}), True),
        ({"data": {"a": "1"}}, live(DATA, data={}), True),
        ({"data": {"a": "1"}}, live(DATA), True),
        # Ours before, not any more: it has to be taken away.
        ({"data": {}}, live(DATA, data={"a": "1"}), True),
        ({}, live(DATA, data={"a": "1"}), True),
        # Never applied by us: ownership has to be claimed.
        ({"data": {"a": "1"}}, live(None, data={"a": "1"}), True),
        ({"data": {"a": "1"}}, live(DATA, manager="kubectl", data={"a": "1"}), True),
        # A list map with a defaulted key.
        ({"ports": [{"port": 80}]}, live(PORTS, ports=[{"port": 80, "protocol": "TCP"}]), False),
        ({"ports": [{"port": 81}]}, live(PORTS, ports=[{"port": 80, "protocol": "TCP"}]), True),
        ({"ports": []}, live(PORTS, ports=[]), True),
        ({"tags": ["a"]}, live({"f:tags": {'v:"a"': {}}}, tags=["a"]), False),
        ({"tags": ["b"]}, live({"f:tags": {'v:"a"': {}}}, tags=["b"]), True),
        ({"flag": True}, live({"f:flag": {}}, flag=1), True),
        ({"list": [{"x": 1}]}, live({"f:list": {}}, list=[{"x": 1, "y": 2}]), False),
    ],
)
def test_difference(desired: dict[str, Any], present: dict[str, Any], changes: bool) -> None:
    assert apply_would_change(desired, present, MANAGER) is changes


def test_the_status_is_owned_apart() -> None:
    present = {
        "metadata": {
            "managedFields": [
                {
                    "manager": MANAGER,
                    "operation": "Apply",
                    "subresource": "status",
                    "fieldsV1": {"f:status": {"f:open": {}}},
                }
            ]
        },
        "status": {"open": 1},
    }
    assert not apply_would_change({"status": {"open": 1}}, present, MANAGER, "status")
    assert apply_would_change({"status": {"open": 1}}, present, MANAGER)
