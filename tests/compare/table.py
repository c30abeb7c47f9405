"""The figures side by side, as the table that README has, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from tests.compare.figures import Figures
from tests.compare.shape import Shape

ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("calls (participants)", lambda f: f"{f.calls} ({f.participants})"),
    (
        "calls cut by the end of their pod (participants)",
        lambda f: f"{f.cut_calls} ({f.cut_participants})",
    ),
    ("participants lost on pods that stayed", lambda f: str(f.lost_participants)),
    ("participants refused at first", lambda f: str(f.refused_participants)),
    ("of them never let in", lambda f: str(f.turned_away)),
    ("longest wait to be let in", lambda f: f"{f.longest_wait_seconds:.0f} s"),
    ("pods at the peak", lambda f: str(f.peak_pods)),
    ("pod minutes", lambda f: f"{f.pod_seconds / 60:.1f}"),
    ("pods at the end", lambda f: str(f.pods_at_the_end)),
    (
        "pods last changed, after the load fell",
        lambda f: "not seen" if f.settled_after_seconds is None else f"{f.settled_after_seconds} s",
    ),
    ("RTP packets received (missing)", lambda f: f"{f.packets:,} ({f.missing:,})"),
)


def markdown(sides: Mapping[str, Figures]) -> str:
    """A table with a column for each side, by its title."""
    head = ["", *sides]
    lines = [_line(head), _line(["---"] * len(head))]
    lines += [_line([name, *(text(f) for f in sides.values())]) for name, text in ROWS]
    return "\n".join(lines)


def caveat(sides: Mapping[str, Figures]) -> str:
    """Why the figures say little, where the machine was too busy for them; else empty."""
    lost = [f"{f.lost_participants} of {name}" for name, f in sides.items() if f.lost_participants]
    if not lost:
        return ""
    return (
        f"Participants lost on pods that stayed: {', '.join(lost)}. The machine had too little CPU "
        "for them and for the engines, whose stress counts as load on every side: run it again "
        "with nothing beside it."
    )


def document(sides: Mapping[str, Figures], shape: Shape) -> dict[str, object]:
    """The same and what was asked for, for programs."""
    return {
        "version": 1,
        "steps": [asdict(step) for step in shape.steps],
        "scenario": shape.scenario(),
        "sides": {name: asdict(figures) for name, figures in sides.items()},
    }


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
