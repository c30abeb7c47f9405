"""The media bench with tiny numbers, and its arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.bench.media.client import Person
from tests.bench.media.scenes import Row, Setting, broadcast, running
from tests.bench.media.search import highest
from tests.bench.media.servers import SERVERS
from tests.bench.media.tables import markdown

SUBSCRIBERS = 2


@pytest.mark.slow
@pytest.mark.parametrize("server", [name for name in SERVERS if name.startswith("callfleet")])
def test_what_an_engine_forwards_is_counted_at_the_sockets(server: str) -> None:
    with running(SERVERS[server], Setting(seconds=1, address="127.0.0.1")) as run:
        people = [Person("publisher", "1", ["video"], subscribe=False)]
        people += [Person(f"subscriber{i}", "1", [], subscribe=True) for i in range(SUBSCRIBERS)]
        joined = run.client.join(run.server, people, at_once=1)
        assert len(joined.answered_ms) == 1
        assert len(joined.connected_ms) == 1 + SUBSCRIBERS
        run.load(broadcast(800, SUBSCRIBERS), SUBSCRIBERS)
        figures = run.load(broadcast(800, SUBSCRIBERS), SUBSCRIBERS)
    assert figures["streams"] == SUBSCRIBERS
    assert figures["samples"] > 0
    assert figures["delay_p50_ms"] <= figures["delay_p99_ms"]
    assert figures["cpu_us_per_packet"] > 0
    assert figures["lost_share"] == 0
    assert figures["client_dropped"] == 0


@pytest.mark.parametrize("limit", [1_000, 40_000, 41_000, 200_000])
def test_the_highest_rate_is_found_within_five_per_cent(limit: float) -> None:
    found = highest(up_to(limit), 41_000)
    assert found is not None
    assert limit / 1.05 <= found <= limit


def test_no_rate_is_found_where_none_succeeds() -> None:
    assert highest(up_to(0), 41_000) is None


def up_to(limit: float) -> Callable[[float], bool]:
    def succeeds(rate: float) -> bool:
        return rate <= limit

    return succeeds


def test_ratios_are_within_a_round_and_to_the_better_of_the_others() -> None:
    costs = {"callfleet-python": (10, 12), "livekit": (20, 48), "janus": (40, 24)}
    rows = [
        Row("rates", "load", server, {"cpu_us_per_packet": cost[turn]})
        for turn in range(2)
        for server, cost in costs.items()
    ]
    (line,) = (line for line in markdown(rows) if "callfleet-python" in line)
    assert line == "| callfleet-python | 11.00 (10.00-12.00) | 0.50 (0.50-0.50) |"


def test_a_higher_rate_is_the_better_one() -> None:
    rates = {"callfleet-native": 150, "livekit": 100, "janus-loop": 60}
    rows = [
        Row("limit", "highest", server, {"forwarded_per_second": rate})
        for server, rate in rates.items()
    ]
    (line,) = (line for line in markdown(rows) if "callfleet-native" in line)
    assert line == "| callfleet-native | 150 | 1.50 |"
