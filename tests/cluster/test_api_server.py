"""The API-only plane and what its audit log tells."""

from __future__ import annotations

import json

import pytest

from tests.cluster.api_server import ApiServer
from tests.cluster.clients import kubectl

pytestmark = pytest.mark.api

CONFIG_MAP = json.dumps(
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"colour": "blue"},
    }
)


def test_the_api_serves_the_version_that_go_mod_pins(api_server: ApiServer) -> None:
    version = json.loads(api_server.get("/version"))
    assert version["gitVersion"].startswith("v1.35.")


def test_the_audit_log_tells_writes_in_order(api_server: ApiServer, api_namespace: str) -> None:
    mark = api_server.audit.mark()
    where = f"--namespace={api_namespace}"
    api_server.kubectl("create", where, "-f", "-", stdin=CONFIG_MAP)
    uid = api_server.kubectl("get", where, "configmap/settings", "-o=jsonpath={.metadata.uid}")
    api_server.kubectl("delete", where, "configmap/settings")

    writes = api_server.audit.writes(mark, user="admin", resources=["configmaps"])

    told = [(e.verb, e.namespace, e.name, e.code, e.uid) for e in writes]
    assert told == [
        ("create", api_namespace, "settings", 201, uid),
        ("delete", api_namespace, "settings", 200, uid),
    ]
    assert writes[0].request["data"] == {"colour": "blue"}


def test_another_user_is_told_apart_and_held_by_rbac(
    api_server: ApiServer, api_namespace: str
) -> None:
    guest = api_server.kubeconfig_of("guest", ["visitors"])
    mark = api_server.audit.mark()
    where = f"--namespace={api_namespace}"
    refused = api_server.run.run(
        kubectl(), f"--kubeconfig={guest}", where, "get", "pods", check=False
    )
    assert "Forbidden" in refused.stderr
    (event,) = [e for e in api_server.audit.events(mark) if e.user == "guest" and e.resource]
    assert (event.verb, event.resource, event.code) == ("list", "pods", 403)
