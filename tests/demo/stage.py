"""Where the scenes play: the cluster, the load, and waiting for what is to be seen of them."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from tests.cluster.errors import HarnessError
from tests.cluster.interface import Cluster
from tests.demo.load_process import LoadProcess
from tests.demo.sizes import Sizes
from tests.demo.snapshot import Snapshot, snapshot
from tests.demo.timeline import Timeline

LOOK_SECONDS = 1.0
OPERATOR_NAMESPACE = "callfleet-system"


@dataclass(frozen=True)
class Expectation:
    """Something a scene must show."""

    scene: str
    text: str
    met: bool
    seen: str


class NotSeenError(Exception):
    """What a scene waited for did not come within its limit."""


class Stage:
    """Looks at the cluster once a second, in a thread of its own, and keeps what it saw."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        timeline: Timeline,
        sizes: Sizes,
        show: Callable[[Snapshot], None],
    ) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.timeline = timeline
        self.sizes = sizes
        self.expectations: list[Expectation] = []
        self._show = show
        self._seen: Snapshot | None = None
        self._trouble = ""
        self._looked = threading.Condition()
        self._end = threading.Event()
        self._looker = threading.Thread(target=self._look_on, daemon=True)
        self._load: LoadProcess | None = None

    def __enter__(self) -> Self:
        self._looker.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._looker.join(10)

    @property
    def load(self) -> LoadProcess:
        """The load, once it runs."""
        if self._load is None:
            raise RuntimeError("the load has not been started")
        return self._load

    @load.setter
    def load(self, load: LoadProcess) -> None:
        self._load = load

    @property
    def now(self) -> Snapshot:
        """The newest look at the cluster."""
        if self._seen is None:
            raise NotSeenError(f"the cluster has not been seen yet: {self._trouble}")
        return self._seen

    def _look_on(self) -> None:
        kinds = "callclusters,turnpools,pods"
        while not self._end.wait(LOOK_SECONDS):
            try:
                text = self.cluster.kubectl("-n", self.namespace, "get", kinds, "-o", "json")
                seen = snapshot(json.loads(text)["items"], "demo", "relays")
            except (HarnessError, ValueError) as trouble:
                self._trouble = str(trouble)
                self.timeline.add("look-failed", why=self._trouble)
                continue
            with self._looked:
                if seen != self._seen:
                    self.timeline.add("cluster", **seen.as_json())
                self._seen = seen
                self._looked.notify_all()
            self._show(seen)

    def wait(self, what: str, condition: Callable[[Snapshot], bool]) -> Snapshot:
        """Look until the condition holds.

        Raises:
            NotSeenError: it did not within the limit, or the load ended.
        """
        deadline = time.monotonic() + self.sizes.limit_seconds
        with self._looked:
            while True:
                if self._seen is not None and condition(self._seen):
                    return self._seen
                if self._load is not None and not self._load.running:
                    raise NotSeenError(f"{what}: callfleet load has ended\n{self._load.log}")
                if time.monotonic() > deadline:
                    raise NotSeenError(f"{what}: not within {self.sizes.limit_seconds} s")
                self._looked.wait(LOOK_SECONDS)

    def wait_for_pods(self, selector: str, what: str) -> None:
        """`kubectl wait` for all pods of a selector. Raises HarnessError past the limit."""
        self.cluster.kubectl(
            "-n", self.namespace, "wait", "pod", "-l", selector,
            f"--for={what}", f"--timeout={self.sizes.limit_seconds}s",
        )  # fmt: skip

    def operator_metrics(self) -> str:
        """What the operator's pods answer to a scrape; only the one that acts counts rounds."""
        operators = json.loads(
            self.cluster.kubectl(
                "-n", OPERATOR_NAMESPACE, "get", "pods", "-l",
                "app.kubernetes.io/name=callfleet-operator", "-o", "json",
            )
        )["items"]  # fmt: skip
        pods = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods"
        return "".join(
            self.cluster.kubectl(
                "get", f"--raw={pods}/{operator['metadata']['name']}:9090/proxy/metrics"
            )
            for operator in operators
        )

    def rounds(self) -> float:
        """Rounds that the operator completed for CallClusters, by its own metric."""
        pattern = r'^callfleet_operator_reconcile_seconds_count\{kind="CallCluster"\} (\S+)$'
        counts = re.findall(pattern, self.operator_metrics(), re.MULTILINE)
        return sum(float(count) for count in counts)

    def wait_for_rounds(self, number: int) -> None:
        """Return when the operator has completed so many more rounds for CallClusters."""
        before = self.rounds()
        self.wait(f"{number} more rounds", lambda _: self.rounds() >= before + number)

    def expect(self, scene: str, text: str, *, met: bool, seen: object) -> None:
        """Note an expectation and whether it was met."""
        expectation = Expectation(scene, text, met, str(seen))
        self.expectations.append(expectation)
        self.timeline.add("expectation", scene=scene, text=text, met=met, seen=str(seen))
