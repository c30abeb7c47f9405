from __future__ import annotations

from dataclasses import replace

from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.pod_monitor import pod_monitor
from tests.callfleet_operator.render import golden
from tests.callfleet_operator.render.samples import INSTALLATION, call_cluster, turn_pool


def test_engines_and_relays() -> None:
    labelled = replace(INSTALLATION, pod_monitor_labels=(("release", "prometheus"),))
    golden.check(
        "pod-monitors",
        pod_monitor(Fleet.of(call_cluster(), labelled), labelled),
        pod_monitor(Fleet.of(turn_pool(), INSTALLATION), INSTALLATION),
    )
