"""The PodMonitor by which a Prometheus of Prometheus Operator finds the pods of a fleet.

Source: prometheus-operator.dev, API reference, monitoring.coreos.com/v1.
"""

from __future__ import annotations

from typing import Any, Final

from callfleet_operator.render.fleet import Fleet, Installation

SCRAPE_INTERVAL: Final = "15s"
"""As the operator's tick: a pod's data are stale after 60 s unless the CallCluster says otherwise,
which Prometheus Operator's default of 30 s would leave room for one lost scrape only."""


def pod_monitor(fleet: Fleet, installation: Installation) -> dict[str, Any]:
    """Gives series the target labels of docs/reference/contracts.md, "Metrics". `namespace` and
    `pod` are Prometheus Operator's own doing."""
    metadata = fleet.metadata(fleet.object_name)
    metadata["labels"] = {**dict(installation.pod_monitor_labels), **metadata["labels"]}
    fleet_label = fleet.component.fleet_label
    meta_label = "__meta_kubernetes_pod_label_" + fleet_label.translate(_AS_PROMETHEUS_DOES)
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": fleet.selector},
            "podMetricsEndpoints": [
                {
                    "port": "metrics",
                    "path": "/metrics",
                    "interval": SCRAPE_INTERVAL,
                    "honorLabels": False,
                    "relabelings": [
                        {
                            "action": "replace",
                            "sourceLabels": ["__meta_kubernetes_pod_uid"],
                            "targetLabel": "pod_uid",
                        },
                        {
                            "action": "replace",
                            "sourceLabels": [meta_label],
                            "targetLabel": _SERIES_LABEL[fleet_label],
                        },
                    ],
                }
            ],
        },
    }


_AS_PROMETHEUS_DOES: Final = str.maketrans("./-", "___")
_SERIES_LABEL: Final = {
    "callfleet.dev/cluster": "callfleet_cluster",
    "callfleet.dev/pool": "callfleet_pool",
}
