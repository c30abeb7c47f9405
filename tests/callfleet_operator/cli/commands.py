"""Runs commands as a person does, in this process."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from callfleet_operator.cli import main
from tests.callfleet_operator.reconcile.world import World
from tests.waiting import eventually


async def run(here: World, *arguments: str, kubeconfig: Path | None = None) -> Result:
    """A command in the world's namespace, as the administrator unless said otherwise."""
    options = [f"--kubeconfig={kubeconfig or here.api.kubeconfig}", f"--namespace={here.namespace}"]
    command, *rest = arguments
    result = await asyncio.to_thread(
        CliRunner().invoke, main, [command, *options, *rest], prog_name="callfleet"
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


async def said(here: World, *arguments: str, kubeconfig: Path | None = None) -> str:
    """What a command that succeeds prints."""
    result = await run(here, *arguments, kubeconfig=kubeconfig)
    assert result.exit_code == 0, result.output
    return result.stdout


async def refused(here: World, *arguments: str, kubeconfig: Path | None = None) -> str:
    """The one sentence of a command that fails."""
    result = await run(here, *arguments, kubeconfig=kubeconfig)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    message = result.stderr.strip()
    assert message.startswith("Error: ")
    assert "\n" not in message
    return message.removeprefix("Error: ")


async def data(here: World, *arguments: str, kubeconfig: Path | None = None) -> Any:  # noqa: ANN401
    return json.loads(await said(here, *arguments, "-o", "json", kubeconfig=kubeconfig))


async def user(here: World, name: str, *rules: dict[str, list[str]]) -> Path:
    """The kubeconfig of somebody who has these rights in the world's namespace, and no other."""
    name = f"{name}-{here.namespace}"
    metadata = {"name": name, "namespace": here.namespace}
    api = "rbac.authorization.k8s.io"
    bodies = [
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": list(rules)},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
            "subjects": [{"apiGroup": api, "kind": "User", "name": name}],
        },
    ]
    for body in bodies:
        await asyncio.to_thread(here.api.kubectl, "apply", "-f", "-", stdin=json.dumps(body))
    if rules:
        await asyncio.to_thread(eventually, lambda: _check_right(here, name, rules[0]))
    return await asyncio.to_thread(here.api.kubeconfig_of, name)


def _check_right(here: World, user: str, right: dict[str, list[str]]) -> None:
    """The API server looks rights up in what it has heard of them, which is soon all."""
    resource = ".".join(filter(None, (right["resources"][0], right["apiGroups"][0])))
    here.api.kubectl(
        "auth", "can-i", right["verbs"][0], resource, "-n", here.namespace, "--as", user
    )


def rule(group: str, resources: str, *verbs: str) -> dict[str, list[str]]:
    """A rule of a Role."""
    return {"apiGroups": [group], "resources": resources.split(), "verbs": list(verbs)}


LOOK = (
    rule("callfleet.dev", "callclusters turnpools", "get", "list"),
    rule("", "pods configmaps", "get", "list"),
)
"""What looking needs."""
