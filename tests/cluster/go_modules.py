"""Files out of Go modules, at a pinned version and content, fetched once."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cache import made_once, scratch
from tests.cluster.errors import HarnessError
from tests.cluster.go_programs import call_go
from tests.cluster.progress import step


@dataclass(frozen=True)
class ModuleFiles:
    """Files that a module has beside its code."""

    module: str
    version: str
    sum: str
    """The module's hash, as go.sum has it."""
    files: tuple[str, ...]
    """Paths in the module."""

    def path(self) -> Path:
        """A folder that holds the files, by their own names alone."""
        return made_once(f"go-files/{self.module.replace('/', '-')}-{self.version}", self._fetch)

    def _fetch(self, out: Path) -> None:
        wanted = f"{self.module}@{self.version}"
        with step(f"Fetching {wanted}", "10 s"), scratch(out) as folder:
            # Elsewhere than in the checkout, so that no go.mod has a say.
            found = json.loads(call_go(["mod", "download", "-json", wanted], {}, folder))
            if found["Sum"] != self.sum:
                raise HarnessError(f"{wanted} is {found['Sum']}, not {self.sum}")
            out.mkdir()
            for file in self.files:
                shutil.copyfile(Path(found["Dir"]) / file, out / Path(file).name)


_CRDS = "example/prometheus-operator-crd"
PROMETHEUS_OPERATOR_CRDS = ModuleFiles(
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    (
        f"{_CRDS}/monitoring.coreos.com_podmonitors.yaml",
        f"{_CRDS}/monitoring.coreos.com_prometheusrules.yaml",
    ),
)


def pod_monitor_crd() -> Path:
    """podmonitors.monitoring.coreos.com as Prometheus Operator publishes it."""
    return PROMETHEUS_OPERATOR_CRDS.path() / "monitoring.coreos.com_podmonitors.yaml"


def prometheus_rule_crd() -> Path:
    """prometheusrules.monitoring.coreos.com as Prometheus Operator publishes it."""
    return PROMETHEUS_OPERATOR_CRDS.path() / "monitoring.coreos.com_prometheusrules.yaml"
