"""Images of static programs: a node's pause and CoreDNS, Prometheus and its adapter."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cluster import go_programs
from tests.cluster.archive import FORMAT, write_programs
from tests.cluster.cache import digest, made_once, scratch
from tests.cluster.errors import HarnessError

PAUSE_SOURCE = Path(__file__).parent / "pause.c"
PAUSE = "localhost/pause:1"
COREDNS = f"localhost/coredns:{go_programs.COREDNS.version}"
# Stands for the real image: same program, entry point, user and working directory; no pages.
PROMETHEUS = "quay.io/prometheus/prometheus:v3.13.5"
PROMETHEUS_ADAPTER = (
    "registry.k8s.io/prometheus-adapter/prometheus-adapter:"
    + go_programs.PROMETHEUS_ADAPTER.version()
)
NOBODY = 65534


def pause_archive() -> Path:
    key = digest(FORMAT, PAUSE_SOURCE.read_bytes())
    return made_once(f"images/pause-{key}.tar", _build_pause)


def coredns_archive() -> Path:
    program = go_programs.COREDNS.path()
    config = {"Entrypoint": ["/coredns"], "User": f"{NOBODY}"}
    return made_once(
        f"images/{program.name}-{FORMAT}.tar",
        lambda out: write_programs(out, COREDNS, {"coredns": program}, config),
    )


def prometheus_archive() -> Path:
    """Debian's Prometheus knows no Kubernetes: it is built from its modules instead."""
    folder = go_programs.PROMETHEUS.path()
    config = {
        "User": f"{NOBODY}",
        "WorkingDir": "/prometheus",
        "Entrypoint": ["/bin/prometheus"],
        "Cmd": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
        ],
    }
    programs = {"bin/prometheus": folder / "prometheus"}
    return made_once(
        f"images/prometheus-{folder.name}-{FORMAT}.tar",
        lambda out: write_programs(
            out, PROMETHEUS, programs, config, {"prometheus": NOBODY, "tmp": NOBODY}
        ),
    )


def prometheus_adapter_archive() -> Path:
    folder = go_programs.PROMETHEUS_ADAPTER.path()
    config = {"User": f"{NOBODY}", "Entrypoint": ["/adapter"]}
    return made_once(
        f"images/prometheus-adapter-{folder.name}-{FORMAT}.tar",
        lambda out: write_programs(
            out, PROMETHEUS_ADAPTER, {"adapter": folder / "adapter"}, config
        ),
    )


def _build_pause(out: Path) -> None:
    with scratch(out) as folder:
        program = folder / "pause"
        argv = ["gcc", "-Os", "-static", "-o", str(program), str(PAUSE_SOURCE)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise HarnessError(f"the pause program was not built: {done.stderr}")
        config = {"Entrypoint": ["/pause"], "User": f"{NOBODY}"}
        write_programs(out, PAUSE, {"pause": program}, config)
