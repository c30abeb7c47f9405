"""The growth of each bounded figure with the number of CallClusters, as an SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.scale.measurement import Measured
from tests.scale.table import BOUNDS, Bound

WIDTH, HEIGHT = 220, 170
LEFT, TOP, RIGHT, BOTTOM = 44, 40, 14, 34
STYLE = (
    "text{font:11px sans-serif;fill:#444}.title{font-weight:bold}.axis{stroke:#888}"
    ".bound{stroke:#c0392b;stroke-dasharray:5 4}.line{stroke:#1f6fb2;stroke-width:2;fill:none}"
    ".dot{fill:#1f6fb2}.end{text-anchor:end}.middle{text-anchor:middle}"
)


def chart(found: Sequence[Measured]) -> str:
    """One panel for each bound that is not 0, which is a line of its own."""
    bounds = [bound for bound in BOUNDS if bound.limit]
    width = WIDTH * len(bounds)
    panels = "".join(
        f'<g transform="translate({WIDTH * place},0)">{"".join(_panel(bound, found))}</g>\n'
        for place, bound in enumerate(bounds)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" '
        f'width="{width}" height="{HEIGHT}" role="img" '
        'aria-label="Memory, processor, reaction and restart by number of CallClusters">\n'
        f'<style>{STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n'
        f"{panels}</svg>\n"
    )


def _panel(bound: Bound, found: Sequence[Measured]) -> Iterator[str]:
    most = 1.1 * max(bound.limit, *(bound.of(one) for one in found))
    widest = max(one.clusters for one in found)
    base, end = HEIGHT - BOTTOM, WIDTH - RIGHT

    def x(clusters: float) -> float:
        return LEFT + (end - LEFT) * clusters / widest

    def y(value: float) -> float:
        return base - (base - TOP) * value / most

    yield f'<text class="title" x="{LEFT}" y="16">{bound.name}</text>'
    yield f'<text x="{LEFT}" y="30">{bound.unit}</text>'
    yield f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{base}H{end}"/>'
    level = y(bound.limit)
    yield f'<path class="bound" d="M{LEFT} {level:.1f}H{end}"/>'
    yield f'<text class="end" x="{LEFT - 4}" y="{level + 4:.1f}">{bound.limit:g}</text>'
    yield f'<text class="end" x="{LEFT - 4}" y="{base + 4}">0</text>'
    points = [(x(one.clusters), y(bound.of(one))) for one in found]
    line = " ".join(f"{across:.1f},{up:.1f}" for across, up in points)
    yield f'<polyline class="line" points="{line}"/>'
    for (across, up), one in zip(points, found, strict=True):
        yield f'<circle class="dot" cx="{across:.1f}" cy="{up:.1f}" r="3"/>'
        yield f'<text class="middle" x="{across:.1f}" y="{base + 14}">{one.clusters}</text>'
        yield f'<text class="end" x="{across - 4:.1f}" y="{up - 6:.1f}">{bound.of(one):.3g}</text>'
    yield f'<text class="middle" x="{(LEFT + end) / 2}" y="{base + 28}">CallClusters</text>'
