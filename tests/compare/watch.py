"""Looks at the pods of one side again and again while its load runs."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import Any, Self

from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster
from tests.compare.figures import Look, Pod

LOOK_SECONDS = 2.0


class Watch:
    """Its looks are timed from its start."""

    def __init__(self, cluster: Cluster, namespace: str, selector: str) -> None:
        self.looks: list[Look] = []
        self.failures: list[str] = []
        self.started = 0.0
        """Monotonic."""
        self.began = datetime.now(UTC)
        self._cluster = cluster
        self._query = ("-n", namespace, "get", "pods", "-l", selector, "-o", "json")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Self:
        self.started, self.began = time.monotonic(), datetime.now(UTC)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join(30)

    def _look_on(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            at = time.monotonic() - self.started
            try:
                pods = json.loads(self._cluster.kubectl(*self._query))["items"]
            except (HarnessError, ValueError) as error:
                self.failures.append(f"{at:.0f} s: {error}")
                continue
            self.looks.append(look(at, pods))


def look(at: float, pods: list[dict[str, Any]]) -> Look:
    """Read the pods of a list from the API."""
    return Look(at, tuple(_pod(pod) for pod in pods))


def _pod(pod: dict[str, Any]) -> Pod:
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return Pod(pod["metadata"]["name"], ready, "deletionTimestamp" in pod["metadata"])
