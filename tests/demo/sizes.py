"""How big a run is. The objects it applies (examples/demo.yaml) set the limits it meets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of people, chosen for the capacities in examples/demo.yaml."""

    peak_calls: int = 8
    peak_pods: int = 3
    """Open engine pods that the peak takes."""
    evening_calls: int = 2
    """Few enough for one pod, with room to spare for what measuring adds."""
    participants_per_call: int = 2
    turn_crowd: int = 110
    """More than one relay may bear and fewer than two may, so fast that some are refused."""
    crowd_relays: int = 3
    """Relays that the crowd takes at their target saturation."""
    wrong_credentials: int = 12
    packets_while_draining: int = 600
    """What the participants of a draining pod must have received before they hang up."""
    limit_seconds: int = 240
    """For what a scene waits for; a scene that passes it has failed."""


DEMO = Sizes()
TEST = Sizes(
    peak_calls=5,
    peak_pods=2,
    turn_crowd=110,
    wrong_credentials=8,
    packets_while_draining=200,
)
