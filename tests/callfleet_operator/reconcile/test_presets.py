"""A ConfigMap with presets of quality on the real API server: named, missing, bad and corrected."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.gateway.resources import CONFIG_MAPS, REVISIONS
from callfleet_operator.reconcile.keys import Key
from tests.callfleet_operator.reconcile.specs import make_cluster
from tests.callfleet_operator.reconcile.world import World
from tests.presets import ONE

pytestmark = [pytest.mark.api, pytest.mark.peer]

NAMED: dict[str, Any] = {"quality": {"presetsConfigMapRef": {"name": "frugal"}}}


async def presets(here: World, **data: str) -> None:
    metadata = {"name": "frugal", "namespace": here.namespace}
    content = {key.replace("_", "."): text for key, text in data.items()}
    await here.people.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": content}
    )


async def accepted(here: World, key: Key) -> tuple[str, str, str]:
    return await here.condition(key, "Accepted")


async def told_anew(here: World, key: Key) -> str:
    """The message of a new operator: where only words have changed, one waits for a minute."""
    await here.restart()
    await here.round(key)
    return (await accepted(here, key))[2]


async def volumes(here: World) -> list[dict[str, Any]]:
    """With presets, of all pods."""
    pods = await here.list_pods()
    return [v for pod in pods for v in pod["spec"]["volumes"] if v["name"] == "presets"]


async def test_what_runs_is_not_rolled_to_presets_that_are_not_there(here: World) -> None:
    key = await make_cluster(here)
    await here.settle(key)
    [before] = here.pods
    revisions = await here.people.list_all(REVISIONS, here.namespace)
    mark = await here.mark()

    await here.change_resource(key, {"spec": NAMED | {"image": "example.org/image:2"}})
    await here.settle(key, rounds=2)
    assert (await accepted(here, key))[:2] == ("False", "PresetsUnusable")
    message = (await accepted(here, key))[2]
    assert "ConfigMap frugal does not exist" in message
    assert "remove quality.presetsConfigMapRef" in message
    assert [*here.pods] == [before]
    assert await here.writes(mark, "pods") == []
    assert await here.people.list_all(REVISIONS, here.namespace) == revisions

    await presets(here, other="x")
    assert "ConfigMap frugal has no key presets.yaml" in await told_anew(here, key)
    bad = {"data": {"presets.yaml": ONE.replace("360", "36")}}
    await here.change(CONFIG_MAPS, "frugal", bad)
    assert "presets.yaml, presets.low.height: " in await told_anew(here, key)
    assert await here.writes(mark, "pods") == []

    await here.change(CONFIG_MAPS, "frugal", {"data": {"presets.yaml": ONE}})
    await here.settle(key, rounds=8)
    assert (await accepted(here, key))[:2] == ("True", "Accepted")
    assert before not in here.pods
    [volume] = await volumes(here)
    assert volume["configMap"]["name"] == "frugal"


async def test_a_change_of_presets_rolls_nothing(blind: World) -> None:
    await presets(blind, presets_yaml=ONE)
    key = await make_cluster(blind, **NAMED)
    await blind.settle(key)
    assert (await accepted(blind, key))[:2] == ("True", "Accepted")
    assert len(await volumes(blind)) == 1

    mark = await blind.mark()
    other = {"data": {"presets.yaml": ONE.replace("15", "20")}}
    await blind.change(CONFIG_MAPS, "frugal", other)
    await blind.settle(key, rounds=2)
    await blind.change(CONFIG_MAPS, "frugal", {"data": {"presets.yaml": "default: low"}})
    await blind.settle(key, rounds=2)
    assert (await accepted(blind, key))[:2] == ("False", "PresetsUnusable")
    assert await blind.writes(mark, "pods", "controllerrevisions") == []
    assert len(blind.pods) == 1
