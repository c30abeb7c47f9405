"""`callfleet doctor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click
from pydantic import ValidationError

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.cli import probes
from callfleet_operator.cli.database import check_database
from callfleet_operator.cli.find import find_all
from callfleet_operator.cli.options import operator_namespace_option, prometheus_options
from callfleet_operator.cli.output import emit, output_option, show
from callfleet_operator.cli.session import Session, in_words, with_session
from callfleet_operator.cli.target import Target, TargetType
from callfleet_operator.cli.views.checks import (
    Check,
    Outcome,
    for_programs,
    ok,
    problem,
    report,
)
from callfleet_operator.gateway.errors import KubeError
from callfleet_operator.gateway.kube import Body
from callfleet_operator.gateway.user import UserKube

EXAMPLES: Final = """
\b
Examples:
  callfleet doctor                         the namespace of the context
  callfleet doctor calls -n media          one fleet
  callfleet doctor --prometheus-url http://localhost:9090
  kubectl -n callfleet-system exec deployment/callfleet-operator -- callfleet doctor -n media
"""


@click.command(epilog=EXAMPLES)
@click.argument("target", type=TargetType(), required=False, metavar="[[KIND/]NAME]")
@operator_namespace_option
@prometheus_options
@output_option
@with_session
def doctor(
    session: Session,
    *,
    target: Target | None,
    operator_namespace: str,
    prometheus_url: str,
    prometheus_token_file: Path | None,
    output: str | None,
) -> None:
    """Look for what is wrong, a line each: ok, problem with its remedy, or unknown.

    It looks from where it runs, with your rights: relays and databases are tried from here,
    Prometheus through the API server. Run in the operator's pod it sees what the operator sees.
    The exit code is 1 if there is a problem; what is unknown is none.
    """

    async def work(kube: UserKube) -> list[Check]:
        checks = [ok("where", _where(kube))]
        checks += [one async for one in probes.check_crds(kube)]
        installation, found = await probes.check_operator(kube, operator_namespace)
        checks += found
        checks.append(await probes.check_own_rights(kube))
        checks.append(await probes.check_operator_rights(kube, installation, kube.namespace))
        resources: list[CallCluster | TurnPool] = []
        try:
            for body in await find_all(kube, target):
                resources += _parsed(body, checks)
        except KubeError as refusal:
            checks.append(problem("objects", in_words(refusal), ""))
        checks += await probes.check_prometheus(
            kube, installation, prometheus_url, prometheus_token_file, resources
        )
        for resource in resources:
            checks += probes.check_object(resource)
            checks += [one async for one in probes.check_secrets(kube, resource)]
            if isinstance(resource, TurnPool):
                checks += await probes.check_relays(resource)
            else:
                inside = probes.inside(installation, resource.metadata.namespace)
                checks += await check_database(kube, resource, inside)
        return checks

    checks = session.run(work)
    if output is None:
        show(report(checks))
    else:
        emit(for_programs(checks), output)
    if any(one.outcome is Outcome.PROBLEM for one in checks):
        sys.exit(1)


def _where(kube: UserKube) -> str:
    place = "in a pod of the cluster" if kube.in_cluster else "outside of the cluster"
    return f"Looking from {place}, at namespace {kube.namespace}."


def _parsed(body: Body, checks: list[Check]) -> list[CallCluster | TurnPool]:
    model = CallCluster if body["kind"] == "CallCluster" else TurnPool
    try:
        return [model.model_validate(body)]
    except ValidationError as unreadable:
        metadata = body["metadata"]
        checks.append(
            problem(
                f"{body['kind']} {metadata['namespace']}/{metadata['name']}",
                f"has a shape that this release does not know ({unreadable.errors()[0]['msg']}).",
                "Use the callfleet of the operator's release.",
            )
        )
        return []
