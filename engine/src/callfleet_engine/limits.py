"""How many participants this pod may take, and up to where it takes new calls."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel


class Limits(BaseModel):
    """The content of `limits.json`; what is missing there has these defaults."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    capacity_participants: int = Field(150, ge=1, le=10_000)
    target_utilization_percent: int = Field(70, ge=1, le=100)
    new_call_limit_percent: int = Field(85, ge=1, le=100)

    @model_validator(mode="after")
    def _new_calls_beyond_target(self) -> Self:
        if self.new_call_limit_percent < self.target_utilization_percent:
            raise ValueError(
                f"newCallLimitPercent ({self.new_call_limit_percent}) is below "
                f"targetUtilizationPercent ({self.target_utilization_percent})"
            )
        return self


class LimitsSource(Protocol):
    """Who knows the limits in force."""

    @property
    def value(self) -> Limits:
        """The limits as they are now."""
        ...


class FixedLimits:
    """Limits from the command line."""

    def __init__(self, limits: Limits) -> None:
        self.value = limits


def read_limits(path: Path) -> Limits:
    """Parse `limits.json`. Raises ValueError naming the field, OSError."""
    try:
        return Limits.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ValueError(f"{path}: {field}: {first['msg']}") from error
