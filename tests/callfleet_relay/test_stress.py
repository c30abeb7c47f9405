from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_relay.stress import FULL_LAG, Stress, StressMeter, cores_for


def test_ratios_are_means_over_the_window() -> None:
    meter = StressMeter(sustainable_packet_rate=1000, cores=0.5)
    assert meter.stress() == Stress()
    meter.sample(100.0, packets=0, cpu_seconds=5.0)
    meter.lag(FULL_LAG)
    meter.lag(0.0)
    meter.sample(102.0, packets=1000, cpu_seconds=5.5)

    stress = meter.stress()

    assert stress.as_dict() == {"packets": 0.5, "cpu": 0.5, "loop": pytest.approx(0.5)}


def test_what_is_older_than_the_window_counts_no_longer() -> None:
    meter = StressMeter(sustainable_packet_rate=1000, cores=1.0)
    packets = 0
    for second in range(30):
        packets += 1000 if second < 10 else 0
        meter.sample(float(second), packets, cpu_seconds=0.0)

    assert meter.stress().packets == 0


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 1.0),
        ({"cpu.max": "max 100000\n"}, 1.0),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "400000 100000\n"}, 1.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.0),
        ({"cpu/cpu.cfs_quota_us": "25000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.25),
    ],
)
def test_one_thread_has_a_core_or_the_quota(
    tmp_path: Path, files: dict[str, str], cores: float
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    assert cores_for(1, tmp_path) == cores
