"""Whom objects are made for: names, labels and the owner reference they share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from callfleet_operator.api.v1alpha1 import API_VERSION, CallCluster, TurnPool

PART_OF: Final = "callfleet"
MANAGED_BY: Final = "callfleet-operator"
REVISION_LABEL: Final = "callfleet.dev/revision"
ORDINAL_LABEL: Final = "callfleet.dev/ordinal"
ADMISSION_LABEL: Final = "callfleet.dev/admission"
SEALED_LABEL: Final = "callfleet.dev/sealed"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
NAME_LABEL: Final = "app.kubernetes.io/name"
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"


class Component(StrEnum):
    """What the pods of a fleet are."""

    ENGINE = "engine"
    RELAY = "relay"

    @property
    def fleet_label(self) -> str:
        """Label that carries the name of the custom resource."""
        return {
            Component.ENGINE: "callfleet.dev/cluster",
            Component.RELAY: "callfleet.dev/pool",
        }[self]


FLEET_LABELS: Final = (COMPONENT_LABEL, *(component.fleet_label for component in Component))
"""Labels that say which fleet an object belongs to."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What the operator was installed with."""

    engine_image: str
    relay_image: str
    operator_namespace: str
    pod_monitor_labels: tuple[tuple[str, str], ...] = ()
    """Labels by which a Prometheus chooses its PodMonitors."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The custom resource that objects are made for."""

    component: Component
    kind: str
    name: str
    namespace: str
    uid: str
    image: str
    """Image of its pods: its own or the installation's."""

    @classmethod
    def of(cls, resource: CallCluster | TurnPool, installation: Installation) -> Fleet:
        """The fleet of a custom resource."""
        if isinstance(resource, CallCluster):
            component, default_image = Component.ENGINE, installation.engine_image
        else:
            component, default_image = Component.RELAY, installation.relay_image
        return cls(
            component=component,
            kind=resource.kind,
            name=resource.metadata.name,
            namespace=resource.metadata.namespace,
            uid=resource.metadata.uid,
            image=resource.spec.image or default_image,
        )

    @property
    def object_name(self) -> str:
        """Name of the objects there is one of, and head of the pods' names."""
        return f"{self.name}-{self.component}"

    @property
    def turn_secret_name(self) -> str:
        """Secret with the TURN keys of a CallCluster, or the generated masters of a TurnPool."""
        return f"{self.object_name}-turn"

    @property
    def consumer(self) -> str:
        """NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"

    def pod_name(self, ordinal: int) -> str:
        """Name of the pod of an ordinal."""
        return f"{self.object_name}-{ordinal}"

    @property
    def selector(self) -> dict[str, str]:
        """Labels that exactly the pods of this fleet have."""
        return {COMPONENT_LABEL: str(self.component), self.component.fleet_label: self.name}

    @property
    def label_selector(self) -> str:
        """Asks the API server for everything of this fleet."""
        return ",".join(f"{key}={value}" for key, value in self.selector.items())

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that is made for the custom resource."""
        version = image_version(self.image)
        return {
            NAME_LABEL: f"callfleet-{self.component}",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/part-of": PART_OF,
            MANAGED_BY_LABEL: MANAGED_BY,
            **({"app.kubernetes.io/version": version} if version else {}),
            **self.selector,
        }

    def metadata(self, name: str) -> dict[str, Any]:
        """Metadata of an object of this name. Without blockOwnerDeletion: that would need the
        right to update finalizers."""
        return {
            "name": name,
            "namespace": self.namespace,
            "labels": self.labels,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": self.kind,
                    "name": self.name,
                    "uid": self.uid,
                    "controller": True,
                }
            ],
        }


def image_version(image: str) -> str:
    """Tag of an image reference as a label's value; empty when it has none that could be one.

    Not the operator's version: a new operator must not change the template of running pods.
    """
    tag = re.search(r":([A-Za-z0-9_][A-Za-z0-9_.-]{0,62})(@|$)", image.rpartition("/")[2])
    return tag.group(1).strip("_.-") if tag else ""
