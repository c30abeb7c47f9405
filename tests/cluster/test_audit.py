"""Reading the audit log, line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.audit import AuditLog, parse_event

LINE: dict[str, Any] = {
    "kind": "Event",
    "verb": "delete",
    "user": {"username": "operator"},
    "userAgent": "callfleet/0.1",
    "requestURI": "/api/v1/namespaces/calls/pods/demo-engine-0",
    "requestReceivedTimestamp": "2026-01-01T00:00:00.000001Z",
    "objectRef": {"resource": "pods", "namespace": "calls", "name": "demo-engine-0"},
    "responseStatus": {"code": 409},
    "requestObject": {"preconditions": {"uid": "u-1", "resourceVersion": "7"}},
}


def test_a_delete_tells_what_it_was_bound_to() -> None:
    event = parse_event(LINE)
    assert (event.user, event.verb, event.resource, event.name, event.code) == (
        "operator",
        "delete",
        "pods",
        "demo-engine-0",
        409,
    )
    assert event.preconditions == {"uid": "u-1", "resourceVersion": "7"}
    assert event.uid == "u-1"
    assert event.is_write


def test_an_eviction_tells_its_preconditions_too() -> None:
    body = {"kind": "Eviction", "deleteOptions": {"preconditions": {"uid": "u-2"}}}
    target = LINE["objectRef"] | {"subresource": "eviction"}
    event = parse_event(LINE | {"verb": "create", "requestObject": body, "objectRef": target})
    assert event.resource == "pods/eviction"
    assert event.preconditions == {"uid": "u-2"}


@pytest.mark.parametrize(
    ("response", "uid"),
    [
        ({"kind": "Pod", "metadata": {"uid": "of-object", "name": "made-up"}}, "of-object"),
        ({"kind": "Status", "metadata": {}, "details": {"uid": "of-details"}}, "of-details"),
        (None, ""),
    ],
)
def test_the_uid_comes_from_where_it_is_said(response: object, uid: str) -> None:
    line = LINE | {"requestObject": None, "responseObject": response}
    assert parse_event(line).uid == uid


def test_who_is_impersonated_is_the_user() -> None:
    event = parse_event(LINE | {"impersonatedUser": {"username": "guest"}})
    assert event.user == "guest"


def test_a_pod_that_acted_is_named() -> None:
    assert parse_event(LINE).pod == ""
    extra = {"authentication.kubernetes.io/pod-name": ["operator-1"]}
    assert (
        parse_event(LINE | {"user": {"username": "operator", "extra": extra}}).pod == "operator-1"
    )


def test_a_half_written_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    whole = json.dumps(LINE) + "\n"
    path.write_text(whole + whole[:40])
    log = AuditLog(path, lambda _: None)
    assert len(log.parsed()) == 1
    with path.open("a") as file:
        file.write(whole[40:])
    assert len(log.parsed()) == 2


def test_writes_are_chosen_by_user_and_resource(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_text(json.dumps(LINE) + "\n")

    def get(uri: str) -> None:
        with path.open("a") as file:
            file.write(json.dumps(LINE | {"verb": "get", "requestURI": uri}) + "\n")

    log = AuditLog(path, get)
    assert [event.code for event in log.writes(user="operator", resources=["pods"])] == [409]
    assert log.writes(user="somebody") == []
    assert log.writes(resources=["pods/status"]) == []
    assert log.writes(since=log.mark()) == []


def test_a_server_that_does_not_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match="wrote no line"):
        AuditLog(tmp_path / "audit.log", lambda _: None).barrier(timeout_seconds=0.05)
