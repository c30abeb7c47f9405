"""A tenth of the measurement: what neither the clock nor the load of the machine decides."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.cluster import choice, prepare
from tests.cluster.api_server import ApiServer
from tests.scale.__main__ import WHOLE
from tests.scale.fleet import Size
from tests.scale.measurement import (
    all_decided,
    all_run,
    at_rest,
    grow,
    operator,
    reaction,
    rounds,
    setting,
)

pytestmark = [pytest.mark.api, pytest.mark.peer]

MOST_MEMORY = 250.0
"""MiB at its highest; ten times as many objects may have 300 at rest."""
PATIENCE = 600.0


@pytest.fixture
def alone() -> Iterator[ApiServer]:
    """An API server on which nobody else has a fleet: the operator follows all namespaces."""
    prepare.require(prepare.API)
    server = choice.new_api_server(f"pytest-{os.getpid()}-scale")
    try:
        server.up(owned=True)
        yield server
    finally:
        server.down()


async def test_a_tenth(alone: ApiServer) -> None:
    size, changes = Size(WHOLE // 10), 2
    async with setting(alone, size, print, tick=3) as here:
        began = await here.mark()
        await grow(here, size.clusters)
        async with operator(here) as first:
            await all_decided(here, first, PATIENCE)
            await at_rest(here, PATIENCE)
            for number in range(changes):
                await reaction(here, number, PATIENCE)
            await all_run(here, size.pods + changes, PATIENCE)
            _, first_peak = first.resident()
        async with operator(here) as second:
            await all_decided(here, second, PATIENCE)
            decided = await rounds(second)
            await at_rest(here, PATIENCE)
            assert await rounds(second) >= decided + size.clusters
            _, second_peak = second.resident()
        pods = [one for one in await here.writes(began) if one.resource == "pods"]
    assert [one.verb for one in pods] == ["create"] * changes
    assert max(first_peak, second_peak) < MOST_MEMORY
