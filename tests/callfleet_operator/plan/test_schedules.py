"""Schedules: when they hold, over both clock changes too, and what is said of broken ones.

Berlin's clocks go from 2:00 to 3:00 on 2026-03-29, at 01:00 UTC, and from 3:00 back to 2:00 on
2026-10-25, at 01:00 UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.api.v1alpha1.callcluster import Schedule
from callfleet_operator.plan.decision import Proposal
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.plan.schedules import schedule_floor, unreadable, windows
from tests.callfleet_operator.plan import strategies as any_

HOUR = 3600
FIVE = timedelta(minutes=5)


def schedule(
    cron: str = "0 8 * * 1-5",
    hours: float = 10,
    least: int = 6,
    *,
    zone: str = "Europe/Berlin",
    name: str = "weekdays",
) -> Schedule:
    return Schedule(
        name=name,
        time_zone=zone,
        cron=cron,
        duration_seconds=int(hours * HOUR),
        min_replicas=least,
    )


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def held(one: Schedule, first: str, last: str) -> list[tuple[str, str]]:
    """The times within which a schedule holds, in UTC, looked at every five minutes."""
    now, end = utc(first), utc(last)
    spans: list[tuple[datetime, datetime]] = []
    while now <= end:
        if windows([one], now):
            if spans and spans[-1][1] == now:
                spans[-1] = (spans[-1][0], now + FIVE)
            else:
                spans.append((now, now + FIVE))
        now += FIVE
    return [(f"{begin:%d %H:%M}", f"{until:%d %H:%M}") for begin, until in spans]


def test_it_holds_from_its_cron_on_for_its_duration() -> None:
    # a Friday to a Monday in winter: 8:00 in Berlin is 7:00 UTC
    assert held(schedule(), "2026-01-16 00:00", "2026-01-19 23:59") == [
        ("16 07:00", "16 17:00"),
        ("19 07:00", "19 17:00"),
    ]


@pytest.mark.parametrize(
    ("now", "holds"),
    [
        ("2026-01-16T06:59:59.999999", False),
        ("2026-01-16T07:00:00", True),
        ("2026-01-16T07:00:00.000001", True),
        ("2026-01-16T16:59:59.999999", True),
        ("2026-01-16T17:00:00", False),
    ],
)
def test_its_edges_are_exact(now: str, holds: bool) -> None:
    assert bool(windows([schedule()], utc(now))) is holds


def test_in_summer_eight_in_berlin_is_an_hour_earlier() -> None:
    spans = held(schedule(), "2026-07-01 00:00", "2026-07-01 23:59")

    assert spans == [("01 06:00", "01 16:00")]


def test_a_start_in_the_skipped_hour_comes_when_that_hour_is_over() -> None:
    # 2:30 is not on the clock that night; at 3:00, 01:00 UTC, it is past
    spans = held(schedule("30 2 * * *", 1), "2026-03-28 00:00", "2026-03-30 23:59")

    assert spans == [("28 01:30", "28 02:30"), ("29 01:00", "29 02:00"), ("30 00:30", "30 01:30")]


def test_a_start_in_the_repeated_hour_comes_once_and_the_first_time() -> None:
    # 2:30 is 00:30 UTC and again 01:30 UTC; the window is not opened a second time
    spans = held(schedule("30 2 * * *", 0.5), "2026-10-24 00:00", "2026-10-26 23:59")

    assert spans == [("24 00:30", "24 01:00"), ("25 00:30", "25 01:00"), ("26 01:30", "26 02:00")]


def test_a_window_from_the_first_pass_of_the_repeated_hour_goes_on_through_the_second() -> None:
    # at 2:10 for the second time the clock is before 2:30 again, and the window is open
    assert windows([schedule("30 2 * * *", 3)], utc("2026-10-25 01:10"))
    spans = held(schedule("30 2 * * *", 3), "2026-10-25 00:00", "2026-10-25 12:00")

    assert spans == [("25 00:30", "25 03:30")]


def test_a_window_over_the_change_to_summer_lasts_its_eight_hours_and_so_ends_at_seven() -> None:
    # from 22:00 (21:00 UTC) eight hours are 05:00 UTC, which the clock calls 7:00 instead of 6:00
    spans = held(schedule("0 22 * * *", 8), "2026-03-28 12:00", "2026-03-29 12:00")

    assert spans == [("28 21:00", "29 05:00")]


def test_a_window_over_the_change_to_winter_lasts_its_eight_hours_and_so_ends_at_five() -> None:
    # from 22:00 (20:00 UTC) eight hours are 04:00 UTC, which the clock calls 5:00 instead of 6:00
    spans = held(schedule("0 22 * * *", 8), "2026-10-24 12:00", "2026-10-25 12:00")

    assert spans == [("24 20:00", "25 04:00")]


def test_every_hour_means_every_elapsed_hour_through_both_changes() -> None:
    for night in ("2026-03-29", "2026-10-25"):
        spans = held(schedule("0 * * * *", 0.5), f"{night} 00:00", f"{night} 02:55")
        assert [begin[-5:] for begin, _ in spans] == ["00:00", "01:00", "02:00"]


def test_a_change_of_half_an_hour() -> None:
    # Lord Howe goes from 2:00 to 2:30 on 2026-10-04 at 15:30 UTC the day before, from then on +11
    spans = held(
        schedule("15 2 * * *", 1, zone="Australia/Lord_Howe"),
        "2026-10-03 12:00",
        "2026-10-04 18:00",
    )

    assert spans == [("03 15:30", "03 16:30"), ("04 15:15", "04 16:15")]


def test_a_window_that_begins_again_before_it_ends_holds_throughout() -> None:
    spans = held(schedule("0 0 * * *", 36, zone="UTC"), "2026-01-02 00:00", "2026-01-04 00:00")

    assert len(spans) == 1


def test_of_overlapping_schedules_the_largest_counts_and_is_named_with_its_end() -> None:
    low = schedule("0 8 * * *", 10, 4, zone="UTC", name="days")
    high = schedule("0 12 * * *", 1, 9, zone="UTC", name="lunch")

    def floor(now: str) -> tuple[Proposal, str]:
        after, record = schedule_floor(Proposal.exactly(2), (low, high), utc(now))
        return after, record.message

    assert floor("2026-01-05 12:30") == (
        Proposal.exactly(9),
        "Schedule lunch asks for at least 9 open pods until 2026-01-05T13:00:00Z.",
    )
    assert floor("2026-01-05 13:00")[0] == Proposal.exactly(4)
    assert floor("2026-01-05 18:00") == (Proposal.exactly(2), "No schedule holds now.")


def test_a_floor_is_never_a_ceiling() -> None:
    after, record = schedule_floor(Proposal(7, 9), (schedule(least=6),), utc("2026-01-16 12:00"))

    assert after == record.before == Proposal(7, 9)
    assert record.reason == Reason.SCHEDULE


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"zone": "Europe/Berlinn"},
            "timeZone 'Europe/Berlinn' is no IANA time zone (did you mean Europe/Berlin?)",
        ),
        ({"zone": "Mars"}, "timeZone 'Mars' is no IANA time zone"),
        ({"zone": "Europe"}, "timeZone 'Europe' is no IANA time zone"),
        ({"zone": "../../etc/passwd"}, "timeZone '../../etc/passwd' is no IANA time zone"),
        ({"zone": "localtime"}, "timeZone 'localtime' is no IANA time zone"),
        ({"cron": "61 8 * * 1-5"}, "cron '61 8 * * 1-5' cannot be read: bad minute (write minute,"),
        ({"cron": "0 8 * * 5-1"}, "cannot be read: bad day-of-week"),
        ({"cron": "0 0 8 * * 1-5"}, "cron '0 0 8 * * 1-5' has 6 instead of 5 fields (write"),
        ({"cron": "@annually"}, "has 1 instead of 5 fields"),
        ({"cron": "0 0 31 4,6 *"}, "cannot be read: bad day-of-month"),
        ({"cron": "0 0 */16 * MON#2"}, "names a day that never comes (write"),
    ],
)
def test_what_is_wrong_is_said_with_name_field_value_and_remedy(
    changes: dict[str, str], says: str
) -> None:
    (told,) = unreadable([schedule(**changes)])  # type: ignore[arg-type]  # all of them are texts

    assert told.startswith("weekdays: ")
    assert says in told


def test_a_broken_schedule_leaves_the_others_in_force() -> None:
    broken = schedule(zone="Mars", least=20, name="broken")

    after, _ = schedule_floor(
        Proposal.exactly(1), (broken, schedule(least=6)), utc("2026-01-16 12:00")
    )

    assert after == Proposal.exactly(6)
    assert unreadable([schedule()]) == ()


def _forward(cron: str, zone: str, first: datetime, last: datetime) -> Iterator[datetime]:
    for local in CronSim(cron, first.astimezone(ZoneInfo(zone))):
        if local.astimezone(UTC) > last:
            return
        yield local.astimezone(UTC)


CRON_LIKE = st.text(alphabet="0123456789*/,-#LWMON ", min_size=9, max_size=40)


@any_.modest
@given(
    CRON_LIKE | st.text(min_size=9, max_size=128),
    st.sampled_from(["UTC", "Europe/Berlin", "Antarctica/Troll"]) | st.text("Ea/.", min_size=1),
    st.integers(0, 2**32),
)
def test_any_text_is_held_or_told_of(cron: str, zone: str, seconds: int) -> None:
    one, now = schedule(cron, zone=zone), datetime.fromtimestamp(seconds, UTC)
    found = windows([one], now)

    if unreadable([one]):
        assert found == ()
    for window in found:
        assert window.start <= now < window.until


@any_.modest
@given(
    st.sampled_from(["30 2 * * *", "0,30 1-3 * * *", "15 2 29 3 *", "*/20 * * * *", "0 0 * * 0"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.integers(0, 365 * 24 * 6),
)
def test_the_answer_is_that_of_going_through_all_earlier_starts(
    cron: str, zone: str, tens: int
) -> None:
    """Against the library's other direction: forward from long before, over every change."""
    now = datetime(2026, 1, 1, 0, 5, tzinfo=UTC) + timedelta(minutes=10 * tens)
    (window,) = windows([schedule(cron, 7 * 24, zone=zone)], now) or (None,)

    starts = list(_forward(cron, zone, now - timedelta(days=9), now))
    begun = starts[-1] if starts else None
    if begun is not None and now - begun < timedelta(days=7):
        assert window is not None
        assert window.start == begun
    else:
        assert window is None
