"""The pod of one ordinal, from the template of a revision."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from callfleet_operator.observation import Admission
from callfleet_operator.render.engine_pod import MEDIA_PORT
from callfleet_operator.render.fleet import (
    ADMISSION_LABEL,
    ORDINAL_LABEL,
    REVISION_LABEL,
    Fleet,
)
from callfleet_operator.render.relay_pod import RELAYS_PER_NODE
from callfleet_operator.render.revision import revision_hash


def ordinal_pod(
    fleet: Fleet, template: Mapping[str, Any], ordinal: int, *, media_port: int | None = None
) -> dict[str, Any]:
    """The pod of `ordinal`, open for new work.

    A relay's port on the node is its listener's plus ordinal modulo relaysPerNode, an engine's is
    `media_port`, which a template with a range of them needs. The scheduler puts no two pods with
    one port on a node, so a node has at most relaysPerNode of them.
    """
    metadata = fleet.metadata(fleet.pod_name(ordinal))
    metadata["labels"] = {
        **template["metadata"]["labels"],
        ORDINAL_LABEL: str(ordinal),
        REVISION_LABEL: revision_hash(template),
        ADMISSION_LABEL: str(Admission.OPEN),
    }
    metadata["annotations"] = dict(template["metadata"]["annotations"])
    spec = copy.deepcopy(template["spec"])
    relays_per_node = template["metadata"]["annotations"].get(RELAYS_PER_NODE)
    if relays_per_node is not None:
        for port in spec["containers"][0]["ports"]:
            if port["name"] not in ("metrics", "admin"):
                port["hostPort"] = port["containerPort"] + ordinal % int(relays_per_node)
    if media_port is not None:
        metadata["annotations"][MEDIA_PORT] = str(media_port)
        for port in spec["containers"][0]["ports"]:
            if port["name"] == "media":
                port |= {"containerPort": media_port, "hostPort": media_port}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
