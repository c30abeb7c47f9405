"""The native plane beside its reference: the same schedule through both, every byte compared."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from .fuzzing import EXAMPLES
from .planes import PLANES
from .stage import Stage, Surroundings
from .steps import Step, schedules


async def _run(plane: str, schedule: list[Step], around: Surroundings) -> list[dict[str, Any]]:
    stage = Stage(PLANES[plane], around)
    try:
        return [await stage.run(step) for step in schedule]
    finally:
        stage.close()


@pytest.mark.parametrize("native", [name for name in PLANES if name != "python"])
@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedule=schedules)
def test_both_planes_make_the_same_of_a_schedule(native: str, schedule: list[Step]) -> None:
    around = Surroundings()
    try:
        reference = asyncio.run(_run("python", schedule, around))
        ours = asyncio.run(_run(native, schedule, around))
    finally:
        around.close()
    for step, expected, found in zip(schedule, reference, ours, strict=True):
        assert found == expected, step
