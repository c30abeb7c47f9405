"""Takes the steps of a plan, each guarded so that it may be repeated or fail at any point.

What a step has reached stands on the pod itself. Between two rounds, or two operators, nothing
else is remembered.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from callfleet_operator.gateway.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
)
from callfleet_operator.gateway.kube import FIELD_MANAGER, Body
from callfleet_operator.gateway.pod_admin import Ok, Outcome, Pod, Refused, Unreachable
from callfleet_operator.gateway.resources import PODS
from callfleet_operator.observation import Admission, FleetPod
from callfleet_operator.observe.pods import DRAIN_ID, DRAIN_REASON, DRAIN_STARTED
from callfleet_operator.plan.decision import Cordon, Create, Delete, Drain, Step, Undrain
from callfleet_operator.reconcile.media_ports import create_pod
from callfleet_operator.reconcile.objects import Troubles, is_owned
from callfleet_operator.reconcile.services import FleetMemory, Services
from callfleet_operator.reconcile.templates import Revision
from callfleet_operator.reconcile.together import all_of
from callfleet_operator.render.fleet import ADMISSION_LABEL, SEALED_LABEL, Fleet

UNDRAIN: Final = "undrain"
"""Subject of `FleetMemory.troubles`: a pod that was told to take new calls again and has not."""
SAFE_TO_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hands:
    """What the steps of one round are taken with."""

    services: Services
    memory: FleetMemory
    fleet: Fleet
    revision: Revision
    """That new pods are made of."""
    troubles: Troubles

    async def take(self, steps: Iterable[Step]) -> None:
        """All steps of a round: creations one by one, the others at the same time.

        A pod that has changed since it was looked at is left to the next round.
        """
        creations: list[Create] = []
        others: list[Cordon | Undrain | Drain | Delete] = []
        for step in steps:
            if isinstance(step, Create):
                creations.append(step)
            else:
                others.append(step)
        await all_of(self._take(one) for one in others)
        for creation in creations:
            if not await self._create(creation):
                break  # what keeps one from being made keeps the others too: a quota, mostly

    async def _take(self, step: Cordon | Undrain | Drain | Delete) -> None:
        try:
            match step:
                case Cordon():
                    await self._cordon(step)
                case Undrain():
                    await self._undrain(step)
                case Drain():
                    await self._drain(step)
                case Delete():
                    await self._delete(step)
        except (ConflictError, NotFoundError) as changed:
            self._say(step.pod.name, "pod-changed", f"left to the next round: {changed.message}")
        except (ForbiddenError, InvalidError) as refusal:
            self.troubles.refused("Pod", step.pod.name, refusal)

    async def _create(self, step: Create) -> bool:
        name = self.fleet.pod_name(step.ordinal)
        try:
            await create_pod(self.services, self.fleet, self.revision.template, step.ordinal)
        except AlreadyExistsError:
            # A former attempt of ours whose answer was lost, or somebody else's pod.
            live = await self.services.kube.get(PODS, self.fleet.namespace, name)
            if live is not None and not is_owned(live, self.fleet.uid):
                self.troubles.name_conflicts.append(f"Pod {name}")
            return True
        except (ForbiddenError, InvalidError) as refusal:
            self.troubles.refused("Pod", name, refusal)
            return False
        self._say(name, "pod-created", f"created with revision {self.revision.hash}")
        return True

    async def _cordon(self, step: Cordon) -> None:
        await self._begin_drain(step.pod, step.reason)
        self._say(step.pod.name, "pod-cordoned", f"cordoned, {step.reason}: {step.message}")

    async def _begin_drain(self, pod: FleetPod, reason: str) -> None:
        started = self.services.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        await self._patch(
            pod,
            _put("labels", {ADMISSION_LABEL: str(Admission.CORDONED)}),
            _put(
                "annotations",
                {
                    DRAIN_ID: self.services.new_id(),
                    DRAIN_STARTED: started,
                    DRAIN_REASON: str(reason),
                },
            ),
        )

    async def _drain(self, step: Drain) -> None:
        """Tell the pod to drain, then to seal; label it once it is sealed.

        A pod whose container was restarted has forgotten its drain, so each round tells it anew.
        One that is overdue and not empty is told to move its calls, in each round too: it goes on
        with what it is at, and finds another place for what had none.
        """
        pod = step.pod
        if not pod.drain_id or pod.drain_started is None:
            # Cordoned by hand. A drain has an id, so that one of another time is told apart.
            await self._begin_drain(pod, pod.drain_reason)
            return
        target = Pod(pod.address, pod.uid)
        outcome = await self.services.admin.drain(target, pod.drain_id)
        if isinstance(outcome, Ok) or _code(outcome) == "sealed":
            outcome = await self._seal(pod)
        if step.reconnect and _code(outcome) == "not_empty":
            outcome = await self._reconnect(pod)
        self._note_trouble(pod, outcome, "drain")

    async def _reconnect(self, pod: FleetPod) -> Outcome:
        outcome = await self.services.admin.reconnect(Pod(pod.address, pod.uid), pod.drain_id)
        self.troubles.moves[pod.uid] = _trouble(outcome)
        moving = "" if self.troubles.moves[pod.uid] else "moves its calls to other pods"
        if self.memory.is_news(pod.uid, "reconnect", moving):
            self._say(pod.name, "pod-reconnecting", f"overdue, {moving}")
        return outcome

    async def _seal(self, pod: FleetPod) -> Outcome:
        outcome = await self.services.admin.seal(Pod(pod.address, pod.uid), pod.drain_id)
        if isinstance(outcome, Ok):
            await self._patch(
                pod,
                _put("labels", {ADMISSION_LABEL: str(Admission.SEALED), SEALED_LABEL: "true"}),
                _put("annotations", {SAFE_TO_EVICT: "true"}),
            )
            self._say(pod.name, "pod-sealed", "sealed: it is empty and takes nobody any more")
        return outcome

    async def _undrain(self, step: Undrain) -> None:
        """Tell the pod first, then label it: what is labelled Open takes new calls.

        A pod that has sealed itself, unknown to its label, stays so for good.
        """
        pod = step.pod
        target = Pod(pod.address, pod.uid)
        outcome = await self.services.admin.undrain(target, pod.drain_id)
        if _code(outcome) == "not_draining":
            # A drain of another id is in force: ours takes its place, so that it can be ended.
            await self.services.admin.drain(target, pod.drain_id)
            outcome = await self.services.admin.undrain(target, pod.drain_id)
        if _code(outcome) == "sealed":
            outcome = await self._seal(pod)
        elif isinstance(outcome, Ok):
            await self._patch(
                pod,
                _put("labels", {ADMISSION_LABEL: str(Admission.OPEN)}),
                _taken_away("annotations", (DRAIN_ID, DRAIN_STARTED, DRAIN_REASON)),
            )
            self._say(pod.name, "pod-undrained", f"takes new calls again: {step.message}")
        self._note_trouble(pod, outcome, UNDRAIN)

    async def _delete(self, step: Delete) -> None:
        pod = step.pod
        if pod.admission is Admission.SEALED and pod.address:
            # A label can be put on by hand. Who is sealed says so again; who is gone says nothing,
            # and then it counts whether the label is ours.
            target = Pod(pod.address, pod.uid)
            outcome = await self.services.admin.seal(target, pod.drain_id)
            silent = isinstance(outcome, Unreachable) and FIELD_MANAGER not in pod.sealed_by
            if silent or isinstance(outcome, Refused):
                trouble = (
                    "labelled sealed by hand and not known to be "
                    f"({_code(outcome) or _trouble(outcome)}), so not deleted; "
                    f"remove the labels {ADMISSION_LABEL} and {SEALED_LABEL}"
                )
                self.troubles.apply_errors.append(f"Pod {pod.name}: {trouble}")
                if self.memory.is_news(pod.uid, "delete", trouble):
                    log.error(
                        "%s: %s",
                        pod.name,
                        trouble,
                        extra=self._fields(pod.name, "delete-withheld"),
                    )
                return
        await self.services.kube.delete_pod(
            self.fleet.namespace, pod.name, pod.uid, pod.resource_version
        )
        self.memory.superseded[pod.uid] = pod.resource_version
        self.services.pods[self.fleet.component].note_deletion(
            self.fleet.namespace, pod.name, pod.uid
        )
        self._say(pod.name, "pod-deleted", f"deleted, {step.reason}")

    async def _patch(self, pod: FleetPod, *changes: list[Body]) -> None:
        body = await self.services.kube.patch_pod(
            self.fleet.namespace,
            pod.name,
            pod.uid,
            pod.resource_version,
            [one for several in changes for one in several],
        )
        if body["metadata"]["resourceVersion"] != pod.resource_version:
            self.memory.superseded[pod.uid] = pod.resource_version
        self.services.pods[self.fleet.component].note(body)

    def _note_trouble(self, pod: FleetPod, outcome: Outcome, subject: str) -> None:
        """Log what keeps a pod from its drain, or from its end, when it comes up, not in every
        round."""
        trouble = _trouble(outcome)
        if self.memory.is_news(pod.uid, subject, trouble):
            log.warning(
                "%s: %s: %s",
                pod.name,
                subject,
                trouble,
                extra=self._fields(pod.name, f"{subject}-failed"),
            )

    def _say(self, pod: str, event: str, text: str) -> None:
        log.info("%s: %s", pod, text, extra=self._fields(pod, event))

    def _fields(self, pod: str, event: str) -> dict[str, Any]:
        return {
            "event": event,
            "object": f"{self.fleet.kind} {self.fleet.consumer}",
            "pod": pod,
        }


def _trouble(outcome: Outcome) -> str:
    """What went wrong; that a pod has calls is nothing wrong."""
    if isinstance(outcome, Unreachable):
        return outcome.detail
    if isinstance(outcome, Refused) and outcome.code != "not_empty":
        return outcome.message or outcome.code
    return ""


def _code(outcome: Outcome) -> str:
    return outcome.code if isinstance(outcome, Refused) else ""


def _put(kind: str, values: Mapping[str, str]) -> list[Body]:
    """JSON patch that sets labels or annotations."""
    return [
        {"op": "add", "path": f"/metadata/{kind}/{_escaped(key)}", "value": value}
        for key, value in values.items()
    ]


def _taken_away(kind: str, keys: Iterable[str]) -> list[Body]:
    """JSON patch that removes labels or annotations, there or not: to remove what is not there
    would be an error, so it is put there first."""
    return [
        change
        for key in keys
        for change in (
            *_put(kind, {key: ""}),
            {"op": "remove", "path": f"/metadata/{kind}/{_escaped(key)}"},
        )
    ]


def _escaped(key: str) -> str:
    """A key as part of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
