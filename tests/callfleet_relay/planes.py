"""Both data planes, made alike."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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


def open_python(
    listen: Sequence[Address],
    *,
    relay_hosts: Sequence[str],
    receiver: Receiver,
    icmp_receiver: IcmpReceiver,
    arrival_receiver: ArrivalReceiver = nobody_arrives,
    per_allocation: int = 0,
    per_user: int = 0,
) -> DataPlane:
    return PythonDataPlane(
        asyncio.get_running_loop(),
        listen,
        relay_hosts=relay_hosts,
        rates=BitRates(per_allocation=per_allocation, per_user=per_user),
        receiver=receiver,
        icmp_receiver=icmp_receiver,
        arrival_receiver=arrival_receiver,
    )


def _open_native(threads: int) -> OpenPlane:
    def open_native(
        listen: Sequence[Address],
        *,
        relay_hosts: Sequence[str],
        receiver: Receiver,
        icmp_receiver: IcmpReceiver,
        arrival_receiver: ArrivalReceiver = nobody_arrives,
        per_allocation: int = 0,
        per_user: int = 0,
    ) -> DataPlane:
        return NativeDataPlane(
            asyncio.get_running_loop(),
            listen,
            relay_hosts=relay_hosts,
            rates=native.BitRates(per_allocation=per_allocation, per_user=per_user),
            receiver=receiver,
            icmp_receiver=icmp_receiver,
            arrival_receiver=arrival_receiver,
            threads=threads,
        )

    return open_native


PLANES: dict[str, OpenPlane] = {
    "python": open_python,
    "native": _open_native(1),
    "native, 3 threads": _open_native(3),
}
