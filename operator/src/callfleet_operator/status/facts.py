"""What reconciling one object found out besides the observation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from callfleet_operator.plan.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is wrong around the pods; what is empty is in order.

    Texts name the object and say what is wrong with it, without a full stop: they stand in the
    middle of a message.
    """

    invalid_schedules: tuple[str, ...] = ()
    """`weekdays: unknown time zone Europe/Berlinn`."""
    invalid_hold_until: str = ""
    """The annotation as it stands."""
    missing_secrets: tuple[str, ...] = ()
    """`Secret join-keys has no key keys.json`."""
    unusable_presets: tuple[str, ...] = ()
    """CallCluster: `ConfigMap frugal has no key presets.yaml`."""
    missing_pools: tuple[str, ...] = ()
    """`media/relays`."""
    refused_pools: tuple[str, ...] = ()
    """`media/relays`."""
    name_conflicts: tuple[str, ...] = ()
    """`Service demo-engine`."""
    apply_errors: tuple[str, ...] = ()
    """`Pod demo-engine-3: exceeded quota: pods, requested: 1, used: 10, limited: 10`."""
    unaddressed_pods: tuple[str, ...] = ()
    """`demo-relay-0 on node a has no annotation callfleet.dev/external-address and no
    ExternalIP`."""
    moves: Mapping[str, str] = field(default_factory=dict)
    """By uid the overdue pods whose calls or clients are moved, with what keeps them from it;
    empty: nothing does."""
    no_relays: str = ""
    """CallCluster: `turn.poolRefs names no TurnPool`, when clients need one."""
    credentials_missing: str = ""
    """TurnPool: `Secret relay-keys does not exist`."""
    credentials_malformed: str = ""
    """TurnPool: `line 2 of Secret relay-keys has fewer than 32 characters`."""
    update_revision: str = ""
    """Hash of the pod template that every pod shall have."""
    rollout: Rollout = field(default_factory=Rollout)
