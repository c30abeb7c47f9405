"""Which fields of a spec this release accepts without acting on them."""

from __future__ import annotations

from callfleet_operator.api.v1alpha1.callcluster import CallClusterSpec


def not_yet_in_effect(spec: CallClusterSpec) -> tuple[str, ...]:
    """Field and value, such as `quality.presetsConfigMapRef.name: low`, of all that is set away
    from its default and has no effect yet; for the condition Accepted (NotYetInEffect)."""
    found = []
    if spec.signalling.tls_secret_ref.name:
        found.append(f"signalling.tlsSecretRef.name: {spec.signalling.tls_secret_ref.name}")
    if spec.quality.presets_config_map_ref.name:
        presets = spec.quality.presets_config_map_ref.name
        found.append(f"quality.presetsConfigMapRef.name: {presets}")
    return tuple(found)
