from __future__ import annotations

import pytest

from callfleet_operator.render.fleet import Component, Fleet, image_version
from tests.callfleet_operator.render.samples import INSTALLATION, call_cluster, turn_pool


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("ghcr.io/callfleet/engine:0.1.0", "0.1.0"),
        ("localhost:5000/engine:0.1.0", "0.1.0"),
        ("localhost:5000/engine", ""),
        ("engine:1.0@sha256:" + 64 * "a", "1.0"),
        ("engine@sha256:" + 64 * "a", ""),
        ("engine:build-", "build"),
        ("", ""),
    ],
)
def test_version_label_of_an_image(image: str, version: str) -> None:
    assert image_version(image) == version


def test_the_image_of_the_resource_comes_before_the_installation_s() -> None:
    assert Fleet.of(turn_pool(), INSTALLATION).image == INSTALLATION.relay_image
    assert Fleet.of(turn_pool(image="mine:1"), INSTALLATION).image == "mine:1"


def test_a_cluster_and_a_pool_of_one_name_share_nothing() -> None:
    engine = Fleet.of(call_cluster("same"), INSTALLATION)
    relay = Fleet.of(turn_pool("same"), INSTALLATION)
    assert (engine.object_name, relay.object_name) == ("same-engine", "same-relay")
    assert not engine.selector.items() & relay.selector.items()
    assert (engine.component, relay.component) == (Component.ENGINE, Component.RELAY)
