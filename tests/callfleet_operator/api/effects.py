"""What the operator makes of a CallCluster or a TurnPool, view by view."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from callfleet_operator.api.v1alpha1 import (
    CallCluster,
    CallClusterStatus,
    TurnPool,
    TurnPoolStatus,
)
from callfleet_operator.api.v1alpha1.common import FleetStatus
from callfleet_operator.cli.planning.asked import Asked
from callfleet_operator.cli.planning.inputs import inputs_of
from callfleet_operator.cli.planning.manifest import Planned
from callfleet_operator.observation import Observation, Reading, Source
from callfleet_operator.observe.addresses import node_address
from callfleet_operator.observe.consent import admits, pools_of
from callfleet_operator.observe.nodes import Node
from callfleet_operator.plan import engines, relays
from callfleet_operator.plan.classify import judge
from callfleet_operator.plan.decision import Decision, Memory
from callfleet_operator.plan.rollout import rollout
from callfleet_operator.plan.sizing.inputs import SizingError
from callfleet_operator.plan.steps import next_steps
from callfleet_operator.reconcile.pods import Listed, engine_limits, relay_limits
from callfleet_operator.reconcile.relays import ending_list, handed_out, relay_list
from callfleet_operator.render.engine_pod import engine_template
from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.objects import engine_objects, relay_objects
from callfleet_operator.render.relay_pod import relay_template
from callfleet_operator.status.summary import cluster_status, pool_status
from tests.callfleet_operator.plan.samples import NOW, REVISION, seconds
from tests.callfleet_operator.render.samples import ADMIN_KEYS, INSTALLATION, call_cluster
from tests.callfleet_operator.status import scenarios

Resource = CallCluster | TurnPool
View = Callable[[Resource], object]

NODE: Final = Node("node-a", False, "zone-a", "", "", ("203.0.113.7",), ("10.0.0.9",))


def made(resource: Resource) -> object:
    """The pods' template and all objects beside the pods."""
    fleet = Fleet.of(resource, INSTALLATION)
    if isinstance(resource, TurnPool):
        objects = relay_objects(resource, INSTALLATION, admin_keys=ADMIN_KEYS)
        return relay_template(fleet, resource.spec), objects
    objects = engine_objects(resource, INSTALLATION, admin_keys=ADMIN_KEYS, masters={})
    return engine_template(fleet, resource.spec), objects


def decided(seen: Observation, memory: Memory | None = None) -> View:
    """The number of open pods, and how far the operator may go."""

    def view(resource: Resource) -> object:
        decision = _decision(resource, seen, memory)
        return decision.desired_open, decision.would_scale_to, decision.steering

    return view


def explained(seen: Observation) -> View:
    """The reasons of the number."""
    return lambda resource: _decision(resource, seen, None).trace


def done(seen: Observation, memory: Memory | None = None) -> View:
    """The steps that are taken."""

    def view(resource: Resource) -> object:
        spec = resource.spec
        return next_steps(
            _decision(resource, seen, memory),
            seen,
            max_total=spec.max_total_replicas,
            revision=REVISION,
            rollout=rollout(spec, seen),
            reconnect_after=spec.drain.reconnect_after,
        )

    return view


def _decision(resource: Resource, seen: Observation, memory: Memory | None) -> Decision:
    if isinstance(resource, TurnPool):
        return relays.plan(resource.spec, seen, memory or Memory())[0]
    return engines.plan(resource.spec, seen, memory or Memory())[0]


def said(seen: Observation) -> View:
    """The messages of the conditions."""

    def view(resource: Resource) -> object:
        if isinstance(resource, TurnPool):
            case = scenarios.pool_case(seen, spec=resource.spec)
            status: FleetStatus = pool_status(case, TurnPoolStatus(), 1, ())
        else:
            of_cluster = scenarios.cluster_case(seen, spec=resource.spec)
            status = cluster_status(of_cluster, CallClusterStatus(), 1)
        return [one.message for one in status.conditions]

    return view


def judged(resource: Resource) -> object:
    """What a figure of two minutes ago says of a pod's load."""
    if isinstance(resource, TurnPool):
        limits = relay_limits(resource.spec)
    else:
        limits = engine_limits(resource.spec)
    reading = Reading(Source.PROMETHEUS, NOW - seconds(120), "uid-0", used=20, stress=0)
    within, capacity = limits.stale_after, limits.capacity
    return judge([reading], uid="uid-0", capacity=capacity, now=NOW, stale_after=within)


def asks_pods(resource: Resource) -> object:
    """Whether pods without data in Prometheus are asked themselves."""
    assert isinstance(resource, CallCluster)
    return engine_limits(resource.spec).ask_pods


def priced(resource: Resource) -> object:
    """What `callfleet plan` takes a month to cost, or why it cannot."""
    cluster, pools = resource, {}
    if isinstance(resource, TurnPool):
        cluster = call_cluster(cost={"podMonthly": "100"})
        pools = {(resource.metadata.namespace, resource.metadata.name): resource}
    assert isinstance(cluster, CallCluster)
    try:
        inputs, _ = inputs_of(Asked(users=1000), Planned(cluster, pools))
    except SizingError as refusal:
        return str(refusal)
    return inputs.prices, inputs.pools


def named(resource: Resource) -> object:
    """The pools whose relays clients are given."""
    assert isinstance(resource, CallCluster)
    return pools_of(resource)


def counted_from(seen: Observation) -> View:
    """Since when users are counted."""

    def view(resource: Resource) -> object:
        assert isinstance(resource, TurnPool)
        return relays.failure_window_start(resource.spec, seen)

    return view


def told(seen: Observation) -> View:
    """What engines and clients are told of the relays."""

    def view(resource: Resource) -> object:
        assert isinstance(resource, TurnPool)
        listed = Listed(seen.pods, {NODE.name: NODE})
        address = node_address(resource.spec.exposure.address, NODE)
        found = handed_out(resource, listed, {pod.uid: address for pod in seen.pods})
        return relay_list(resource, found), ending_list(resource, listed, NOW), found.unaddressed

    return view


def admitted(resource: Resource) -> object:
    """Whether a CallCluster of another namespace may use the pool."""
    assert isinstance(resource, TurnPool)
    return admits(resource, "elsewhere", {"example.org/calls": "true"})
