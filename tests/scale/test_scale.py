"""A tenth of the measurement, with the bounds that no clock is needed for."""

from __future__ import annotations

import pytest

from tests.cluster.api_server import ApiServer
from tests.scale.__main__ import WHOLE
from tests.scale.fleet import Size
from tests.scale.measurement import measure, setting

pytestmark = [pytest.mark.api, pytest.mark.peer]

MOST_MEMORY = 200.0
"""MiB; the whole may have 300."""


async def test_a_tenth(api_server: ApiServer) -> None:
    size = Size(WHOLE // 10)
    async with setting(api_server, size, print, tick=3) as here:
        found = await measure(here, size.clusters, rest_seconds=7, changes=2, patience=600)
    assert found.writes_at_rest == 0
    assert found.writes_after_restart == 0
    assert found.rounds_a_second > 0
    assert found.peak < MOST_MEMORY
    assert len(found.reactions) == 2
