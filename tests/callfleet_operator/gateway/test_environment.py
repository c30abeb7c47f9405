"""The environment of a connection to the API server: its proxy counts, a netrc file does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aiohttp import web

from callfleet_operator.gateway.kube import environment_proxy
from callfleet_operator.gateway.resources import NODES
from tests.callfleet_operator.gateway.connections import uncounted

PROXY = "http://proxy.example.org:3128"
VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, PROXY),
        ({"HTTP_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "api.example.org"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": ".example.org"}, None),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "other.example.org"}, PROXY),
    ],
)
def test_proxy(
    environment: pytest.MonkeyPatch, variables: dict[str, str], expected: str | None
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    assert environment_proxy("https://api.example.org:6443") == expected


async def test_requests_go_through_the_proxy_with_the_credentials_of_the_kubeconfig(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[str, str | None]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append((str(request.url), request.headers.get("Authorization")))
        return web.json_response({"kind": "Node", "metadata": {"name": "n"}})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0][:2]
        netrc, kubeconfig = tmp_path / "netrc", tmp_path / "kubeconfig"
        netrc.write_text("default login somebody password else\n")
        kubeconfig.write_text(json.dumps(_kubeconfig("http://api.example.org:8080", "t0ken")))
        environment.setenv("NETRC", str(netrc))
        environment.setenv("HTTP_PROXY", f"http://{host}:{port}")
        async with uncounted(kubeconfig) as kube:
            assert await kube.get(NODES, "", "n") is not None
    finally:
        await runner.cleanup()
    assert seen == [("http://api.example.org:8080/api/v1/nodes/n", "Bearer t0ken")]


def _kubeconfig(server: str, token: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
