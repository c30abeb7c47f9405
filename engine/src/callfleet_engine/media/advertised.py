"""Which addresses of the media port clients are told, and why. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Advertise = Literal["internal", "external", "both"]


@dataclass(frozen=True, slots=True)
class Advertised:
    """An IP address that descriptions hold as a candidate; `source` says where it comes from."""

    address: str
    source: str


def advertised(
    mode: Advertise, *, internal: Sequence[Advertised], external: Sequence[Advertised]
) -> tuple[Advertised, ...]:
    """The addresses in the order of preference; none while an external one is wanted and unknown.

    `both` without an external address gives none too: an internal one alone would look as if
    clients could reach it.
    """
    if mode == "internal":
        found = internal
    elif not external:
        found = ()
    else:
        found = external if mode == "external" else (*external, *internal)
    return tuple({one.address: one for one in reversed(found)}[a] for a in _once(found))


def _once(found: Sequence[Advertised]) -> list[str]:
    return list(dict.fromkeys(one.address for one in found))
