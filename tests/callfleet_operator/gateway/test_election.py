"""Who may act, with clocks of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_operator.gateway.election import (
    ATTEMPT,
    DURATION,
    LONGEST_FOREIGN_DURATION,
    RETRY,
    TENURE,
    Candidate,
    Instant,
    LeaseRecord,
    Tenure,
)
from callfleet_operator.gateway.errors import NotLeadingError

BEGIN = Instant(1000.0, 5000.0, 1_800_000_000.0)
HELD = LeaseRecord(holder="other", duration=DURATION, transitions=3, version="7")


@dataclass
class Clock:
    now: Instant = BEGIN

    def __call__(self) -> Instant:
        return self.now

    def passes(self, seconds: float) -> None:
        """Time as all clocks see it."""
        self.now = Instant(
            self.now.monotonic + seconds, self.now.boottime + seconds, self.now.wall + seconds
        )

    def jumps(self, *, wall: float = 0, boottime: float = 0) -> None:
        self.now = replace(
            self.now, wall=self.now.wall + wall, boottime=self.now.boottime + boottime
        )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tenure(clock: Clock) -> Tenure:
    """One that has begun."""
    begun = Tenure(clock)
    begun.confirm(clock())
    return begun


def refusal(tenure: Tenure) -> str:
    with pytest.raises(NotLeadingError) as caught:
        tenure.check()
    return caught.value.message


def test_a_replica_acts_only_once_it_has_the_lease(clock: Clock) -> None:
    tenure = Tenure(clock)
    assert not tenure.leading
    assert "stands by" in refusal(tenure)
    tenure.confirm(clock())
    tenure.check()
    assert tenure.leading


def test_renewals_keep_it(tenure: Tenure, clock: Clock) -> None:
    for _ in range(100):
        clock.passes(RETRY)
        tenure.confirm(clock())
    assert tenure.leading


def test_without_renewal_it_ends(tenure: Tenure, clock: Clock) -> None:
    clock.passes(TENURE - 0.1)
    assert tenure.leading
    clock.passes(0.1)
    assert "is 7.0 s old" in refusal(tenure)


def test_a_renewal_counts_from_when_it_was_sent(tenure: Tenure, clock: Clock) -> None:
    sent = clock()
    clock.passes(ATTEMPT)
    tenure.confirm(sent)
    clock.passes(TENURE - ATTEMPT)
    assert not tenure.leading


def test_a_stopped_process_that_wakes_acts_no_more(tenure: Tenure, clock: Clock) -> None:
    """Nobody has looked meanwhile, and the answer to a renewal waits to be read."""
    clock.passes(1)
    sent = clock()
    clock.passes(60)
    tenure.confirm(sent)
    assert not tenure.leading


def test_once_over_it_stays_over(tenure: Tenure, clock: Clock) -> None:
    clock.passes(60)
    tenure.confirm(clock())
    assert not tenure.leading
    tenure.end("another reason")
    assert "60.0 s old" in refusal(tenure)


def test_a_suspended_machine(tenure: Tenure, clock: Clock) -> None:
    clock.jumps(boottime=30)
    assert "30.0 s old (0.0 s by the monotonic clock)" in refusal(tenure)


def test_a_paused_virtual_machine_whose_clock_is_put_right(tenure: Tenure, clock: Clock) -> None:
    clock.jumps(wall=30)
    assert not tenure.leading


def test_a_clock_put_back_prolongs_nothing(tenure: Tenure, clock: Clock) -> None:
    clock.jumps(wall=-3600)
    clock.passes(TENURE - 0.1)
    assert tenure.leading
    clock.passes(0.1)
    assert not tenure.leading


def test_without_election_it_acts_until_it_is_ended(clock: Clock) -> None:
    tenure = Tenure(clock, limited=False)
    clock.passes(1e6)
    assert tenure.leading
    tenure.end("the end")
    assert not tenure.leading


def test_nobody_has_it() -> None:
    assert Candidate("me").wait(None, 0) == 0


def test_it_was_given_back() -> None:
    assert Candidate("me").wait(replace(HELD, holder=""), 0) == 0


def test_ours_after_a_lost_answer() -> None:
    assert Candidate("me").wait(replace(HELD, holder="me"), 0) == 0


def test_the_holder_has_its_time() -> None:
    candidate = Candidate("me")
    assert candidate.wait(HELD, 100) == DURATION
    assert candidate.wait(HELD, 104) == DURATION - 4
    assert candidate.wait(HELD, 100 + DURATION) == 0
    assert candidate.holder == "other"


def test_a_renewal_gives_it_all_its_time_again() -> None:
    candidate = Candidate("me")
    candidate.wait(HELD, 100)
    assert candidate.wait(replace(HELD, version="8"), 109) == DURATION


def test_a_deleted_lease_may_have_a_holder_that_does_not_know_it_yet() -> None:
    candidate = Candidate("me")
    candidate.wait(HELD, 100)
    assert candidate.wait(None, 102) == DURATION - 2
    assert candidate.wait(None, 110) == 0


@pytest.mark.parametrize(
    ("claimed", "waited"),
    [(1, DURATION), (30, 30), (99_999, LONGEST_FOREIGN_DURATION)],
)
def test_the_duration_of_another_release_counts(claimed: int, waited: int) -> None:
    assert Candidate("me").wait(replace(HELD, duration=claimed), 0) == waited


def test_a_lease_by_hand_without_anything() -> None:
    record = LeaseRecord.of({"metadata": {"resourceVersion": "1"}})
    assert record == LeaseRecord("", DURATION, 0, "1")


def test_the_times_keep_what_they_promise() -> None:
    assert 2 * (RETRY + ATTEMPT) - RETRY < TENURE  # one hanging attempt and another one
    assert TENURE + ATTEMPT < DURATION  # what was sent last is answered before another acts
    assert DURATION + RETRY + ATTEMPT < 15  # a lost leader is replaced in time


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["pass", "stop", "wall", "suspend", "renew", "delayed"]),
            st.floats(0.01, 30, allow_nan=False),
        ),
        max_size=60,
    )
)
def test_never_two_that_act(steps: list[tuple[str, float]]) -> None:
    """A leader under everything that clocks and processes do to it, and a candidate with a sound
    clock that looks at every moment: when the candidate may take the Lease, the leader is out."""
    clock, true_time, version = Clock(), 0.0, 1
    leader, candidate = Tenure(clock), Candidate("me")
    leader.confirm(clock())
    pending: Instant | None = None
    for kind, amount in steps:
        match kind:
            case "pass" | "stop":
                clock.passes(amount)
                true_time += amount
            case "wall":
                clock.jumps(wall=amount - 15)
            case "suspend":  # the monotonic clock stands still
                clock.jumps(boottime=amount, wall=amount)
                true_time += amount
            case "renew" if leader.leading:
                version += 1
                leader.confirm(clock())
            case "delayed" if pending is None and leader.leading:
                pending, version = clock(), version + 1
            case "delayed" if pending is not None:
                leader.confirm(pending)
                pending = None
            case _:
                continue
        lease = replace(HELD, version=str(version))
        if candidate.wait(lease, true_time) == 0:
            assert not leader.leading
            return
