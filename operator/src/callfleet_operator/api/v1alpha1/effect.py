"""Which fields of a spec this release accepts without acting on them."""

from __future__ import annotations

from callfleet_operator.api.v1alpha1.callcluster import CallClusterSpec


def not_yet_in_effect(spec: CallClusterSpec) -> tuple[str, ...]:
    """Field and value, such as `quality.presetsConfigMapRef.name: low`, of all that is set away
    from its default and has no effect yet; for the condition Accepted (NotYetInEffect)."""
    presets = spec.quality.presets_config_map_ref.name
    return (f"quality.presetsConfigMapRef.name: {presets}",) if presets else ()
