"""What Prometheus has kept becomes a history, and a real Prometheus gives it so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from callfleet_operator.cli import main
from callfleet_operator.gateway.prometheus import Series
from callfleet_operator.simulate.past import PastError, Span, durations, history, mean
from callfleet_operator.simulate.traffic import Shown
from tests.callfleet_operator.gateway.prometheus_server import prometheus
from tests.callfleet_operator.simulate.samples import START

SPAN = Span.until(START, timedelta(minutes=20))
STEPS = [one.timestamp() for one in SPAN.step_ends]


def series(*points: tuple[float, float], **labels: str) -> Series:
    return Series(labels, points)


@pytest.mark.parametrize(
    ("since", "step", "steps"),
    [
        (timedelta(seconds=10), 1, 2),
        (timedelta(hours=2), 1, 120),
        (timedelta(days=1), 1, 1440),
        (timedelta(days=7), 7, 1440),
    ],
)
def test_steps(since: timedelta, step: int, steps: int) -> None:
    span = Span.until(START, since)
    assert (span.step, span.steps) == (timedelta(minutes=step), steps)
    assert span.step_ends[-1] == span.end == START


def test_calls_of_each_step_and_who_was_there_before() -> None:
    begun = series(*((time, 3.0) for time in STEPS))
    made, filled = history(SPAN, [begun], [series((SPAN.start.timestamp(), 12))])
    assert (made.start, made.length, made.shown) == (SPAN.start, 1200, Shown.CALLS)
    assert made.values == (*[3.0] * 20, 0.0)
    assert (made.participants_at_start, filled) == (12, 0)


def test_a_few_unknown_steps_are_as_the_nearest_and_said() -> None:
    known = [(time, float(number)) for number, time in enumerate(STEPS) if number not in (4, 5)]
    made, filled = history(SPAN, [series(*known)], [])
    assert made.values[2:8] == (2, 3, 3, 6, 6, 7)
    assert (made.participants_at_start, filled) == (None, 2)


@pytest.mark.parametrize(
    ("known", "said"),
    [(0, "has no calls of this CallCluster"), (17, "does not know 3 of 20 steps of this time")],
)
def test_too_many_are_not_guessed(known: int, said: str) -> None:
    with pytest.raises(PastError, match=said):
        history(SPAN, [series(*((time, 1.0) for time in STEPS[:known]))], [])


def test_buckets_become_durations() -> None:
    totals = {"60": 10.0, "600": 30.0, "+Inf": 31.0}
    found = durations([series((0, total), le=bound) for bound, total in totals.items()])
    assert (found.bounds, found.counts) == ((60, 600), (10, 20, 1))


@pytest.mark.parametrize("rows", [[], [series((0, 0.0), le="60"), series((0, 0.0), le="+Inf")]])
def test_without_an_ended_call_durations_are_not_known(rows: list[Series]) -> None:
    with pytest.raises(PastError, match="--call-minutes"):
        durations(rows)


def test_a_mean_of_nothing_is_not_known() -> None:
    assert mean([series((0, 9))], [series((0, 3))]) == 3
    assert mean([], []) is None
    assert mean([series((0, 0))], [series((0, 0))]) is None


SPEC = """
apiVersion: callfleet.dev/v1alpha1
kind: CallCluster
metadata: {name: calls, namespace: media}
spec:
  scaling: {minReplicas: 1, maxReplicas: 9}
  capacity: {participantsPerPod: 40}
  store: {type: PostgreSQL, postgresql: {uriSecretRef: {name: calls-db}}}
"""


@pytest.mark.peer
def test_the_past_of_a_real_prometheus_is_replayed(tmp_path: Path) -> None:
    """Four hours: pod a takes 2 calls a minute all the time and is scraped twice, pod b 3 a minute
    in the third hour alone; nothing was scraped for twelve minutes of the second."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    _backfill(tmp_path, minute)
    spec = tmp_path / "calls.yaml"
    spec.write_text(SPEC)
    with prometheus(tmp_path) as real:
        command = ["simulate", "-f", str(spec), "--since=4h", "-ojson"]
        ran = CliRunner().invoke(main, [*command, f"--prometheus-url={real.url}"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    # the clock may have gone on by a minute or two, in which nothing was written
    assert found["calls"] == pytest.approx(4 * 60 * 2 + 60 * 3, abs=6)
    assert found["callsAtStart"] == 10
    assert found["meanParticipants"] == pytest.approx(2)
    # all between 60 and 300 s
    assert found["meanCallSeconds"] == pytest.approx(180)
    assert [one["name"] for one in found["outcomes"]] == ["Callfleet", "HPA", "KEDA"]
    assert found["outcomes"][0]["cutCalls"] == 0
    (note,) = found["notes"]
    assert int(re.findall(r"does not know (\d+) of 240 steps", note)[0]) in range(13, 16)


def _backfill(directory: Path, now: datetime) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.fail("promtool is missing: apt-get install --no-install-recommends prometheus")
    page = directory / "past.txt"
    page.write_text("\n".join([*_samples(now), "# EOF", ""]))
    (directory / "data").mkdir()
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", page, directory / "data"],
        check=True,
        capture_output=True,
        timeout=60,
    )


def _samples(now: datetime) -> Iterator[str]:
    scraped = [
        (minute, now - timedelta(minutes=minute))
        for minute in range(5 * 60, -1, -1)
        if not 150 < minute <= 162
    ]
    for name, per_minute, first, last, jobs in (("a", 2, 300, 0, 2), ("b", 3, 120, 60, 1)):
        for job in range(jobs):
            pod = f'namespace="media",callfleet_cluster="calls",pod="{name}"'
            pod += f',pod_uid="{name}",job="{job}"'
            for minute, time in scraped:
                if not last <= minute < first:
                    continue
                at = f"{time.timestamp():.0f}"
                calls = per_minute * (first - minute)
                yield f"callfleet_engine_calls_started_total{{{pod}}} {calls} {at}"
                yield f"callfleet_engine_participants{{{pod}}} 20 {at}"
                for le, share in (("60", 0), ("300", 1), ("+Inf", 1)):
                    bucket = f'callfleet_engine_call_duration_seconds_bucket{{{pod},le="{le}"}}'
                    yield f"{bucket} {calls * share} {at}"
                yield f"callfleet_engine_call_participants_sum{{{pod}}} {calls * 2} {at}"
                yield f"callfleet_engine_call_participants_count{{{pod}}} {calls} {at}"
