"""Which fields of a spec this release accepts without acting on them."""

from __future__ import annotations

from collections.abc import Iterator

from callfleet_operator.api.v1alpha1.callcluster import (
    CallClusterSpec,
    EngineExposureType,
)
from callfleet_operator.api.v1alpha1.common import AddressSource
from callfleet_operator.api.v1alpha1.turnpool import RelayExposureType, TurnPoolSpec


def not_yet_in_effect(spec: CallClusterSpec | TurnPoolSpec) -> tuple[str, ...]:
    """Field and value, such as `region: eu-central`, of all that is set away from its
    default and has no effect yet; for the condition Accepted (NotYetInEffect)."""
    own = _of_cluster(spec) if isinstance(spec, CallClusterSpec) else _of_pool(spec)
    return (*own, *_of_address(spec))


def exposure_without_effect(spec: CallClusterSpec | TurnPoolSpec) -> str:
    """Why no pod of this spec could be reached yet, or nothing; then no pod is made.

    Ready says it (False): a pod that looks fine and serves nobody would be worse than none.
    """
    if isinstance(spec, CallClusterSpec):
        direct = spec.exposure.type is not EngineExposureType.TURN_ONLY
        if direct and spec.exposure.address.source is AddressSource.STUN:
            return "exposure.address.source STUN is not in effect yet: set Auto or Static"
        return ""
    if spec.exposure.type is not RelayExposureType.HOST_PORT:
        return f"exposure.type {spec.exposure.type} is not in effect yet: set HostPort"
    return ""


def _of_cluster(spec: CallClusterSpec) -> Iterator[str]:
    if spec.signalling.tls_secret_ref.name:
        yield f"signalling.tlsSecretRef.name: {spec.signalling.tls_secret_ref.name}"
    if spec.quality.presets_config_map_ref.name:
        yield f"quality.presetsConfigMapRef.name: {spec.quality.presets_config_map_ref.name}"


def _of_pool(spec: TurnPoolSpec) -> Iterator[str]:
    if spec.exposure.type is not RelayExposureType.HOST_PORT:
        yield f"exposure.type: {spec.exposure.type}"
    if spec.region:
        yield f"region: {spec.region}"


def _of_address(spec: CallClusterSpec | TurnPoolSpec) -> Iterator[str]:
    if spec.exposure.address.source is AddressSource.STUN:
        yield f"exposure.address.source: {spec.exposure.address.source}"
