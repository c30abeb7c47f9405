"""Whether engines could use the presets of quality in a ConfigMap: contracts.md, "Presets"."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Self

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

PRESETS_KEY: Final = "presets.yaml"
_MAX_BYTES: Final = 16 * 1024
_MAX_BRACKETS: Final = 100
_REMEMBERED: Final = 2048
"""Texts: each is read again in every round, and seldom another one."""
_MAX_PRESETS: Final = 20

_Name = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
]


class _Preset(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel)

    height: int | None = Field(None, ge=90, le=4320)
    frames_per_second: int | None = Field(None, ge=1, le=120)
    audio_bits_per_second: int = Field(ge=6_000, le=510_000)
    video_bits_per_second: int | None = Field(None, ge=30_000, le=100_000_000)

    @model_validator(mode="after")
    def _a_whole_picture_or_none(self) -> Self:
        picture = (self.height, self.frames_per_second, self.video_bits_per_second)
        if any(picture) and not all(picture):
            raise ValueError(
                "give all of height, framesPerSecond and videoBitsPerSecond, or none of them for "
                "sound alone"
            )
        return self


class _Presets(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    default: _Name
    presets: dict[_Name, _Preset] = Field(min_length=1, max_length=_MAX_PRESETS)

    @model_validator(mode="after")
    def _default_is_one_of_them(self) -> Self:
        if self.default not in self.presets:
            raise ValueError(f"default names {self.default}, which is not among presets")
        return self


def presets_problem(config_map: Mapping[str, Any] | None) -> str:
    """What keeps engines from using a ConfigMap, None if there is none; empty: nothing does."""
    if config_map is None:
        return "does not exist"
    text = (config_map.get("data") or {}).get(PRESETS_KEY)
    if text is None:
        return f"has no key {PRESETS_KEY}"
    return _problem_of(text)


@lru_cache(_REMEMBERED)
def _problem_of(text: str) -> str:
    if len(text.encode()) > _MAX_BYTES:
        return f"holds more than {_MAX_BYTES} bytes in {PRESETS_KEY}"
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        return f"holds more than {_MAX_BRACKETS} brackets in {PRESETS_KEY}"
    try:
        _Presets.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the whole"
        return f"{PRESETS_KEY}, {field}: {first['msg'].removeprefix('Value error, ')}"
    except (yaml.YAMLError, ValueError, RecursionError):
        return f"holds no YAML in {PRESETS_KEY}"
    return ""
