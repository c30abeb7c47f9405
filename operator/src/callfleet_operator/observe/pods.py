"""Pods of a fleet as the API server shows them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from sys import intern
from typing import Any, Final

from callfleet_operator.observation import (
    Admission,
    FleetPod,
    Freshness,
    Interval,
    PodLoad,
    Process,
    Source,
)
from callfleet_operator.observe.nodes import EXTERNAL_ADDRESS
from callfleet_operator.observe.owners import controller_of
from callfleet_operator.render.engine_pod import MEDIA_PORT
from callfleet_operator.render.fleet import (
    ADMISSION_LABEL,
    FLEET_LABELS,
    REVISION_LABEL,
    SEALED_LABEL,
)

DRAIN_ID: Final = "callfleet.dev/drain-id"
DRAIN_STARTED: Final = "callfleet.dev/drain-started"
DRAIN_REASON: Final = "callfleet.dev/drain-reason"
DRAIN_REQUESTED: Final = "callfleet.dev/drain-requested"
_FAILURE_LIMIT: Final = 512
_ORDINAL: Final = re.compile("0|[1-9][0-9]{0,8}")

_WAITING_FOR_HELP: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)

Body = Mapping[str, Any]


def ordinal_of(name: str, prefix: str) -> int | None:
    """The ordinal in a pod's name, or None for a pod that is none of the fleet `prefix`.

    The name and not the label: labels can be edited, names cannot.
    """
    head, _, ordinal = name.rpartition("-")
    return int(ordinal) if head == prefix and _ORDINAL.fullmatch(ordinal) else None


@dataclass(frozen=True, slots=True)
class SeenPod:
    """A pod by itself, as an event or a list shows it: a hundredth of what the API server sends."""

    pod: FleetPod
    """Its ordinal, zone and load are not known yet, nor whether it is terminating for want of its
    owner: `member` says."""
    namespace: str
    labels: tuple[tuple[str, str], ...]
    """Those that say which fleet it belongs to."""
    owner: str
    """Uid of the custom resource that controls it; empty when none does."""
    running: bool
    """By its phase."""
    version: int
    """Its resource version, which the API server orders; 0 when it is no number."""


_UNJUDGED: Final = PodLoad(
    Interval(0, 1), 1, Interval(0, 1), freshness=Freshness.MISSING, source=Source.NONE
)


def seen_pod(body: Body) -> SeenPod:
    """What counts of a pod's body."""
    metadata, status = body["metadata"], body.get("status", {})
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    ready = _condition(status, "Ready")
    failure = _failure(status)
    version = metadata["resourceVersion"]
    pod = FleetPod(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=version,
        ordinal=0,
        revision=intern(labels.get(REVISION_LABEL, "")),
        node=intern(body.get("spec", {}).get("nodeName", "")),
        zone="",
        address=status.get("podIP", ""),
        admission=_admission(labels),
        ready=ready.get("status") == "True",
        failed=bool(failure),
        failure=failure[:_FAILURE_LIMIT],
        terminating="deletionTimestamp" in metadata,
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        ready_changed=_time(ready.get("lastTransitionTime")),
        drain_id=annotations.get(DRAIN_ID, ""),
        drain_started=_time(annotations.get(DRAIN_STARTED)),
        load=_UNJUDGED,
        process=_process(body),
        drain_requested=DRAIN_REQUESTED in annotations,
        drain_reason=annotations.get(DRAIN_REASON, ""),
        media_port=media_port_of(body),
        external_address=annotations.get(EXTERNAL_ADDRESS, ""),
        sealed_by=_labelled_by(metadata, SEALED_LABEL) if SEALED_LABEL in labels else frozenset(),
    )
    return SeenPod(
        pod=pod,
        namespace=intern(metadata.get("namespace", "")),
        labels=tuple((intern(key), intern(labels[key])) for key in FLEET_LABELS if key in labels),
        owner=intern(controller_of(body)),
        running=status.get("phase") == "Running",
        version=int(version) if version.isascii() and version.isdecimal() else 0,
    )


def member(seen: SeenPod, *, ordinal: int, owned: bool, zone: str, load: PodLoad) -> FleetPod:
    """A pod as one of a fleet. `owned` is whether the present custom resource controls it.

    A pod left over from an earlier resource of the same name holds its name until it is gone:
    it counts as terminating, and so is never touched.
    """
    return replace(
        seen.pod,
        ordinal=ordinal,
        zone=zone,
        load=load,
        terminating=seen.pod.terminating or not owned,
    )


def media_port_of(body: Body) -> int | None:
    """The UDP port in a pod's annotation; None if there is none, or no port."""
    text = (body["metadata"].get("annotations") or {}).get(MEDIA_PORT, "")
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,4}", text) and int(text) <= 65535 else None


def _admission(labels: Mapping[str, str]) -> Admission:
    if SEALED_LABEL in labels:
        return Admission.SEALED
    value = labels.get(ADMISSION_LABEL, Admission.OPEN)
    # What a person has put there by hand starts no drain.
    return Admission(value) if value in list(Admission) else Admission.OPEN


def _labelled_by(metadata: Body, label: str) -> frozenset[str]:
    """Field managers that own a label (Kubernetes reference "Server-Side Apply", FieldsV1)."""
    return frozenset(
        entry.get("manager", "")
        for entry in metadata.get("managedFields") or ()
        if f"f:{label}" in entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels", {})
    )


def _process(body: Body) -> Process:
    status = body.get("status", {})
    if status.get("phase") in ("Failed", "Succeeded"):
        return Process.ENDED
    if not body.get("spec", {}).get("nodeName"):
        return Process.NEVER_STARTED
    containers: Sequence[Body] = status.get("containerStatuses") or []
    if not containers or any("running" in _state(container) for container in containers):
        return Process.POSSIBLE
    if any(not _state(container) for container in containers):
        return Process.POSSIBLE
    if all(
        "waiting" in _state(container)
        and not container.get("restartCount")
        and not container.get("lastState")
        for container in containers
    ):
        return Process.NEVER_STARTED
    return Process.STOPPED


def _failure(status: Body) -> str:
    """Why the pod cannot serve without help, in Kubernetes' words; empty if it can."""
    if status.get("phase") == "Failed":
        return _words(status.get("reason") or "Failed", status.get("message", ""))
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return _words("Unschedulable", scheduled.get("message", ""))
    for container in status.get("containerStatuses") or []:
        waiting = _state(container).get("waiting") or {}
        if waiting.get("reason") in _WAITING_FOR_HELP:
            return _words(waiting["reason"], waiting.get("message", ""))
    return ""


def _words(reason: str, message: str) -> str:
    return f"{reason}: {message}" if message else reason


def _state(container: Body) -> Body:
    state: Body = container.get("state") or {}
    return state


def _condition(status: Body, kind: str) -> Body:
    conditions: Sequence[Body] = status.get("conditions") or []
    return next((one for one in conditions if one.get("type") == kind), {})


def _time(text: str | None) -> datetime | None:
    """A time, or None for none and for one that somebody has mangled by hand."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else None
