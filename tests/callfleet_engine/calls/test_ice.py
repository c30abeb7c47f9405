"""Why a connection did not come about."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_engine.calls.ice import Cause, Reports, failure
from callfleet_engine.media.interface import FailureCause, Path
from callfleet_engine.signalling.messages import Report


def reports(*content: dict[str, Any]) -> Reports:
    heard = Reports()
    for one in content:
        heard.add(Report.model_validate({"type": "report", **one}))
    return heard


def error(code: int, url: str = "turn:10.0.0.1:3478") -> dict[str, Any]:
    return {"iceErrors": [{"url": url, "errorCode": code}]}


def pairs(local: str = "host") -> dict[str, Any]:
    return {
        "candidatePairs": [{"pc": "publish", "state": "failed", "local": local, "remote": "host"}]
    }


@pytest.mark.parametrize(
    ("heard", "media", "expected"),
    [
        ([], "timeout", ("direct", "unreported")),
        ([{}], "timeout", ("direct", "timeout")),
        ([pairs()], "timeout", ("direct", "no_route")),
        ([pairs("relay")], "ice", ("relayed", "no_route")),
        ([error(486)], "timeout", ("relayed", "relay_capacity")),
        ([error(508)], "timeout", ("relayed", "relay_capacity")),
        ([error(401)], "timeout", ("relayed", "relay_auth")),
        ([error(701)], "timeout", ("relayed", "relay_unreachable")),
        ([error(701), error(508), pairs()], "ice", ("relayed", "relay_capacity")),
        ([error(701, "stun:10.0.0.1")], "timeout", ("direct", "timeout")),
        ([error(599)], "timeout", ("direct", "timeout")),
        ([error(508)], "dtls", ("relayed", "other")),
    ],
)
def test_cause(
    heard: list[dict[str, Any]], media: FailureCause, expected: tuple[Path, Cause]
) -> None:
    assert failure("publish", media, reports(*heard), relay_only=False) == expected


def test_an_engine_behind_relays_has_relayed_attempts_only() -> None:
    assert failure("publish", "timeout", Reports(), relay_only=True)[0] == "relayed"


def test_whether_a_relay_did_not_serve() -> None:
    heard = Reports()
    assert heard.add(Report.model_validate({"type": "report", **error(486)}))
    assert not heard.add(Report.model_validate({"type": "report", **pairs()}))
    heard.forget()
    assert heard == Reports()
