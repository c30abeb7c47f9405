"""The kinds of objects that the operator reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One kind of the API, as its addresses name it.

    Known beforehand, so that no discovery is needed: it would cost requests at each start and
    fails as a whole while any aggregated API is away.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects state it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Address on the API server; without a name that of the collection."""
        parts = ["apis" if self.group else "api", self.api_version]
        if namespace:
            parts += ["namespaces", namespace]
        return "/" + "/".join([*parts, *filter(None, [self.plural, name, subresource])])


CALL_CLUSTERS = ResourceType("callfleet.dev", "v1alpha1", "CallCluster", "callclusters")
TURN_POOLS = ResourceType("callfleet.dev", "v1alpha1", "TurnPool", "turnpools")
PODS = ResourceType("", "v1", "Pod", "pods")
NODES = ResourceType("", "v1", "Node", "nodes", namespaced=False)
NAMESPACES = ResourceType("", "v1", "Namespace", "namespaces", namespaced=False)
SECRETS = ResourceType("", "v1", "Secret", "secrets")
CONFIG_MAPS = ResourceType("", "v1", "ConfigMap", "configmaps")
SERVICES = ResourceType("", "v1", "Service", "services")
SERVICE_ACCOUNTS = ResourceType("", "v1", "ServiceAccount", "serviceaccounts")
EVENTS = ResourceType("events.k8s.io", "v1", "Event", "events")
BUDGETS = ResourceType("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICIES = ResourceType("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
REVISIONS = ResourceType("apps", "v1", "ControllerRevision", "controllerrevisions")
DEPLOYMENTS = ResourceType("apps", "v1", "Deployment", "deployments")
CRDS = ResourceType(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)
SELF_REVIEWS = ResourceType(
    "authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False
)
SELF_ACCESS_REVIEWS = ResourceType(
    "authorization.k8s.io",
    "v1",
    "SelfSubjectAccessReview",
    "selfsubjectaccessreviews",
    namespaced=False,
)
ACCESS_REVIEWS = ResourceType(
    "authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False
)
LEASES = ResourceType("coordination.k8s.io", "v1", "Lease", "leases")
POD_MONITORS = ResourceType("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors")

_ALL = (
    CALL_CLUSTERS,
    TURN_POOLS,
    PODS,
    NODES,
    NAMESPACES,
    SECRETS,
    CONFIG_MAPS,
    SERVICES,
    SERVICE_ACCOUNTS,
    EVENTS,
    BUDGETS,
    NETWORK_POLICIES,
    REVISIONS,
    DEPLOYMENTS,
    CRDS,
    SELF_REVIEWS,
    SELF_ACCESS_REVIEWS,
    ACCESS_REVIEWS,
    LEASES,
    POD_MONITORS,
)
_BY_NAME = {(resource.api_version, resource.kind): resource for resource in _ALL}


def resource_of(body: dict[str, Any]) -> ResourceType:
    """The kind of a rendered object; raises KeyError for one the operator has no business with."""
    return _BY_NAME[body["apiVersion"], body["kind"]]
