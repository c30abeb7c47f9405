"""The load that each side gets: a day in five minutes, calls of the same lengths."""

from __future__ import annotations

from dataclasses import dataclass

PARTICIPANTS_PER_CALL = 2
CALL_SECONDS = 90
"""Mean length of a call."""
SEED = 4
NEVER_SECONDS = 86_400
"""No phase ends by its limit: the clock of the comparison leads them."""


@dataclass(frozen=True)
class Step:
    """How many calls there are to be, and for how long."""

    name: str
    calls: int
    seconds: float


@dataclass(frozen=True)
class Shape:
    """Steps of one day; people come up to the top and are fewer from then on."""

    steps: tuple[Step, ...]

    @property
    def seconds(self) -> float:
        """Of the whole day."""
        return sum(step.seconds for step in self.steps)

    @property
    def top(self) -> Step:
        """The step with the most calls, the last of them."""
        most = max(step.calls for step in self.steps)
        return next(step for step in reversed(self.steps) if step.calls == most)

    @property
    def falls_after(self) -> float:
        """Seconds from the start until fewer calls are wanted than before."""
        return sum(step.seconds for step in self.steps[: self.steps.index(self.top) + 1])

    def scenario(self) -> dict[str, object]:
        """The file for `callfleet load`."""
        return {
            "roomPrefix": "day",
            "seed": SEED,
            "joinsPerSecond": 4,
            # Small, so that the people take little of the cores that the engines need.
            "video": {
                "width": 160,
                "height": 90,
                "framesPerSecond": 5,
                "kilobitsPerSecond": 50,
            },
            "phases": [
                {
                    "name": step.name,
                    "calls": step.calls,
                    "participantsPerCall": PARTICIPANTS_PER_CALL,
                    "callSeconds": CALL_SECONDS,
                    "until": "command",
                    "limitSeconds": NEVER_SECONDS,
                }
                for step in self.steps
            ],
        }


DAY = Shape(
    (
        Step("morning-1", 3, 15),
        Step("morning-2", 6, 15),
        Step("noon", 8, 75),
        Step("afternoon", 5, 15),
        Step("evening", 3, 195),
    )
)
