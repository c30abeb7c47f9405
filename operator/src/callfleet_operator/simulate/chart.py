"""Draws a comparison with matplotlib, the one module that needs it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO, StringIO
from itertools import cycle
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from callfleet_operator.simulate.comparison import Comparison
from callfleet_operator.simulate.replay import Outcome

_STYLES: Final = (
    ("#0072B2", "-"),
    ("#D55E00", "--"),
    ("#009E73", "-."),
    ("#CC79A7", ":"),
)
"""Colours by Okabe and Ito that colour-blind people tell apart, each with a line of its own."""
_LOAD: Final = "#999999"
_INK: Final = "#222222"
_SETTINGS: Final[dict[Any, Any]] = {
    "date.converter": "concise",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.xmargin": 0.01,
    "grid.alpha": 0.25,
    "svg.fonttype": "none",
}
_YEAR_OF_REAL_TIMES: Final = 1971
"""A history of plain seconds begins in 1970; its times of day say nothing."""


def png(comparison: Comparison) -> bytes:
    """An image of 1500 x 1350 pixels."""
    page = BytesIO()
    with mpl.rc_context(_SETTINGS):
        _figure(comparison).savefig(page, format="png", dpi=150)
    return page.getvalue()


def html(comparison: Comparison, rows: Sequence[Sequence[str]]) -> str:
    """A page of its own that needs nothing from elsewhere: the chart as inline SVG, a table
    (`rows`, the first of them its header), and the notes."""
    page = StringIO()
    with mpl.rc_context(_SETTINGS):
        _figure(comparison).savefig(page, format="svg", metadata={"Date": None, "Creator": None})
    svg = page.getvalue()
    head, *body = rows
    title = escape(_title(comparison))
    return _PAGE.format(
        title=title,
        # The declaration and the DOCTYPE before it are for files of their own.
        svg=svg[svg.index("<svg") :],
        head="".join(f"<th>{escape(cell)}</th>" for cell in head),
        body="".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in body
        ),
        notes="".join(f"<p>{escape(note)}</p>\n" for note in comparison.notes),
    )


_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 70rem; margin: 2rem auto; }}
svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #ccc; }}
th:first-child, td:first-child {{ text-align: left; }}
</style>
</head>
<body>
{svg}
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}</tbody>
</table>
{notes}</body>
</html>
"""


def _title(comparison: Comparison) -> str:
    return f"{comparison.title}: the same calls under each way of scaling"


def _figure(comparison: Comparison) -> Figure:
    figure = Figure(figsize=(10, 9), layout="constrained")
    load, pods, lost = figure.subplots(3, 1, sharex=True, height_ratios=(2, 3, 2))
    figure.suptitle(_title(comparison), fontsize=13, color=_INK)
    _load(load, comparison)
    for outcome, (colour, line) in zip(comparison.outcomes, cycle(_STYLES), strict=False):
        style = {"color": colour, "linestyle": line, "linewidth": 1.8, "label": outcome.name}
        times = _times(comparison, outcome)
        points = outcome.points
        pods.plot(times, [one.pods for one in points], drawstyle="steps-post", **style)
        lost.plot(times, [one.blocked + one.cut for one in points], **style)
    pods.set(ylabel="pods that exist")
    pods.set_ylim(bottom=0)
    lost.set(ylabel="calls cut and blocked,\nup to then")
    lost.set_ylim(bottom=-0.03 * max(1.0, lost.get_ylim()[1]))  # a line at 0 is seen
    lost.set_xlabel(_axis(comparison))
    for axes in (pods, lost):
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    pods.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    if _real_times(comparison):
        lost.xaxis_date()
    return figure


def _load(axes: Axes, comparison: Comparison) -> None:
    outcome = comparison.outcomes[0]
    offered = comparison.traffic.offered(tuple(one.seconds for one in outcome.points))
    times = _times(comparison, outcome)
    axes.fill_between(times, offered, color=_LOAD, alpha=0.5, linewidth=0)
    axes.set(ylabel="participants offered")
    axes.set_ylim(bottom=0)


def _real_times(comparison: Comparison) -> bool:
    return comparison.traffic.start.year >= _YEAR_OF_REAL_TIMES


def _axis(comparison: Comparison) -> str:
    return "time (UTC)" if _real_times(comparison) else "hours since the start"


def _times(comparison: Comparison, outcome: Outcome) -> list[float]:
    """Hours since the start, or days since 1970, as matplotlib counts dates."""
    if not _real_times(comparison):
        return [one.seconds / 3600 for one in outcome.points]
    start = comparison.traffic.start.timestamp()
    return [(start + one.seconds) / 86400 for one in outcome.points]
