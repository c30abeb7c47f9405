"""That the sides differ in what is compared and in nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from callfleet_engine.load.scenario import Until, read_scenario
from callfleet_operator.api.v1alpha1 import CallCluster
from callfleet_operator.render.config_map import engine_config_map
from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.fleet import Fleet, Installation
from tests.compare.setting import adapter_manifests, fleet_manifests
from tests.compare.shape import DAY
from tests.compare.sides import GENTLE, OPERATED, PLAIN, SIDES, TUNED, Plain

ONLY_OF_THE_OPERATOR = {"ADMIN", "ADMIN_KEYS_FILE", "TURN_KEYS_DIRECTORY"}
"""How the operator reaches a pod, and keys that it derives."""
INSTEAD = {"TURN", "TURN_SECRET_FILE"}
OF_THE_SIDE = {"CONSUMER", "DATABASE", "MEDIA_PORT", "TERMINATION_GRACE"}
IMAGE = "registry.example.org/engine:1"


def call_cluster() -> CallCluster:
    (found,) = [o for o in fleet_manifests() if o["kind"] == "CallCluster"]
    found["metadata"] |= {"namespace": "compare", "uid": "u", "generation": 1}
    return CallCluster.model_validate(found)


def objects(side: Plain) -> dict[str, Any]:
    return {o["kind"]: o for o in side.manifests(image=IMAGE, node="192.0.2.1")}


def environment(template: dict[str, Any]) -> dict[str, Any]:
    (container,) = template["spec"]["containers"]
    return {
        variable["name"].removeprefix("CALLFLEET_ENGINE_"): variable.get("value")
        for variable in container["env"]
    }


@pytest.mark.parametrize("side", [PLAIN, TUNED], ids=lambda side: side.name)
def test_engines_of_a_deployment_are_set_as_the_operator_sets_its_own(side: Plain) -> None:
    cluster = call_cluster()
    fleet = Fleet.of(cluster, Installation(IMAGE, "", "callfleet-system"))
    ours = engine_template(fleet, cluster.spec)
    plain = objects(side)["Deployment"]["spec"]["template"]

    operated, deployed = environment(ours), environment(plain)
    assert set(operated) - set(deployed) == ONLY_OF_THE_OPERATOR
    assert set(deployed) - set(operated) == INSTEAD
    same = set(operated) & set(deployed) - OF_THE_SIDE
    assert {name: deployed[name] for name in same} == {name: operated[name] for name in same}

    (engine,), (container,) = ours["spec"]["containers"], plain["spec"]["containers"]
    for field in ("image", "imagePullPolicy", "resources", "securityContext"):
        assert container[field] == engine[field]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe] == engine[probe]
    limits = engine_config_map(fleet, cluster.spec, "")["data"]["limits.json"]
    assert yaml.safe_load(objects(side)["ConfigMap"]["data"]["limits.json"]) == yaml.safe_load(
        limits
    )


@pytest.mark.parametrize("side", [PLAIN, TUNED], ids=lambda side: side.name)
def test_an_hpa_has_the_target_and_the_bounds_of_the_call_cluster(side: Plain) -> None:
    scaling = call_cluster().spec.scaling
    spec = objects(side)["HorizontalPodAutoscaler"]["spec"]

    assert (spec["minReplicas"], spec["maxReplicas"]) == (
        scaling.min_replicas,
        scaling.max_replicas,
    )
    (metric,) = spec["metrics"]
    assert metric["pods"]["target"]["averageValue"] == str(scaling.target_utilization_percent)
    (config,) = [o for o in adapter_manifests() if o["kind"] == "ConfigMap"]
    (rule,) = yaml.safe_load(config["data"]["config.yaml"])["rules"]
    assert rule["name"]["as"] == metric["pods"]["metric"]["name"]


def test_calls_may_go_on_for_the_grace_less_what_the_end_takes() -> None:
    for side in (PLAIN, TUNED):
        pod = objects(side)["Deployment"]["spec"]["template"]["spec"]
        grace = environment({"spec": pod})["TERMINATION_GRACE"]

        assert int(grace) == pod["terminationGracePeriodSeconds"] - 5


def test_the_tuned_one_scales_in_as_the_call_cluster_does() -> None:
    assert objects(TUNED)["HorizontalPodAutoscaler"]["spec"]["behavior"] == GENTLE
    cluster = call_cluster().spec
    scale_in = cluster.scaling.scale_in
    down = GENTLE["scaleDown"]
    assert down["stabilizationWindowSeconds"] == scale_in.stabilization_window_seconds
    assert down["policies"] == [
        {"type": "Pods", "value": scale_in.max_pods, "periodSeconds": scale_in.period_seconds}
    ]
    as_it_comes = objects(PLAIN)["HorizontalPodAutoscaler"]["spec"]["behavior"]
    window = scale_in.stabilization_window_seconds
    assert as_it_comes == {"scaleDown": {"stabilizationWindowSeconds": window}}
    assert TUNED.grace_seconds == cluster.drain.termination_grace_period_seconds


def test_each_side_selects_its_own_pods() -> None:
    cluster = call_cluster()
    fleet = Fleet.of(cluster, Installation(IMAGE, "", "callfleet-system"))
    labels = {OPERATED.name: fleet.labels} | {
        side.name: objects(side)["Deployment"]["spec"]["template"]["metadata"]["labels"]
        for side in SIDES
        if isinstance(side, Plain)
    }

    for side in SIDES:
        key, value = side.selector.split("=")
        assert [name for name, those in labels.items() if those.get(key) == value] == [side.name]


def test_the_day_is_one_that_callfleet_load_takes(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(yaml.safe_dump(DAY.scenario()))

    phases = read_scenario(file).phases

    assert [phase.until for phase in phases] == [Until.COMMAND] * len(DAY.steps)
    assert DAY.top.name == "noon"
    assert DAY.falls_after == 105 < DAY.seconds
