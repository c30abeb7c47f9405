"""Reads what commands speak about: objects, their pods, their kept decisions."""

from __future__ import annotations

from typing import Final

from callfleet_operator.cli.session import Problem
from callfleet_operator.cli.target import KINDS, Target, component_of, spoken
from callfleet_operator.gateway.errors import ForbiddenError, KubeError
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import CONFIG_MAPS, PODS, ResourceType
from callfleet_operator.gateway.user import UserKube
from callfleet_operator.observe.pods import ordinal_of
from callfleet_operator.render.decisions import DECISIONS_KEY, decisions_name
from callfleet_operator.render.fleet import COMPONENT_LABEL
from callfleet_operator.status.history import HistoryError, Recorded, decode

_SUGGESTED: Final = 8


async def find_all(
    kube: UserKube, target: Target | None, *, everywhere: bool = False
) -> list[Body]:
    """The objects meant: one or two of a name, or all of a namespace, or of all namespaces."""
    if target is None:
        found = []
        for resource in KINDS:
            found += await kube.list_all(resource, "" if everywhere else kube.namespace)
        return found
    named = [
        live
        for resource in target.resources
        if (live := await kube.get(resource, kube.namespace, target.name)) is not None
    ]
    if not named:
        raise Problem(await _not_found(kube, target))
    return named


async def find_one(kube: UserKube, target: Target) -> tuple[ResourceType, Body]:
    """The one object that is meant; raises Problem if it is none, or one of each kind."""
    found = await find_all(kube, target)
    if len(found) > 1:
        choices = " or ".join(spoken(one["kind"], target.name) for one in found)
        raise Problem(
            f"{target.name} is a CallCluster and a TurnPool in namespace {kube.namespace}: write "
            f"{choices}."
        )
    kind = found[0]["kind"]
    return next(one for one in target.resources if one.kind == kind), found[0]


async def _not_found(kube: UserKube, target: Target) -> str:
    kinds = " or ".join(resource.kind for resource in target.resources)
    text = f"There is no {kinds} {target.name} in namespace {kube.namespace}"
    try:
        there = [
            one
            for resource in target.resources
            for one in await kube.list_all(resource, kube.namespace)
        ]
    except KubeError:
        # The remedy is worth less than the message that it belongs to.
        there = []
    if there:
        others = sorted(spoken(one["kind"], one["metadata"]["name"]) for one in there)
        shown = ", ".join(others[:_SUGGESTED])
        return f"{text}: there is {shown}."
    return f"{text}: choose another one with -n NAMESPACE."


async def pods_of(kube: UserKube, body: Body) -> list[Body]:
    """The pods of an object, by ordinal."""
    component, name = component_of(body["kind"]), body["metadata"]["name"]
    selector = f"{COMPONENT_LABEL}={component},{component.fleet_label}={name}"
    namespace = body["metadata"]["namespace"]
    ordinals = {}
    mine = []
    for pod in await kube.list_all(PODS, namespace, selector):
        pod_name = pod["metadata"]["name"]
        ordinal = ordinal_of(pod_name, f"{name}-{component}")
        if ordinal is not None:
            ordinals[pod_name] = ordinal
            mine.append(pod)
    return sorted(mine, key=lambda pod: ordinals[pod["metadata"]["name"]])


async def decisions_of(kube: UserKube, body: Body) -> tuple[Recorded, ...]:
    """The decisions that are kept of an object, oldest first; raises Problem if that may not be
    read or is damaged."""
    component, metadata = component_of(body["kind"]), body["metadata"]
    name = decisions_name(component, metadata["name"])
    try:
        live = await kube.get(CONFIG_MAPS, metadata["namespace"], name)
    except ForbiddenError as refusal:
        raise Problem(
            f"Decisions are kept in ConfigMap {metadata['namespace']}/{name}, which you may not "
            "read: ask for the verb get on configmaps."
        ) from refusal
    text = ((live or {}).get("data") or {}).get(DECISIONS_KEY)
    if text is None:
        return ()
    try:
        return decode(text)
    except HistoryError as unreadable:
        raise Problem(
            f"ConfigMap {metadata['namespace']}/{name} cannot be read ({unreadable}): use the "
            "callfleet of the operator's release, or delete it, and the operator begins anew."
        ) from unreadable


async def fleet_pod(kube: UserKube, name: str) -> tuple[Body, ResourceType, Body]:
    """A pod, and the object that controls it; raises Problem if it is no pod of a fleet."""
    pod = await kube.get(PODS, kube.namespace, name)
    if pod is None:
        raise Problem(
            f"There is no pod {name} in namespace {kube.namespace}: `callfleet status` lists them."
        )
    for owner in pod["metadata"].get("ownerReferences") or []:
        for resource in KINDS:
            if owner["kind"] != resource.kind:
                continue
            live = await kube.get(resource, kube.namespace, owner["name"])
            if live is not None and live["metadata"]["uid"] == owner["uid"]:
                return pod, resource, live
    raise Problem(
        f"Pod {name} belongs to no CallCluster or TurnPool: the operator does not drain it. "
        "`callfleet status` lists the pods that it does."
    )
