"""Which media plane forwards."""

from __future__ import annotations

import importlib
import logging
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from callfleet_engine.media.plane import AiortcPlane, MediaSettings

if TYPE_CHECKING:
    from callfleet_engine.media.native.plane import NativePlane

logger = logging.getLogger(__name__)

NATIVE = "callfleet_engine.media.native.plane"

Wanted = Literal["auto", "python", "native"]


class NativeUnavailableError(Exception):
    """The native media plane was asked for and does not load."""


def make_plane(wanted: Wanted, settings: MediaSettings) -> AiortcPlane:
    """A plane, not started; `auto` takes the native one where it loads.

    Raises NativeUnavailableError.
    """
    module = None if wanted == "python" else _load(wanted)
    if module is None:
        plane = AiortcPlane(settings)
    else:
        native: type[NativePlane] = module.NativePlane
        plane = native(settings)
    logger.info("media is forwarded as follows", extra={"mediaplane": plane.name})
    return plane


def _load(wanted: Wanted) -> ModuleType | None:
    try:
        return importlib.import_module(NATIVE)
    except ImportError as error:
        if wanted == "native":
            raise NativeUnavailableError(
                f"it does not load ({error}): install a wheel that was built for this system with "
                "a Rust compiler, or leave the flag out and let Python forward"
            ) from error
        logger.info("the native media plane does not load", extra={"why": str(error)})
        return None
