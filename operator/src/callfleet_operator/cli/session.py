"""From a command to the API server and back: connection, options they share, errors in words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import click

from callfleet_operator.gateway.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
    UnavailableError,
)
from callfleet_operator.gateway.kube import ConnectError
from callfleet_operator.gateway.user import UserKube, connect_user

REQUEST_TIMEOUT: Final = 10.0

P = ParamSpec("P")
R = TypeVar("R")


class Problem(Exception):  # noqa: N818  # what is said to a person, as one sentence with a remedy
    """Why a command cannot do what it was asked; the text is shown as it stands."""


@dataclass(frozen=True, slots=True)
class Session:
    """How a command reaches the API server."""

    kubeconfig: Path | None
    context: str
    namespace: str
    """Empty: that of the context."""
    timeout: float

    def run(self, work: Callable[[UserKube], Awaitable[R]]) -> R:
        """Connect, do the work, and say what went wrong in one sentence."""
        try:
            return asyncio.run(self._connected(work))
        except (Problem, ConnectError) as problem:
            raise click.ClickException(str(problem)) from problem
        except KubeError as refusal:
            raise click.ClickException(in_words(refusal)) from refusal

    async def _connected(self, work: Callable[[UserKube], Awaitable[R]]) -> R:
        async with connect_user(
            kubeconfig=self.kubeconfig, context=self.context, answer_within=self.timeout
        ) as kube:
            if self.namespace:
                kube.namespace = self.namespace
            return await work(kube)


def in_words(refusal: KubeError) -> str:
    """A refusal as one sentence with a remedy."""
    said = refusal.message.rstrip(".")
    match refusal:
        case ForbiddenError(status=401):
            text = f"The API server does not accept your credentials ({refusal.what}): log in anew."
        case ForbiddenError():
            text = f"You may not do that: {said}. Ask for the right, or name another --context."
        case NotFoundError() if "could not find the requested" in said or "page not found" in said:
            text = (
                f"The API server does not know the kind ({refusal.what}): install the CRDs, with "
                "the chart's value crds.enabled or `kubectl apply --server-side -f crds/`."
            )
        case NotFoundError():
            text = f"{said}: it has been deleted meanwhile, or stands in another namespace (-n)."
        case ConflictError():
            text = f"The object has changed meanwhile ({refusal.what}): try again."
        case InvalidError():
            text = f"The API server refuses that: {said}."
        case UnavailableError():
            text = (
                f"The API server does not answer ({refusal.what}: {said}): check the cluster's "
                "address in the kubeconfig, and that it can be reached from here."
            )
        case _:
            text = str(refusal)
    return text


def with_session(
    command: Callable[Concatenate[Session, P], R],
) -> Callable[P, R]:
    """Adds the options of a connection; the command gets a Session first."""

    @click.option("-n", "--namespace", default="", help="Namespace. Default: the context's.")
    @click.option("--context", default="", help="Context of the kubeconfig.")
    @click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="CALLFLEET_KUBECONFIG",
        help="Default: KUBECONFIG, then ~/.kube/config; in a pod its service account.",
    )
    @click.option(
        "--request-timeout",
        type=click.FloatRange(0.1, 120),
        default=REQUEST_TIMEOUT,
        show_default=True,
        help="Seconds for one request.",
    )
    @wraps(command)
    def wrapped(*args: P.args, **options: P.kwargs) -> R:
        given: dict[str, Any] = dict(options)
        session = Session(
            kubeconfig=given.pop("kubeconfig"),
            context=given.pop("context"),
            namespace=given.pop("namespace"),
            timeout=given.pop("request_timeout"),
        )
        return command(session, *args, **given)

    return wrapped
