from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_engine.media.interface import Stress
from callfleet_engine.media.stress import RECEIVED_COST, StressMeter, cores_allowed, read_cpu_max


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 1.0),
        ("200000 100000\n", 1.0),
        ("50000 100000\n", 0.5),
        ("", 1.0),
        ("garbage", 1.0),
        ("5 0", 1.0),
        ("0 100000", 1.0),
    ],
)
def test_cores_of_a_quota(text: str, cores: float) -> None:
    assert cores_allowed(text) == cores


def test_two_threads_can_use_two_cores() -> None:
    assert cores_allowed("max 100000", threads=2) == 2.0
    assert cores_allowed("150000 100000", threads=2) == 1.5
    assert cores_allowed("400000 100000", threads=2) == 2.0


def test_no_cgroup_is_no_quota(tmp_path: Path) -> None:
    assert read_cpu_max(tmp_path / "missing") == ""
    (tmp_path / "cpu.max").write_text("1 2")
    assert read_cpu_max(tmp_path / "cpu.max") == "1 2"


def test_steady_load_is_its_own_average() -> None:
    meter = StressMeter(forwards_per_core=1000, egress_bits_per_second=1e6, cores=0.5)
    assert set(meter.stress().values()) == {0.0}
    for _ in range(1000):
        meter.observe(
            elapsed=0.1,
            received=10,
            forwarded=15,
            bytes_sent=6250,
            cpu_seconds=0.02,
            media_cpu_seconds=0.01,
            late=0.005,
        )
    stress = meter.stress()
    assert stress["packets"] == pytest.approx((10 * RECEIVED_COST + 15) * 10 / 500)
    assert stress["cpu"] == pytest.approx(0.4)
    assert stress["loop"] == pytest.approx(0.1)
    assert stress["egress"] == pytest.approx(0.5)


def observed(meter: StressMeter, **measured: float) -> Stress:
    """After one tick of a second in which nothing else was measured."""
    meter.observe(
        elapsed=1,
        received=0,
        forwarded=int(measured.get("forwarded", 0)),
        bytes_sent=0,
        cpu_seconds=measured.get("cpu_seconds", 0),
        media_cpu_seconds=measured.get("media_cpu_seconds", 0),
        late=0,
    )
    return meter.stress()


def test_a_full_thread_is_a_full_pod_though_another_core_is_idle() -> None:
    meter = StressMeter(forwards_per_core=1000, egress_bits_per_second=1e6, cores=2)
    for _ in range(60):
        observed(meter, cpu_seconds=1.1, media_cpu_seconds=1.0, forwarded=1000)
    stress = meter.stress()
    assert stress["cpu"] == pytest.approx(1, abs=0.01)
    assert stress["packets"] == pytest.approx(1, abs=0.01)


def test_threads_together_fill_their_cores() -> None:
    meter = StressMeter(forwards_per_core=1000, egress_bits_per_second=1e6, cores=1.5)
    for _ in range(60):
        observed(meter, cpu_seconds=1.5, media_cpu_seconds=0.75)
    assert meter.stress()["cpu"] == pytest.approx(1, abs=0.01)


def test_an_average_forgets() -> None:
    meter = StressMeter(forwards_per_core=1000, egress_bits_per_second=1e6, cores=1)
    peak = observed(meter, forwarded=1000)["packets"]
    assert 0.1 < peak < 0.3
    for _ in range(30):
        observed(meter)
    assert meter.stress()["packets"] < 0.01
