from __future__ import annotations

import pytest

from callfleet_engine.media.advertised import Advertise, Advertised, advertised

INNER = Advertised("10.0.0.7", "pod")
OUTER = Advertised("203.0.113.7", "node")


@pytest.mark.parametrize(
    ("mode", "external", "told"),
    [
        ("internal", (OUTER,), (INNER,)),
        ("external", (OUTER,), (OUTER,)),
        ("both", (OUTER,), (OUTER, INNER)),
        ("external", (), ()),
        ("both", (), ()),
    ],
)
def test_what_is_told(
    mode: Advertise, external: tuple[Advertised, ...], told: tuple[Advertised, ...]
) -> None:
    assert advertised(mode, internal=(INNER,), external=external) == told


def test_an_address_of_two_sources_is_told_once_with_the_first() -> None:
    """As on the node's network, where the pod's address is the node's."""
    outer = Advertised(INNER.address, "node")
    assert advertised("both", internal=(INNER,), external=(outer,)) == (outer,)
