"""Presets of quality as clients are told of them: in `joined`, and before it at one address."""

from __future__ import annotations

from typing import Final, Self

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from callfleet_engine.presets import Chosen, Preset, Presets, PresetsSource

PATH: Final = "/api/v1/quality"


class Quality(BaseModel):
    """The presets of this moment, and the default among them."""

    model_config = ConfigDict(frozen=True)

    default: str
    presets: dict[str, dict[str, int]]

    @classmethod
    def of(cls, presets: Presets) -> Self:
        """As clients see them: what a preset lacks is left out."""
        each = {name: _figures(preset) for name, preset in presets.presets.items()}
        return cls(default=presets.default, presets=each)


class OwnQuality(BaseModel):
    """The same, with the participant's own preset, as it was when it was chosen."""

    model_config = ConfigDict(frozen=True)

    default: str
    preset: str
    presets: dict[str, dict[str, int]]

    @classmethod
    def of(cls, presets: Presets, chosen: Chosen) -> Self:
        """As the participant is told."""
        known = Quality.of(presets)
        own = {chosen.name: _figures(chosen.preset)}
        return cls(default=known.default, preset=chosen.name, presets=known.presets | own)


def _figures(preset: Preset) -> dict[str, int]:
    figures: dict[str, int] = preset.model_dump(by_alias=True, exclude_none=True)
    return figures


def add_routes(app: web.Application, presets: PresetsSource) -> None:
    """Serve the presets to pages that ask before they join."""

    async def tell(_: web.Request) -> web.Response:
        text = Quality.of(presets.value).model_dump_json()
        return web.json_response(text=text, headers={"Cache-Control": "no-cache"})

    app.router.add_get(PATH, tell)
