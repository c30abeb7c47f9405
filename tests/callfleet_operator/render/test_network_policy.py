"""Where relays may send, besides to engines."""

from __future__ import annotations

from typing import Any

import pytest

from callfleet_operator.render.fleet import Fleet
from callfleet_operator.render.network_policy import relay_network_policy
from tests.callfleet_operator.render.samples import INSTALLATION, turn_pool

DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}
ASKED = {"ports": [{"protocol": "UDP", "port": 3479}]}


@pytest.mark.parametrize(
    ("address", "more"),
    [
        ({"source": "Auto"}, []),
        ({"source": "Static", "value": "203.0.113.7"}, []),
        (
            {"source": "STUN", "value": "192.0.2.53:3479"},
            [ASKED | {"to": [{"ipBlock": {"cidr": "192.0.2.53/32"}}]}],
        ),
        ({"source": "STUN", "value": "stun.example.org:3479"}, [ASKED, DNS]),
    ],
)
def test_the_stun_server_that_they_ask_is_reached(
    address: dict[str, str], more: list[dict[str, Any]]
) -> None:
    pool = turn_pool(exposure={"address": address})
    policy = relay_network_policy(Fleet.of(pool, INSTALLATION), pool.spec, INSTALLATION)
    to_engines, *others = policy["spec"]["egress"]
    assert "to" in to_engines
    assert others == more
