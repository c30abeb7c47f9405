"""The examples that users copy, against models, CRDs and each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.api.v1alpha1.callcluster import StoreType
from callfleet_operator.observe.presets import presets_problem
from tests.cluster.api_server import ApiServer

EXAMPLES = Path(__file__).parents[2] / "examples"
MODELS: dict[str, type[CallCluster | TurnPool]] = {"CallCluster": CallCluster, "TurnPool": TurnPool}
FLEETS = ("demo", "quickstart")


def documents(example: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / f"{example}.yaml").read_text("utf-8")))


def resources(example: str) -> Iterator[CallCluster | TurnPool]:
    for document in documents(example):
        if document["kind"] in MODELS:
            metadata = {"namespace": "demo"} | document["metadata"]
            yield MODELS[document["kind"]].model_validate(
                document | {"metadata": metadata}, extra="forbid"
            )


def only_cluster(example: str) -> CallCluster:
    (cluster,) = [found for found in resources(example) if isinstance(found, CallCluster)]
    return cluster


def only_pool(example: str) -> TurnPool:
    (pool,) = [found for found in resources(example) if isinstance(found, TurnPool)]
    return pool


@pytest.mark.parametrize("example", FLEETS)
def test_the_cluster_uses_the_pool_beside_it(example: str) -> None:
    cluster, pool = only_cluster(example), only_pool(example)
    assert [ref.name for ref in cluster.spec.turn.pool_refs] == [pool.metadata.name]
    assert cluster.metadata.namespace == pool.metadata.namespace


def test_the_demo_brings_its_join_keys() -> None:
    secrets = {
        document["metadata"]["name"]: document["stringData"]
        for document in documents("demo")
        if document["kind"] == "Secret"
    }
    spec = only_cluster("demo").spec
    (key,) = json.loads(secrets[spec.auth.keys_secret_ref.name]["keys.json"])["keys"]
    assert key["kid"]


def test_the_demo_uses_the_database_of_the_examples() -> None:
    store = only_cluster("demo").spec.store.postgresql
    assert store is not None
    (secret,) = [found for found in documents("postgresql") if found["kind"] == "Secret"]
    assert secret["metadata"]["name"] == store.uri_secret_ref.name
    assert store.uri_secret_ref.key in secret["stringData"]


def test_the_demo_fits_one_node() -> None:
    """Each relay needs a port of the node of its own."""
    pool = only_pool("demo").spec
    assert pool.max_total_replicas <= pool.exposure.relays_per_node


def test_the_quickstart_holds_no_secret() -> None:
    assert not [found for found in documents("quickstart") if found["kind"] == "Secret"]
    assert only_cluster("quickstart").spec.store.type is StoreType.POSTGRESQL


def test_presets_are_such_as_engines_take() -> None:
    (presets,) = documents("presets")
    assert presets_problem(presets) == ""


@pytest.mark.api
@pytest.mark.usefixtures("crds")
@pytest.mark.parametrize("example", FLEETS)
def test_the_api_server_takes_every_field(
    api_server: ApiServer, api_namespace: str, example: str
) -> None:
    for document in documents(example):
        if document["kind"] != "Namespace":
            document["metadata"].pop("namespace", None)
        api_server.kubectl(
            "apply",
            "--dry-run=server",
            "--validate=strict",
            *([] if document["kind"] == "Namespace" else [f"--namespace={api_namespace}"]),
            "--filename=-",
            stdin=json.dumps(document),
        )
