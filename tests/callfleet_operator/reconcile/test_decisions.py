"""The ConfigMap with the last decisions, on a real API server."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from callfleet_operator.gateway.resources import CONFIG_MAPS
from callfleet_operator.reconcile.keys import Key
from callfleet_operator.status.history import Recorded, decode, encode
from tests.callfleet_operator.reconcile.specs import SCALING, make_cluster, make_pool
from tests.callfleet_operator.reconcile.world import World

pytestmark = [pytest.mark.api, pytest.mark.peer]

ENGINES = "calls-engine-decisions"


async def kept(here: World, name: str = ENGINES) -> tuple[Recorded, ...]:
    body = await here.people.get(CONFIG_MAPS, here.namespace, name)
    return () if body is None else decode(body["data"]["decisions.json"])


async def fill(here: World, key: Key, used: int) -> None:
    for pod in here.pods.values():
        pod.used = pod.calls = used
    await here.scrape()
    await here.settle(key, rounds=2)


async def test_each_change_of_the_number_is_kept_with_its_trace(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    await fill(here, key, 10)
    await here.restart()
    await fill(here, key, 0)
    decisions = await kept(here)
    assert [(one.number, one.before, one.after) for one in decisions][:2] == [(1, 0, 1), (2, 1, 2)]
    assert decisions[-1].after < decisions[-1].before
    assert [one.number for one in decisions] == list(range(1, len(decisions) + 1))
    for one in decisions:
        stages = [record.stage for record in one.trace]
        assert (stages[0], stages[-1], len(stages)) == ("Classify", "Total", 14)
        assert one.trace[-2].after.low == one.after
        assert one.message


async def test_nothing_is_written_without_a_change(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    mark = await here.mark()
    here.of("calls-engine-0").used = 3
    await here.scrape()
    await here.settle(key, rounds=2)
    await here.restart()
    await here.settle(key, rounds=1)
    assert await here.writes(mark, "configmaps") == []


async def test_two_kinds_of_one_name_have_one_each(here: World) -> None:
    cluster = await make_cluster(here, "demo")
    pool = await make_pool(here, "demo")
    await here.settle(cluster, pool)
    for name, kind in (
        ("demo-engine-decisions", "CallCluster"),
        ("demo-relay-decisions", "TurnPool"),
    ):
        body = await here.people.get(CONFIG_MAPS, here.namespace, name)
        assert body is not None
        (owner,) = body["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == (kind, "demo", True)
        assert len(decode(body["data"]["decisions.json"])) == 1


async def test_an_unreadable_history_is_begun_anew(
    here: World, caplog: pytest.LogCaptureFixture
) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    await here.change(CONFIG_MAPS, ENGINES, {"data": {"decisions.json": "by hand"}})
    await fill(here, key, 10)
    assert [(one.number, one.before, one.after) for one in await kept(here)] == [(1, 1, 2)]
    assert "begun anew" in caplog.text


async def test_somebody_elses_config_map_is_left_alone_and_scaling_goes_on(
    here: World, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = {"decisions.json": encode(())}
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "data": theirs}
    await here.people.create(body | {"metadata": {"name": ENGINES, "namespace": here.namespace}})
    key = await make_cluster(here)
    await here.settle(key)
    assert len(here.pods) == 1
    assert await kept(here) == ()
    assert caplog.text.count("belongs to somebody else") == 1

    # What could not be written is written once it can be.
    await here.people.client.request(
        "delete", CONFIG_MAPS.path(here.namespace, ENGINES), serialize=False
    )
    await here.round(key)
    assert [(one.number, one.before, one.after) for one in await kept(here)] == [(1, 0, 1)]


async def test_one_decision_is_one_line_of_the_log(
    here: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    key = await make_cluster(here)
    await here.settle(key)
    (line,) = [one for one in caplog.records if getattr(one, "event", "") == "decision"]
    fields = vars(line)
    assert fields["object"] == f"CallCluster {here.namespace}/calls"
    assert (fields["decision"], fields["from"], fields["to"]) == (1, 0, 1)
    assert fields["reason"]
    assert len(fields["trace"]) == 14
    assert "0 to 1 open pods: " in line.getMessage()


async def test_dry_run_keeps_what_it_would_have_done(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    await here.change_resource(key, {"spec": {"mode": "DryRun"}})
    await fill(here, key, 10)
    await here.restart()
    await here.settle(key, rounds=1)
    last = (await kept(here))[1:]
    assert [(one.dry_run, one.before, one.after) for one in last] == [(True, 1, 2)]
    assert len(here.pods) == 1
    assert SCALING["maxReplicas"] == 3
