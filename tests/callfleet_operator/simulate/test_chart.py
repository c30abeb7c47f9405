"""Charts: an image, and a page that needs nothing from elsewhere."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from callfleet_operator.cli.views.simulate import rows
from callfleet_operator.simulate import chart
from callfleet_operator.simulate.comparison import CHANGED, PRESENT, Comparison, compare
from callfleet_operator.simulate.durations import Exponential
from callfleet_operator.simulate.replay import Assumptions
from callfleet_operator.simulate.traffic import traffic
from tests.callfleet_operator.plan.samples import cluster
from tests.callfleet_operator.simulate.samples import history


def comparison(title: str = "CallCluster media/calls") -> Comparison:
    calls = traffic(history(40, 200, 200, 40), Exponential(600), 2, seed=1)
    spec = cluster(capacity=40)
    return compare(
        title, spec, calls, Assumptions(), present=cluster(capacity=80), notes=("A <note>.",)
    )


def test_a_png_of_the_size_that_is_documented() -> None:
    image = chart.png(comparison())
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", image[16:24]) == (1500, 1350)


def test_a_page_with_all_fleets_units_and_no_address_to_load() -> None:
    seen = comparison("CallCluster media/<calls>")
    page = chart.html(seen, rows(seen))
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])  # noqa: S314  # ours
    texts = {"".join(one.itertext()) for one in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {PRESENT, CHANGED, "HPA", "KEDA"} <= texts
    assert {"participants offered", "pods that exist", "time (UTC)"} <= texts
    assert "media/&lt;calls&gt;" in page
    assert "A &lt;note&gt;." in page
    assert not re.search(r"""(src|href)=["'](?!#)|url\((?!#)|@import|<script""", page)
    assert page.count("<tr>") == 5


def test_the_same_comparison_gives_the_same_image() -> None:
    seen = comparison()
    assert chart.png(seen) == chart.png(seen)


def test_plain_seconds_are_shown_as_hours() -> None:
    seen = comparison()
    past = replace(seen, traffic=replace(seen.traffic, start=datetime(1970, 1, 1, tzinfo=UTC)))
    page = chart.html(past, rows(past))
    assert "hours since the start" in page
    assert "time (UTC)" not in page
