"""Both data planes, made alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from callfleet_relay.message import Address
from callfleet_relay.quota import BitRates
from callfleet_relay.transport import native
from callfleet_relay.transport.dataplane import (
    ArrivalReceiver,
    DataPlane,
    IcmpReceiver,
    Receiver,
    nobody_arrives,
)
from callfleet_relay.transport.native import NativeDataPlane
from callfleet_relay.transport.python import PythonDataPlane


class OpenPlane(Protocol):
    """Makes a plane on the running loop."""

    def __call__(
        self,
        listen: Sequence[Address],
        *,
        relay_hosts: Sequence[str],
        receiver: Receiver,
        icmp_receiver: IcmpReceiver,
        arrival_receiver: ArrivalReceiver = nobody_arrives,
        per_allocation: int = 0,
        per_user: int = 0,
    ) -> DataPlane: ...


def _opener(plane: Callable[..., DataPlane], bit_rates: Callable[..., object]) -> OpenPlane:
    def open_plane(
        listen: Sequence[Address],
        *,
        relay_hosts: Sequence[str],
        receiver: Receiver,
        icmp_receiver: IcmpReceiver,
        arrival_receiver: ArrivalReceiver = nobody_arrives,
        per_allocation: int = 0,
        per_user: int = 0,
    ) -> DataPlane:
        return plane(
            asyncio.get_running_loop(),
            listen,
            relay_hosts=relay_hosts,
            rates=bit_rates(per_allocation=per_allocation, per_user=per_user),
            receiver=receiver,
            icmp_receiver=icmp_receiver,
            arrival_receiver=arrival_receiver,
        )

    return open_plane


PLANES: dict[str, OpenPlane] = {
    "python": _opener(PythonDataPlane, BitRates),
    "native": _opener(NativeDataPlane, native.BitRates),
    "native, 3 threads": _opener(partial(NativeDataPlane, threads=3), native.BitRates),
}
