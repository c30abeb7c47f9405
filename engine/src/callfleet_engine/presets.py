"""Presets of quality: what a publisher sends at most. docs/reference/contracts.md, "Presets"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Protocol, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from callfleet_engine.errors import CallError

MAX_PRESETS: Final = 20
MAX_FILE_BYTES: Final = 16 * 1024
MAX_BRACKETS: Final = 100
"""Many more take the parser seconds, and mean nothing here."""
GRANT_PERCENT: Final = 120
"""What a publisher is granted, of the bits of its preset: a fifth for headers and repair."""
FORM: Final = (
    "write `default: NAME` and below `presets:` for each NAME (a-z, 0-9, -) audioBitsPerSecond "
    "and, unless it has no video, height, framesPerSecond and videoBitsPerSecond"
)

PresetName = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
]


class Preset(BaseModel):
    """Bounds of one publisher; without video it has none of the three fields of a picture."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", alias_generator=to_camel)

    height: int | None = Field(None, ge=90, le=4320)
    """Pixels; of a picture that stands upright its width."""
    frames_per_second: int | None = Field(None, ge=1, le=120)
    audio_bits_per_second: int = Field(ge=6_000, le=510_000)
    """Within what Opus knows (RFC 6716 section 2.1.1)."""
    video_bits_per_second: int | None = Field(None, ge=30_000, le=100_000_000)
    """Of all layers of the camera and of the screen together."""

    @model_validator(mode="after")
    def _a_whole_picture_or_none(self) -> Self:
        picture = (self.height, self.frames_per_second, self.video_bits_per_second)
        if any(picture) and not all(picture):
            raise ValueError(
                "give all of height, framesPerSecond and videoBitsPerSecond, or none of them for "
                "sound alone"
            )
        return self

    @property
    def has_video(self) -> bool:
        """Whether a camera or a screen may be sent."""
        return self.video_bits_per_second is not None

    @property
    def granted_bits_per_second(self) -> int:
        """What the engine takes of a publisher, headers and repair included."""
        bits = self.audio_bits_per_second + (self.video_bits_per_second or 0)
        return bits * GRANT_PERCENT // 100


@dataclass(frozen=True, slots=True)
class Chosen:
    """A preset and its name, as they were when it was chosen."""

    name: str
    preset: Preset


class Presets(BaseModel):
    """The content of `presets.yaml`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    default: PresetName
    presets: dict[PresetName, Preset] = Field(min_length=1, max_length=MAX_PRESETS)

    @model_validator(mode="after")
    def _default_is_one_of_them(self) -> Self:
        if self.default not in self.presets:
            raise ValueError(f"default names {self.default}, which is not among presets")
        return self

    def choose(self, name: str | None, *, returning: bool = False) -> Chosen:
        """The preset of a name; without one the default.

        Who is `returning` gets the default for an unknown name too: nobody falls out of a call
        because presets have changed. Raises CallError `unknown_preset`.
        """
        if name is None or (returning and name not in self.presets):
            name = self.default
        if name not in self.presets:
            raise CallError(
                "unknown_preset",
                f"There is no preset {name}.",
                f"Choose one of {', '.join(self.presets)}, or leave preset out for {self.default}.",
            )
        return Chosen(name, self.presets[name])


BUILT_IN: Final = Presets.model_validate(
    {
        "default": "standard",
        "presets": {
            "low": {
                "height": 360,
                "framesPerSecond": 15,
                "audioBitsPerSecond": 32_000,
                "videoBitsPerSecond": 150_000,
            },
            "medium": {
                "height": 480,
                "framesPerSecond": 24,
                "audioBitsPerSecond": 48_000,
                "videoBitsPerSecond": 300_000,
            },
            "high": {
                "height": 720,
                "framesPerSecond": 30,
                "audioBitsPerSecond": 64_000,
                "videoBitsPerSecond": 800_000,
            },
            "standard": {
                "height": 720,
                "framesPerSecond": 30,
                "audioBitsPerSecond": 64_000,
                "videoBitsPerSecond": 2_400_000,
            },
            "hd": {
                "height": 1080,
                "framesPerSecond": 30,
                "audioBitsPerSecond": 96_000,
                "videoBitsPerSecond": 1_500_000,
            },
            "audio": {"audioBitsPerSecond": 64_000},
        },
    }
)
"""In force without a file."""


class PresetsSource(Protocol):
    """Who knows the presets in force."""

    @property
    def value(self) -> Presets:
        """The presets as they are now."""
        ...


class BuiltInPresets:
    """Those without a file."""

    value = BUILT_IN


def read_presets(path: Path) -> Presets:
    """Parse `presets.yaml`, YAML or JSON. Raises ValueError naming the field, OSError."""
    with path.open("rb") as file:
        text = file.read(MAX_FILE_BYTES + 1)
    try:
        return parse_presets(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def parse_presets(text: bytes) -> Presets:
    """Parse the text of the file. Raises ValueError naming the field and what to do."""
    if len(text) > MAX_FILE_BYTES:
        raise ValueError(f"longer than {MAX_FILE_BYTES} bytes; {FORM}")
    if text.count(b"[") + text.count(b"{") > MAX_BRACKETS:
        raise ValueError(f"more than {MAX_BRACKETS} brackets; {FORM}")
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"no YAML{_line_of(error)}; {FORM}") from error
    try:
        return Presets.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the file"
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{field}: {message}; {FORM}") from error


def _line_of(error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return f" (line {mark.line + 1})" if mark is not None else ""
