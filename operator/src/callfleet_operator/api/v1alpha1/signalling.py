"""How clients reach the signalling of a CallCluster."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from callfleet_operator.api.v1alpha1.common import SecretRef
from callfleet_operator.api.v1alpha1.model import (
    QUALIFIED_KEYS,
    AnnotationValue,
    Model,
    rules,
)


class ServiceType(StrEnum):
    """Type of the Service that carries signalling."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class Signalling(Model):
    """How clients reach signalling and the call page."""

    service_type: ServiceType = ServiceType.CLUSTER_IP
    """Type of the Service."""
    annotations: dict[str, AnnotationValue] = Field(
        default={}, max_length=32, json_schema_extra=rules(QUALIFIED_KEYS)
    )
    """Annotations of the Service."""
    tls_secret_ref: SecretRef = SecretRef()
    """Secret of type kubernetes.io/tls, with which the pods serve signalling and the page on port
    443 of the Service, and no longer on port 80; without a name TLS ends before the pods."""
    allowed_origins: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s]+$")], ...],
        Field(max_length=32),
    ] = ()
    """Web origins, such as https://calls.example.org, whose pages may use signalling besides the
    engine's own page."""
