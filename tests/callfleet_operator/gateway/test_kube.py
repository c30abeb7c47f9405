"""The gateway against a real API server; what it wrote is told by the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callfleet_operator.gateway.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from callfleet_operator.gateway.gate import always_open
from callfleet_operator.gateway.kube import ConnectError, Kube, connect
from callfleet_operator.gateway.resources import CONFIG_MAPS, PODS, SERVICES, TURN_POOLS
from tests.callfleet_operator.gateway.connections import uncounted
from tests.cluster.api_server import ApiServer

pytestmark = pytest.mark.api

USER = "gateway-test"


@pytest.fixture
def counted() -> list[tuple[str, str, int]]:
    return []


@pytest.fixture(scope="module")
def kubeconfig(api_server: ApiServer) -> Path:
    return api_server.kubeconfig_of(USER, ["system:masters"])


@pytest.fixture
async def kube(kubeconfig: Path, counted: list[tuple[str, str, int]]) -> AsyncIterator[Kube]:
    def count(verb: str, resource: str, code: int) -> None:
        counted.append((verb, resource, code))

    async with connect(
        answer_within=20, count=count, gate=always_open, in_cluster=False, kubeconfig=kubeconfig
    ) as gateway:
        yield gateway


def config_map(namespace: str, **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": namespace, "labels": {"app": "test"}},
        "data": data,
    }


def service(namespace: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "signalling", "namespace": namespace},
        "spec": {"selector": {"app": "test"}, "ports": [{"name": "http", "port": port}]},
    }


def pod(namespace: str, name: str = "a-0") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app": "test"},
            "annotations": {"note": "x"},
        },
        "spec": {"containers": [{"name": "main", "image": "none"}]},
    }


async def test_what_is_missing_is_none(kube: Kube, api_namespace: str) -> None:
    assert await kube.get(CONFIG_MAPS, api_namespace, "nowhere") is None


async def test_an_unchanged_object_is_not_written(
    api_server: ApiServer, kube: Kube, api_namespace: str
) -> None:
    bodies = [config_map(api_namespace, colour="blue"), service(api_namespace, 80)]
    for body in bodies:
        await kube.apply(body)
    mark = await asyncio.to_thread(api_server.audit.mark)
    for body in bodies:
        await kube.apply(body)
    assert await asyncio.to_thread(api_server.audit.writes, mark, user=USER) == []


async def test_nor_by_a_gateway_that_has_not_written_it(
    api_server: ApiServer, kube: Kube, kubeconfig: Path, api_namespace: str
) -> None:
    bodies = [config_map(api_namespace, colour="blue"), service(api_namespace, 80)]
    for body in bodies:
        await kube.apply(body)
    mark = await asyncio.to_thread(api_server.audit.mark)
    async with uncounted(kubeconfig) as another:
        for body in bodies:
            await another.apply(body)
    assert await asyncio.to_thread(api_server.audit.writes, mark, user=USER) == []


async def test_a_removed_field_is_removed(kube: Kube, api_namespace: str) -> None:
    await kube.apply(config_map(api_namespace, colour="blue", shape="round"))
    await kube.apply(config_map(api_namespace, colour="blue"))
    live = await kube.get(CONFIG_MAPS, api_namespace, "settings")
    assert live is not None
    assert live["data"] == {"colour": "blue"}


async def test_a_change_by_others_is_put_right(
    api_server: ApiServer, kube: Kube, api_namespace: str
) -> None:
    await kube.apply(config_map(api_namespace, colour="blue"))
    await asyncio.to_thread(
        api_server.kubectl,
        "patch",
        "configmap/settings",
        f"--namespace={api_namespace}",
        "--type=merge",
        '--patch={"data": {"colour": "red", "theirs": "kept"}}',
    )
    live = await kube.apply(config_map(api_namespace, colour="blue"))
    assert live["data"] == {"colour": "blue", "theirs": "kept"}


async def test_a_value_the_server_writes_otherwise_is_applied_once(
    api_server: ApiServer, kube: Kube, api_namespace: str
) -> None:
    body = service(api_namespace, 80)
    body["spec"]["ipFamilies"] = None  # dropped by the server
    await kube.apply(body)
    mark = await asyncio.to_thread(api_server.audit.mark)
    await kube.apply(body)
    assert await asyncio.to_thread(api_server.audit.writes, mark, user=USER) == []


async def test_an_object_in_the_place_of_another_is_not_written_to(
    kube: Kube, api_namespace: str
) -> None:
    looked_at = await kube.apply(config_map(api_namespace, colour="blue"))
    looked_at["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
    looked_at["metadata"]["resourceVersion"] = "1"
    with pytest.raises(ConflictError):
        await kube.apply(config_map(api_namespace, colour="red"), looked_at)


async def test_create_tells_that_something_is_there(kube: Kube, api_namespace: str) -> None:
    await kube.create(pod(api_namespace))
    with pytest.raises(AlreadyExistsError):
        await kube.create(pod(api_namespace))


async def test_a_patch_reaches_only_the_pod_that_was_looked_at(
    kube: Kube, api_namespace: str
) -> None:
    made = (await kube.create(pod(api_namespace)))["metadata"]
    change = [{"op": "add", "path": "/metadata/labels/callfleet.dev~1admission", "value": "Open"}]

    async def patch(uid: str, version: str) -> dict[str, Any]:
        return await kube.patch_pod(api_namespace, "a-0", uid, version, change)

    changed = await patch(made["uid"], made["resourceVersion"])
    assert changed["metadata"]["labels"]["callfleet.dev/admission"] == "Open"
    with pytest.raises(ConflictError):  # has changed since
        await patch(made["uid"], made["resourceVersion"])
    with pytest.raises(ConflictError):  # is another one
        await patch("another", changed["metadata"]["resourceVersion"])


async def test_a_patch_that_breaks_a_rule_is_no_conflict(kube: Kube, api_namespace: str) -> None:
    made = (await kube.create(pod(api_namespace)))["metadata"]
    change = [{"op": "add", "path": "/metadata/labels/app", "value": "not a label!"}]
    with pytest.raises(InvalidError, match="not a label"):
        await kube.patch_pod(api_namespace, "a-0", made["uid"], made["resourceVersion"], change)


async def test_a_delete_reaches_only_the_pod_that_was_looked_at(
    kube: Kube, api_namespace: str
) -> None:
    made = (await kube.create(pod(api_namespace)))["metadata"]
    with pytest.raises(ConflictError):
        await kube.delete_pod(api_namespace, "a-0", "another", made["resourceVersion"])
    with pytest.raises(ConflictError):
        await kube.delete_pod(api_namespace, "a-0", made["uid"], "1")
    await kube.delete_pod(api_namespace, "a-0", made["uid"], made["resourceVersion"])
    assert await kube.get(PODS, api_namespace, "a-0") is None
    await kube.delete_pod(api_namespace, "a-0", made["uid"], made["resourceVersion"])


async def test_a_list_has_several_pages(
    kube: Kube, api_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await kube.create(pod(api_namespace, f"a-{number}"))
    monkeypatch.setattr("callfleet_operator.gateway.kube.PAGE", 2)
    found = await kube.list_all(PODS, api_namespace, "app=test")
    assert [one["metadata"]["name"] for one in found] == [f"a-{number}" for number in range(5)]
    assert {(one["apiVersion"], one["kind"]) for one in found} == {("v1", "Pod")}
    assert await kube.list_all(PODS, api_namespace, "app=other") == []


async def test_misspelt_fields_are_refused(kube: Kube, api_namespace: str) -> None:
    body = config_map(api_namespace) | {"dta": {}}
    with pytest.raises(InvalidError, match="dta"):
        await kube.create(body)


async def test_a_kind_that_is_not_installed(kube: Kube) -> None:
    with pytest.raises(NotFoundError):
        await kube.probe(SERVICES.__class__("example.org", "v1", "Nothing", "nothings"))


async def test_without_the_right_to(api_server: ApiServer, api_namespace: str) -> None:
    guest = api_server.kubeconfig_of("guest", ["visitors"])
    async with uncounted(guest) as gateway:
        with pytest.raises(ForbiddenError, match='User "guest" cannot list'):
            await gateway.probe(TURN_POOLS, api_namespace)


async def test_requests_are_counted_with_their_result(
    kube: Kube, api_namespace: str, counted: list[tuple[str, str, int]]
) -> None:
    await kube.get(PODS, api_namespace, "nowhere")
    await kube.apply(config_map(api_namespace))
    assert counted == [
        ("get", "pods", 404),
        ("get", "configmaps", 404),
        ("apply", "configmaps", 201),
    ]


async def test_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match="set KUBECONFIG"):
        async with uncounted(tmp_path / "none"):
            pass


@asynccontextmanager
async def broken_server(answer: bytes | None) -> AsyncIterator[int]:
    """Accepts connections and says `answer`, or nothing at all."""
    end = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await end.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        end.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "no answer within 0.2 s"),
        (b"", "Error|Disconnected"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope", "no JSON"),
        (b"HTTP/1.1 503 Down\r\nContent-Length: 4\r\n\r\ndown", "down"),
    ],
)
async def test_a_server_that_is_none(answer: bytes | None, says: str, tmp_path: Path) -> None:
    async with broken_server(answer) as port:
        path = tmp_path / "kubeconfig"
        path.write_text(
            f"""
apiVersion: v1
kind: Config
current-context: x
contexts: [{{name: x, context: {{cluster: x, user: x}}}}]
clusters: [{{name: x, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: x, user: {{}}}}]
"""
        )
        async with uncounted(path, answer_within=0.2) as gateway:
            with pytest.raises(UnavailableError, match=says):
                await gateway.get(PODS, "default", "a")
