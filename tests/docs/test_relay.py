"""What the documents say of the relay is what it has."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest

from callfleet_relay.errors import ErrorCode
from callfleet_relay.events import Drop, Outcome, SessionEnd
from callfleet_relay.peer_connections import PeerResult
from callfleet_relay.settings import Settings
from callfleet_relay.transport.connections import ConnectionEnd
from tests.callfleet_relay.test_admin import CONTRACT
from tests.callfleet_relay.test_errors import CAUSES
from tests.docs.relay_settings import PAGE, with_table

CONTRACTS = (PAGE.parent / "reference" / "contracts.md").read_text("utf-8")
SECTION = CONTRACTS.partition("**relay** (prefix `callfleet_relay_`)")[2].partition("\n**")[0]
ROWS = [line for line in SECTION.splitlines() if line.startswith("| `")]


def test_each_setting_stands_in_its_table_with_its_default() -> None:
    page = PAGE.read_text("utf-8")

    assert page == with_table(page), "renew it: python -m tests.docs.relay_settings"
    for field in Settings.model_fields:
        assert f"| `--{field.replace('_', '-')}` |" in page


def test_each_metric_stands_in_the_contracts() -> None:
    named = {name for row in ROWS for name in re.findall(r"`([a-z_]+)`", row)}

    assert set(CONTRACT) <= named


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("allocate_requests_total", Outcome),
        ("dropped_packets_total", Drop),
        ("sessions_ended_total", SessionEnd),
        ("connections_closed_total", ConnectionEnd),
        ("peer_connections_total", PeerResult),
    ],
)
def test_each_value_of_a_label_stands_there(metric: str, values: type[StrEnum]) -> None:
    (row,) = [row for row in ROWS if f"`{metric}`" in row]

    assert {str(value) for value in values} <= set(re.findall(r"[a-z_]+", row))


def test_each_cause_of_a_sessions_end_is_explained() -> None:
    page = PAGE.read_text("utf-8")

    for cause in SessionEnd:
        assert f"| `{cause}` |" in page


def test_each_error_stands_in_its_table_with_its_causes() -> None:
    """Those that `test_errors` provokes, word by word, and no others."""
    section = PAGE.read_text("utf-8").partition("### Error answers")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", section, flags=re.MULTILINE)

    assert [int(code) for code, _ in rows] == sorted(ErrorCode)
    for code, causes in rows:
        provoked = [cause.words for cause in CAUSES if cause.code == int(code)]
        assert causes.split("; ") == provoked
