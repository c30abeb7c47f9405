"""How kopf is set up: every setting, prefix and login in this one place, with its reason."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import kopf

from callfleet_operator.gateway.watch import GRACE_SECONDS, WATCH_SECONDS
from callfleet_operator.handlers.events import register
from callfleet_operator.handlers.storages import NoEssence, NoProgress
from callfleet_operator.handlers.wakes import Wakes

SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def in_cluster() -> bool:
    """Whether the pod's service account is used; a KUBECONFIG in the environment goes first."""
    return not os.environ.get("KUBECONFIG") and SERVICE_ACCOUNT_TOKEN.is_file()


def kopf_settings() -> kopf.OperatorSettings:
    """Settings for watching only: kopf writes nothing at all."""
    settings = kopf.OperatorSettings()
    # Events are posted by the report of a round, on change; kopf would post every log line.
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoEssence()
    settings.persistence.progress_storage = NoProgress()
    # kopf starts only while this process leads: the Lease keeps others away, not peering.
    settings.peering.standalone = True
    # The CRDs are checked at start. Scanning would watch all CRDs and namespaces, and need the
    # right to.
    settings.scanning.disabled = True
    # With its defaults each object that is seen costs a task that lives for seconds.
    settings.watching.chunk_size = 500
    settings.queueing.worker_limit = 200
    settings.queueing.idle_timeout = 0.01
    # As our own watch of pods: renewed often, so that one that has hung is given up soon.
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.client_timeout = WATCH_SECONDS + GRACE_SECONDS
    settings.watching.connect_timeout = 10
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    # kopf's own list of pauses ends after a minute, and with it the operator; an outage may last.
    settings.networking.error_backoffs = Backoffs()
    # A reconnect must not flood an API server that is just coming back.
    settings.watching.reconnect_backoff = 1.0
    # Between Kubernetes' SIGTERM and its SIGKILL (30 s).
    settings.process.ultimate_exiting_timeout = 20
    return settings


class Backoffs:
    """Pauses between attempts of one request, in seconds: longer and longer, without an end."""

    def __iter__(self) -> Iterator[float]:
        return chain((1.0, 2.0, 4.0, 8.0), repeat(15.0))


def kopf_registry(wakes: Wakes) -> kopf.OperatorRegistry:
    """Handlers and login."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)
    register(registry, wakes)
    return registry


def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401  # kopf's
    """Credentials for the watches, from where the gateway has its own.

    kopf's automatic login does not know this release of the kubernetes client. Called again when
    the API server answers 401, so that a renewed token is read.
    """
    if not in_cluster():
        return kopf.login_with_kubeconfig(**kwargs)
    found = kopf.login_with_service_account(**kwargs)
    if found is None:
        return None
    # The address that every pod has in its environment: needs no DNS, as the gateway's.
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    port = os.environ["KUBERNETES_SERVICE_PORT"]
    host = f"[{host}]" if ":" in host else host
    return dataclasses.replace(found, server=f"https://{host}:{port}")


def configure_logging(*, verbose: bool) -> None:
    """JSON lines on standard error, from kopf and from us alike."""
    kopf.configure(verbose=verbose, log_format=kopf.LogFormat.JSON)
    # kopf silences asyncio's logger, which is where forgotten exceptions of tasks are told.
    asyncio_log = logging.getLogger("asyncio")
    asyncio_log.handlers.clear()
    asyncio_log.propagate = True
    # A line for every event of every pod.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
