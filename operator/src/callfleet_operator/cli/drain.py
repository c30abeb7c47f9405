"""`callfleet drain` and `callfleet undrain`: requests that the operator carries out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import click

from callfleet_operator.cli.find import fleet_pod
from callfleet_operator.cli.session import Problem, Session, with_session
from callfleet_operator.cli.target import spoken
from callfleet_operator.cli.views.words import moment
from callfleet_operator.gateway.errors import KubeError
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.resources import PODS
from callfleet_operator.gateway.user import UserKube
from callfleet_operator.observation import Admission
from callfleet_operator.observe.pods import DRAIN_REASON, DRAIN_REQUESTED
from callfleet_operator.plan.reasons import Reason
from callfleet_operator.render.fleet import ADMISSION_LABEL, SEALED_LABEL

NOTE_LIMIT: Final = 1024
_WAITS: Final = ("Paused", "DryRun")

DRAIN_EXAMPLES: Final = """
\b
Examples:
  callfleet drain calls-engine-2
  callfleet drain relays-relay-0 --reason "its node is noisy"
  callfleet status calls --watch           to see it go
"""
UNDRAIN_EXAMPLES: Final = """
\b
Example:
  callfleet undrain calls-engine-2
"""


@click.command(epilog=DRAIN_EXAMPLES)
@click.argument("pod")
@click.option("--reason", default="", help="Kept with the request, for whoever finds it.")
@with_session
def drain(session: Session, *, pod: str, reason: str) -> None:
    """Ask the operator to replace a pod without ending a call.

    Another pod is made first. Then this one takes no new calls, and is deleted once its last call
    has ended by itself. The number of open pods does not change.
    """

    async def work(kube: UserKube) -> None:
        body, _, owner = await fleet_pod(kube, pod)
        metadata = body["metadata"]
        _refuse_if_leaving(body)
        if DRAIN_REQUESTED in (metadata.get("annotations") or {}):
            note = metadata["annotations"][DRAIN_REQUESTED]
            click.echo(f"{pod} has been asked for already: {note}.")
            return
        note = await signed(kube, reason)
        await kube.merge(PODS, kube.namespace, pod, _change(metadata, note))
        click.echo(_asked(pod, body, owner))

    session.run(work)


@click.command(epilog=UNDRAIN_EXAMPLES)
@click.argument("pod")
@with_session
def undrain(session: Session, *, pod: str) -> None:
    """Take a request for a drain back: the pod takes new calls again, unless it is sealed.

    A drain that nobody has asked for is the plan's, or its node's: that is not taken back here.
    """

    async def work(kube: UserKube) -> None:
        body, _, owner = await fleet_pod(kube, pod)
        metadata = body["metadata"]
        annotations = metadata.get("annotations") or {}
        if SEALED_LABEL in (metadata.get("labels") or {}):
            raise Problem(f"{pod} is empty and sealed: it never reopens, and is deleted now.")
        if DRAIN_REQUESTED not in annotations:
            raise Problem(_not_asked(pod, metadata, owner))
        await kube.merge(PODS, kube.namespace, pod, _change(metadata, None))
        if _admission(metadata) is Admission.OPEN:
            click.echo(f"{pod} stays open: its drain had not begun.")
        else:
            click.echo(
                f"{pod} takes new calls again as soon as the operator has told it so. The pod that "
                "was made in its place may be one too many now."
            )
        _warn_of_mode(owner)

    session.run(work)


async def signed(kube: UserKube, reason: str) -> str:
    """Who asks, when and why, for an annotation."""
    try:
        user = await kube.user()
    except KubeError:
        # Before Kubernetes 1.28, or without the right: the note is worth having all the same.
        user = ""
    text = f"{user or 'somebody'} at {moment(datetime.now(UTC))}"
    return f"{text}: {reason}"[:NOTE_LIMIT] if reason else text[:NOTE_LIMIT]


def _change(metadata: Body, note: str | None) -> dict[str, Any]:
    return {
        "metadata": {
            # The pod of this uid or none: its successor has the same name.
            "uid": metadata["uid"],
            "annotations": {DRAIN_REQUESTED: note},
        }
    }


def _refuse_if_leaving(body: Body) -> None:
    metadata = body["metadata"]
    name = metadata["name"]
    if SEALED_LABEL in (metadata.get("labels") or {}):
        raise Problem(f"{name} is empty and sealed already: it is deleted now.")
    if "deletionTimestamp" in metadata:
        raise Problem(f"{name} has been deleted already, and ends with its calls.")


def _asked(pod: str, body: Body, owner: Body) -> str:
    fleet = spoken(owner["kind"], owner["metadata"]["name"])
    if _admission(body["metadata"]) is not Admission.OPEN:
        return f"{pod} drains already; the request is kept with it."
    mode = owner["spec"].get("mode", "Active")
    if mode in _WAITS:
        return (
            f"{pod} is asked for, but {fleet} is {mode}: nothing happens before "
            f"`callfleet resume {fleet}`."
        )
    return (
        f"{pod} is replaced, then drained; no call is ended. Follow it with "
        f"`callfleet status {fleet} --watch`, take it back with `callfleet undrain {pod}`."
    )


def _warn_of_mode(owner: Body) -> None:
    mode = owner["spec"].get("mode", "Active")
    if mode == "Paused":
        fleet = spoken(owner["kind"], owner["metadata"]["name"])
        click.echo(f"{fleet} is Paused: that happens after `callfleet resume {fleet}`.")


def _not_asked(pod: str, metadata: Body, owner: Body) -> str:
    fleet = spoken(owner["kind"], owner["metadata"]["name"])
    if _admission(metadata) is Admission.OPEN:
        return f"{pod} does not drain, and nobody has asked for it: there is nothing to take back."
    reason = (metadata.get("annotations") or {}).get(DRAIN_REASON, "")
    if reason == Reason.SURPLUS:
        return (
            f"{pod} drains because fewer open pods are wanted: see `callfleet explain {fleet}`. To "
            f"keep the number use `callfleet hold {fleet} --for 2h`, or raise minReplicas."
        )
    if reason == Reason.NODE_UNAVAILABLE:
        return (
            f"{pod} drains because its node is cordoned or gone: `kubectl uncordon` lets new pods "
            "in there."
        )
    return (
        f"{pod} drains without a request ({reason or 'its label was set by hand'}): it cannot be "
        "taken back here."
    )


def _admission(metadata: Body) -> Admission:
    value = (metadata.get("labels") or {}).get(ADMISSION_LABEL, "")
    return Admission(value) if value in list(Admission) else Admission.OPEN
