"""How kopf is set up."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import kopf
import pytest

from callfleet_operator import startup
from callfleet_operator.handlers.wakes import Wakes
from callfleet_operator.reconcile.pool_users import PoolUsers
from callfleet_operator.reconcile.resource_directory import ResourceDirectory
from callfleet_operator.startup import kopf_registry, kopf_settings, login


class _Nodes:
    def saw(self, _body: object) -> bool:
        return False

    def gone(self, _name: str) -> None:
        pass


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whether there is a service account is decided by this file."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    token = tmp_path / "token"
    monkeypatch.setattr(startup, "SERVICE_ACCOUNT_TOKEN", token)
    return token


def test_kopf_writes_nothing() -> None:
    settings = kopf_settings()
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled


def test_every_wait_of_kopf_ends() -> None:
    settings = kopf_settings()
    assert settings.watching.server_timeout
    assert settings.watching.client_timeout
    assert settings.watching.client_timeout > settings.watching.server_timeout
    assert settings.watching.connect_timeout
    assert settings.networking.request_timeout
    assert settings.queueing.worker_limit


def test_an_outage_may_last() -> None:
    backoffs = kopf_settings().networking.error_backoffs
    assert isinstance(backoffs, Iterable)
    for _ in range(2):  # each request begins anew
        hour = list(islice(backoffs, 240))
        assert hour[0] == 1
        assert len(hour) == 240
        assert max(hour) == 15


def test_no_handler_asks_for_a_finalizer() -> None:
    registry = kopf_registry(Wakes(lambda _key: None, _Nodes(), ResourceDirectory(), PoolUsers()))
    assert not registry._spawning.get_all_handlers()
    assert not registry._changing.get_all_handlers()
    assert len(registry._watching.get_all_handlers()) == 3


def test_a_kubeconfig_in_the_environment_goes_first(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not startup.in_cluster()
    account.write_text("token")
    assert startup.in_cluster()
    monkeypatch.setenv("KUBECONFIG", "/some/config")
    assert not startup.in_cluster()


def test_the_service_account_needs_no_dns(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account.write_text("token")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr(
        kopf,
        "login_with_service_account",
        lambda **_: kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t"),
    )
    found = login(settings=kopf_settings())
    assert found is not None
    assert (found.server, found.token) == ("https://[fd00::1]:443", "t")


def test_a_kubeconfig(account: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(
        "current-context: c\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(path))
    found = login(settings=kopf_settings())
    assert found is not None
    assert (found.server, found.token) == ("https://127.0.0.1:1", "t")


def test_forgotten_exceptions_of_tasks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        startup.configure_logging(verbose=False)
        assert logging.getLogger("asyncio").propagate
        assert not logging.getLogger("asyncio").handlers
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("kopf.objects").setLevel(logging.NOTSET)
