"""How a person names one CallCluster or TurnPool. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import click

from callfleet_operator.gateway.resources import CALL_CLUSTERS, TURN_POOLS, ResourceType
from callfleet_operator.render.fleet import Component

KINDS: Final[tuple[ResourceType, ...]] = (CALL_CLUSTERS, TURN_POOLS)
_COMPONENTS: Final = {CALL_CLUSTERS.kind: Component.ENGINE, TURN_POOLS.kind: Component.RELAY}
_NAMES: Final = {
    **dict.fromkeys(("cc", "callcluster", "callclusters"), CALL_CLUSTERS),
    **dict.fromkeys(("tp", "turnpool", "turnpools"), TURN_POOLS),
}


@dataclass(frozen=True, slots=True)
class Target:
    """`NAME` or `KIND/NAME`."""

    name: str
    resource: ResourceType | None = None
    """None: of either kind."""

    @property
    def resources(self) -> tuple[ResourceType, ...]:
        """The kinds to look among."""
        return KINDS if self.resource is None else (self.resource,)

    @classmethod
    def parse(cls, text: str) -> Target:
        """As kubectl writes it: `calls`, `callcluster/calls`, `tp/relays`; raises ValueError."""
        kind, slash, name = text.rpartition("/")
        if not name or "/" in kind:
            raise ValueError("write NAME, or KIND/NAME such as callcluster/calls")
        if not slash:
            return cls(name)
        short = kind.lower().removesuffix(".callfleet.dev")
        if short not in _NAMES:
            raise ValueError(f"kinds are callcluster (cc) and turnpool (tp), not {kind}")
        return cls(name, _NAMES[short])


def component_of(kind: str) -> Component:
    """What the pods of a kind are."""
    return _COMPONENTS[kind]


def spoken(kind: str, name: str) -> str:
    """An object as `Target.parse` reads it."""
    return f"{kind.lower()}/{name}"


class TargetType(click.ParamType[Target]):
    """`[KIND/]NAME` as an argument."""

    name = "[KIND/]NAME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Target:
        """Parse, or end with what to write instead."""
        if isinstance(value, Target):
            return value
        try:
            return Target.parse(str(value))
        except ValueError as problem:
            self.fail(f"{value!r}: {problem}", param, ctx)
