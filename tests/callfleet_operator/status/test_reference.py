from __future__ import annotations

from callfleet_operator.plan.reasons import Reason
from callfleet_operator.status.reference import member_docstrings, page
from callfleet_operator.status.table import REASONS


def test_every_reason_of_every_condition_has_its_line() -> None:
    text = page()
    for one in REASONS:
        section = text.partition(f"\n## {one.type}\n")[2].partition("\n## ")[0]
        (line,) = [line for line in section.splitlines() if f" `{one.reason}`" in line[:60]]
        assert one.meaning in line
        assert one.remedy in line
        assert ("*warning*" in line) is one.warning


def test_every_reason_of_a_decision_is_explained() -> None:
    says = member_docstrings(Reason)
    assert says.keys() == Reason.__members__.keys()
    assert all(says.values())
