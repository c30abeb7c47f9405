"""Each stage by itself, over plain numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from callfleet_operator.observation import (
    Admission,
    CallDemand,
    FleetPod,
    Freshness,
    Interval,
    Process,
    Reading,
    Source,
)
from callfleet_operator.plan.bounds import bounds
from callfleet_operator.plan.classify import FleetLoad, classify, judge, unknown_pods
from callfleet_operator.plan.decision import Proposal, Recommendation, ScaleEvent
from callfleet_operator.plan.fleet import Fleet, fleet_of
from callfleet_operator.plan.rates import rates
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.plan.required import (
    UNMEASURED_START,
    room_for_arrivals,
    start_time,
    utilisation,
)
from callfleet_operator.plan.stabilisation import SLOTS, remember, stabilise
from callfleet_operator.plan.tolerance import tolerance
from tests.callfleet_operator.plan.samples import (
    CAPACITY,
    NOW,
    known,
    loaded,
    observed,
    pod,
    seconds,
    starting,
    unknown,
)


def reading(
    used: float = 10,
    *,
    stress: float = 0.0,
    age: float = 5,
    uid: str = "uid-0",
    source: Source = Source.PROMETHEUS,
) -> Reading:
    return Reading(source, NOW - seconds(age), uid, used, stress)


def load(low: str, high: str | None = None, *, silent: tuple[FleetPod, ...] = ()) -> FleetLoad:
    return FleetLoad(Fraction(low), Fraction(high or low), unknown=silent, pods=1)


class TestJudge:
    def judged(self, *readings: Reading) -> tuple[Interval, Freshness, Source]:
        made = judge(readings, uid="uid-0", capacity=CAPACITY, now=NOW, stale_after=seconds(60))
        return made.used, made.freshness, made.source

    @pytest.mark.parametrize(
        ("given", "freshness"),
        [
            ((), Freshness.MISSING),
            ((reading(age=61),), Freshness.STALE),
            ((reading(age=-61),), Freshness.STALE),
            ((reading(math.nan),), Freshness.CONTRADICTORY),
            ((reading(-1),), Freshness.CONTRADICTORY),
            ((reading(stress=math.inf),), Freshness.CONTRADICTORY),
            ((reading(uid="uid-of-a-pod-of-the-same-name-before"),), Freshness.MISSING),
        ],
    )
    def test_without_a_sound_reading_the_load_is_anything(
        self, given: tuple[Reading, ...], freshness: Freshness
    ) -> None:
        used, judged, _ = self.judged(*given)

        assert (used, judged) == (Interval(0, CAPACITY), freshness)

    def test_prometheus_comes_before_the_pod_itself(self) -> None:
        itself = reading(20, source=Source.POD_STATUS)

        assert self.judged(itself, reading(10))[2] is Source.PROMETHEUS

    def test_the_pod_itself_stands_in_for_stale_data(self) -> None:
        itself = reading(20, source=Source.POD_STATUS)

        used, freshness, source = self.judged(reading(10, age=300), itself)

        assert (used, freshness) == (Interval.exactly(20), Freshness.FRESH)
        assert source is Source.POD_STATUS

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ((), "only from the pod itself: demo-engine-0"),
            (
                (reading(10, age=300),),
                "stale in Prometheus, only from the pod itself: demo-engine-0",
            ),
            (
                (reading(math.nan),),
                "contradictory in Prometheus, only from the pod itself: demo-engine-0",
            ),
        ],
    )
    def test_what_prometheus_had_is_kept_for_the_message(
        self, given: tuple[Reading, ...], says: str
    ) -> None:
        itself = reading(20, source=Source.POD_STATUS)
        made = judge(
            (*given, itself), uid="uid-0", capacity=CAPACITY, now=NOW, stale_after=seconds(60)
        )

        assert not made.known
        assert unknown_pods([pod(0, load=made)]) == says

    def test_lingering_series_of_an_earlier_pod_do_not_hide_the_present_one(self) -> None:
        assert self.judged(reading(99, uid="earlier"), reading(10))[0] == Interval.exactly(10)

    def test_more_participants_than_capacity_are_taken_as_they_are(self) -> None:
        assert self.judged(reading(250))[0] == Interval.exactly(250)

    def test_a_pod_is_not_fuller_than_full_however_late_its_loop_is(self) -> None:
        overrun = judge(
            (reading(10, stress=2.54),),
            uid="uid-0", capacity=CAPACITY, now=NOW, stale_after=seconds(60),
        )  # fmt: skip

        assert overrun.stress == Interval.exactly(1)


class TestClassify:
    def test_the_higher_of_participants_and_stress_counts(self) -> None:
        fleet = Fleet(ready=(pod(0, load=known(50, stress=0.2)), pod(1, load=known(5, stress=0.3))))

        assert classify(fleet, 2)[0].low == Fraction("0.8")

    def test_an_unknown_pod_is_an_interval_and_is_named(self) -> None:
        fleet = Fleet(ready=(pod(0, load=known(50)), pod(1, load=unknown(Freshness.STALE))))

        found, record = classify(fleet, 2)

        assert (found.low, found.high) == (Fraction("0.5"), Fraction("1.5"))
        assert record.message == "1 of 2 pods without trusted data (stale: demo-engine-1)."

    @pytest.mark.parametrize("process", [Process.NEVER_STARTED, Process.STOPPED, Process.ENDED])
    def test_a_pod_without_a_process_is_known_to_be_empty(self, process: Process) -> None:
        dead = pod(0, load=unknown(), ready=False, process=process)

        found, _ = classify(Fleet(broken=(dead,)), 1)

        assert (float(found.high), found.complete) == (0, True)

    def test_a_ready_pod_is_never_taken_to_be_without_a_process(self) -> None:
        found, _ = classify(Fleet(ready=(pod(0, load=unknown(), process=Process.STOPPED),)), 1)

        assert (float(found.high), found.complete) == (1, False)


class TestUtilisation:
    @pytest.mark.parametrize(
        ("total", "target", "pods"),
        [
            ("0", 70, 0),
            ("0.7", 70, 1),
            ("0.700001", 70, 2),
            ("2.1", 70, 3),
            ("5.6", 70, 8),
            ("6.3", 90, 7),
            ("30", 95, 32),
        ],
    )
    def test_is_the_load_over_the_target(self, total: str, target: int, pods: int) -> None:
        assert utilisation(load(total), target, 1)[0] == Proposal.exactly(pods)

    def test_keeps_both_ends(self) -> None:
        assert utilisation(load("1.4", "2.8"), 70, 1)[0] == Proposal(2, 4)

    def test_one_third_three_times_is_one(self) -> None:
        pods = tuple(pod(i, load=known(50, capacity=150)) for i in range(21))
        found, _ = classify(Fleet(ready=pods), 21)

        assert found.low == 7


class TestTolerance:
    @pytest.mark.parametrize(
        ("total", "present", "asked"),
        [
            ("7.7", 10, 10),  # 77 % of 10: the upper edge stays
            ("7.71", 10, 12),
            ("6.3", 10, 10),  # 63 % of 10: the lower edge needs 10
            ("6.29", 10, 10),
            ("5.67", 10, 9),  # 63 % of 9
            ("5.68", 10, 10),
            ("0", 10, 0),
            ("0.1", 0, 1),
        ],
    )
    def test_near_the_target_nothing_changes(self, total: str, present: int, asked: int) -> None:
        needed, _ = utilisation(load(total), 70, present)

        after, _ = tolerance(needed, load(total), present, target_percent=70, tolerance_percent=10)

        assert after == Proposal.exactly(asked)

    def test_without_tolerance_the_target_itself_counts(self) -> None:
        after, _ = tolerance(
            Proposal.exactly(8), load("5.6"), 10, target_percent=70, tolerance_percent=0
        )

        assert after == Proposal.exactly(8)


class TestRoomForArrivals:
    def room(self, demand: CallDemand | None, fleet: Fleet) -> tuple[Proposal, str]:
        after, record = room_for_arrivals(
            Proposal.exactly(1), fleet, demand, capacity=100, new_call_limit_percent=85
        )
        return after, record.reason

    @pytest.mark.parametrize(
        "demand",
        [None, CallDemand(math.nan, 60, 5), CallDemand(0.1, 60, math.nan), CallDemand(-1, 60, 5)],
    )
    def test_without_known_demand_room_for_one_call_of_two_is_kept(
        self, demand: CallDemand | None
    ) -> None:
        assert self.room(demand, Fleet()) == (Proposal.exactly(1), Reason.DEMAND_UNKNOWN)
        assert self.room(demand, Fleet(ready=loaded(82))) == (
            Proposal.exactly(1),  # 42 calls of two fit below 85 of 100
            Reason.DEMAND_UNKNOWN,
        )
        assert self.room(demand, Fleet(ready=loaded(83))) == (
            Proposal.exactly(2),
            Reason.DEMAND_UNKNOWN,
        )

    def test_calls_on_draining_pods_hold_room_as_they_will_be_made_again(self) -> None:
        draining = pod(1, load=known(60), admission=Admission.CORDONED)

        room, _ = self.room(CallDemand(0.1, 600, 5), Fleet(ready=loaded(35), draining=(draining,)))

        assert room == Proposal.exactly(2)

    @pytest.mark.parametrize(
        ("per_second", "people", "used", "pods"),
        [
            # 30 s of detection and 10 s to start; 85 % of 100 hold 17 calls of 5
            (0.0, 5, 80, 1),
            (0.0, 5, 81, 2),  # no room for one more call: without arrivals it would stay so
            (0.1, 5, 35, 1),  # 4 + 3 x 2 = 10 calls and 7 under way: 17
            (0.1, 5, 36, 2),  # the eighth call has begun
            (0.4, 5, 0, 2),  # 16 + 3 x 4 = 28 calls
            (0.1, 90, 0, 10),  # a call larger than the limit has a pod of its own
        ],
    )
    def test_covers_the_arrivals_of_the_reaction_time(
        self, per_second: float, people: float, used: int, pods: int
    ) -> None:
        demand = CallDemand(per_second, 600, people)

        assert self.room(demand, Fleet(ready=loaded(used)))[0] == Proposal.exactly(pods)

    def test_absurd_demand_is_no_error(self) -> None:
        assert self.room(CallDemand(1e308, 1, 1), Fleet())[0].low > 1000

    def test_the_start_time_is_measured_on_pods_that_did_not_flap(self) -> None:
        fleet = Fleet(
            ready=(
                pod(0, age=3600, ready_for=3580),
                pod(1, age=3600, ready_for=3570),
                pod(2, age=3600, ready_for=60),
            )
        )

        assert start_time(fleet) == seconds(20)
        assert start_time(Fleet()) == UNMEASURED_START


class TestStabilisation:
    def settled(
        self, *history: tuple[float, int, int], present: int, out: float = 0, back: float = 300
    ) -> int:
        """`history`: age in seconds, low, high; the last one is now."""
        past = tuple(
            Recommendation(NOW - seconds(age), Proposal(low, high)) for age, low, high in history
        )
        number, _ = stabilise(
            past, now=NOW, present=present, out_window=seconds(out), in_window=seconds(back)
        )
        return number

    def test_out_at_once_without_a_window(self) -> None:
        assert self.settled((15, 1, 3), (0, 5, 9), present=3) == 5

    def test_out_takes_the_lowest_low_end_of_its_window(self) -> None:
        assert self.settled((90, 9, 9), (30, 4, 9), (0, 6, 9), present=3, out=60) == 4

    def test_out_looks_at_what_held_when_the_window_began(self) -> None:
        assert self.settled((90, 3, 3), (30, 6, 6), (0, 6, 6), present=3, out=60) == 3

    def test_in_takes_the_highest_high_end_of_its_window(self) -> None:
        assert self.settled((400, 1, 1), (200, 1, 4), (0, 1, 2), present=6) == 4

    def test_in_waits_for_a_whole_window(self) -> None:
        assert self.settled((299, 6, 6), (0, 1, 1), present=6) == 6
        assert self.settled((400, 6, 6), (301, 1, 1), (0, 1, 1), present=6) == 1

    def test_a_gap_longer_than_the_window_does_not_shorten_it(self) -> None:
        assert self.settled((900, 6, 6), (0, 1, 1), present=6) == 6

    def remembered(
        self, past: tuple[Recommendation, ...], at: float = 0
    ) -> tuple[Recommendation, ...]:
        return remember(
            past,
            Proposal(1, 2),
            now=NOW + seconds(at),
            present=4,
            out_window=seconds(0),
            in_window=seconds(300),
        )

    def test_without_a_past_the_present_number_stands_in(self) -> None:
        assert [one.asked for one in self.remembered(())] == [Proposal.exactly(4), Proposal(1, 2)]

    def test_a_clock_set_back_starts_anew(self) -> None:
        past = self.remembered((), at=3600)

        assert self.remembered(past)[0] == Recommendation(NOW, Proposal.exactly(4))

    def test_stays_small_however_often_it_is_asked(self) -> None:
        past: tuple[Recommendation, ...] = ()
        for tick in range(3000):
            past = self.remembered(past, at=tick / 5)

        assert len(past) <= SLOTS + 3

    def test_merging_keeps_the_widest(self) -> None:
        past = (
            Recommendation(NOW, Proposal(3, 3)),
            Recommendation(NOW + seconds(1), Proposal(1, 2)),
            Recommendation(NOW + seconds(2), Proposal(2, 9)),
        )

        assert self.remembered(past, at=3)[0].asked == Proposal(1, 9)


class TestRates:
    @pytest.mark.parametrize(
        ("asked", "past", "allowed"),
        [
            (9, (), 9),
            (10, (), 9),
            (9, ((10, 3),), 6),  # 3 of 4 used up 10 s ago
            (9, ((15, 4),), 9),  # the period is over
            (9, ((10, 9),), 5),  # a bound took more than its rate
            (1, (), 4),
            (1, ((30, -1),), 5),
            (1, ((60, -1),), 4),
            (1, ((5, 4),), 4),  # out does not use up in
        ],
    )
    def test_cuts_to_what_is_left_of_the_period(
        self, asked: int, past: tuple[tuple[float, int], ...], allowed: int
    ) -> None:
        events = tuple(ScaleEvent(NOW - seconds(age), change) for age, change in past)

        number, _ = rates(
            asked,
            events,
            now=NOW,
            present=5,
            out_pods=4,
            out_period=seconds(15),
            in_pods=1,
            in_period=seconds(60),
        )

        assert number == allowed


@pytest.mark.parametrize(
    ("asked", "number", "reason"),
    [
        (3, 3, Reason.WITHIN_BOUNDS),
        (1, 2, Reason.TOO_FEW),
        (9, 5, Reason.TOO_MANY),
    ],
)
def test_bounds(asked: int, number: int, reason: Reason) -> None:
    after, record = bounds(asked, min_replicas=2, max_replicas=5)

    assert (after, record.reason) == (number, reason)


@pytest.mark.parametrize(
    ("given", "group"),
    [
        (pod(), "ready"),
        (starting(0, age=179), "starting"),
        (starting(0, age=180), "broken"),
        (pod(ready=False, ready_for=100), "starting"),  # a short NotReady replaces nothing
        (pod(ready=False, ready_for=200), "broken"),
        (pod(ready=False, age=30, ready_for=None, process=Process.ENDED), "starting"),
        (pod(ready=False, age=90, ready_for=10, process=Process.ENDED), "broken"),
        (pod(node="gone"), "displaced"),
        (pod(terminating=True, node="gone"), "terminating"),
    ],
)
def test_every_pod_is_in_one_group(given: FleetPod, group: str) -> None:
    fleet = fleet_of(observed(given, unavailable_nodes=frozenset({"gone"})))

    assert getattr(fleet, group) == (given,)
    assert fleet.total == 1
