from __future__ import annotations

from typing import Any

from tests.demo.summary import scalings
from tests.demo.timeline import Timeline


def fleet(desired: int, *admissions: str) -> dict[str, Any]:
    return {
        "desired": desired,
        "decision": {"reason": f"To{desired}", "message": f"{desired} are needed"},
        "pods": [
            {"ready": True, "admission": admission, "terminating": False}
            for admission in admissions
        ],
    }


def timeline(*looks: tuple[int, dict[str, Any], dict[str, Any]]) -> Timeline:
    made = Timeline()
    for second, engines, relays in looks:
        made.entries.append(
            {
                "at": f"2026-01-01T00:00:{second:02}.000+00:00",
                "kind": "cluster",
                "engines": engines,
                "relays": relays,
            }
        )
    return made


def test_a_scale_out_is_timed_until_so_many_pods_are_open() -> None:
    (scaling,) = scalings(
        timeline(
            (0, fleet(1, "Open"), fleet(1, "Open")),
            (4, fleet(3, "Open"), fleet(1, "Open")),
            (9, fleet(3, "Open", "Open"), fleet(1, "Open")),
            (12, fleet(3, "Open", "Open", "Open"), fleet(1, "Open")),
        )
    )

    assert (scaling.fleet, scaling.before, scaling.after) == ("engines", 1, 3)
    assert scaling.reason == "To3"
    assert scaling.seconds_until_open == 8


def test_a_scale_out_that_was_taken_back_has_no_time() -> None:
    first, second = scalings(
        timeline(
            (0, fleet(1, "Open"), fleet(1, "Open")),
            (4, fleet(2, "Open"), fleet(1, "Open")),
            (9, fleet(1, "Open", "Open"), fleet(1, "Open")),
        )
    )

    assert (first.after, first.seconds_until_open) == (2, None)
    assert (second.after, second.seconds_until_open) == (1, None)


def test_cordoned_pods_do_not_count_as_open() -> None:
    (scaling,) = scalings(
        timeline(
            (0, fleet(1, "Open"), fleet(1, "Open")),
            (5, fleet(1, "Open"), fleet(2, "Open", "Cordoned")),
            (6, fleet(1, "Open"), fleet(2, "Open", "Cordoned", "Open")),
        )
    )

    assert (scaling.fleet, scaling.seconds_until_open) == ("relays", 1)
