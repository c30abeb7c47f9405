"""The YAML file that says what `callfleet load` does: phases, each a state of the world.

The runner makes the world as a phase wants it and keeps it so. A phase ends when its `until` holds,
never by the clock alone; one that passes its limit has failed.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel


class ScenarioError(Exception):
    """The scenario file cannot be used; the text names the place and the remedy."""


class Until(StrEnum):
    """When a phase has done what it is for."""

    REACHED = "reached"
    """As soon as the world is as wanted: everybody connected, media from each to each."""
    COMMAND = "command"
    """When whoever drives the run says so (the command `next`)."""


class Credentials(StrEnum):
    """What the TURN clients of a phase present."""

    VALID = "valid"
    WRONG = "wrong"


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Video(_Model):
    """What each participant sends beside Opus: VP8 of one test picture."""

    width: Annotated[int, Field(ge=16, le=1920, multiple_of=2)] = 320
    height: Annotated[int, Field(ge=16, le=1080, multiple_of=2)] = 180
    frames_per_second: Annotated[int, Field(ge=1, le=30)] = 15
    kilobits_per_second: Annotated[int, Field(ge=20, le=4000)] = 150


class Phase(_Model):
    """One state of the world."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    calls: Annotated[int, Field(ge=0, le=1000)] = 0
    participants_per_call: Annotated[int, Field(ge=1, le=100)] = 2
    allocations: Annotated[int, Field(ge=0, le=10_000)] = 0
    """TURN clients beside the calls, each another user with one allocation."""
    credentials: Credentials = Credentials.VALID
    call_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """Mean length of the calls that begin in this phase, whose people then hang up and others call;
    lengths are exponentially distributed, as in Erlang's formulas. Such calls end in no other way.
    None: calls last until there are more than the phase wants."""
    until: Until = Until.REACHED
    limit_seconds: Annotated[int, Field(ge=1, le=86_400)] = 120


class Scenario(_Model):
    """A whole run."""

    room_prefix: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "load"
    video: Video = Video()
    joins_per_second: Annotated[float, Field(gt=0, le=100)] = 4
    """How fast people come, calls and TURN clients each."""
    seed: int = 1
    """Of the lengths of calls: the same seed, the same length for the first call, the second..."""
    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=100)]


def read_scenario(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        ScenarioError: it cannot be read, is no YAML, or a field is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}. Give the path of a YAML file.") from error
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path} is not YAML: {error}") from error
    try:
        return Scenario.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise ScenarioError(f"{path}: {problems}") from error
