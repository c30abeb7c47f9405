"""Which UDP port of the nodes an engine pod gets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from callfleet_operator.render.engine_pod import MEDIA_PORT_RANGE


@dataclass(frozen=True, slots=True)
class NoFreePort:
    """Every port of the range belongs to a pod."""

    ports: range

    def __str__(self) -> str:
        return (
            f"exposure.hostPortRange {self.ports.start} to {self.ports.stop - 1} has no free port: "
            "pods of this or another CallCluster have them all; make it wider or move it"
        )


def port_range(template: Mapping[str, Any]) -> range | None:
    """The ports that pods of a template choose from; None if they need none of the nodes'."""
    text = template["metadata"]["annotations"].get(MEDIA_PORT_RANGE)
    if text is None:
        return None
    first, _, last = text.partition("-")
    return range(int(first), int(last) + 1)


def choose(ports: range, ordinal: int, taken: AbstractSet[int]) -> int | NoFreePort:
    """The port of its ordinal, so that a pod's successor has the same; else the lowest free one."""
    wanted = ports.start + ordinal
    if wanted in ports and wanted not in taken:
        return wanted
    free = (port for port in ports if port not in taken)
    return next(free, NoFreePort(ports))
