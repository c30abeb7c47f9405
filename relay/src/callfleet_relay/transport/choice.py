"""Which data plane relays."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

from callfleet_relay.quota import BitRates, Rates
from callfleet_relay.settings import Settings
from callfleet_relay.transport.dataplane import (
    ArrivalReceiver,
    DataPlane,
    IcmpReceiver,
    Receiver,
)
from callfleet_relay.transport.python import PythonDataPlane
from callfleet_relay.transport.stream import StreamDataPlane
from callfleet_relay.transport.tls import Certificate, LayerMaker, openssl_layers

if TYPE_CHECKING:
    from callfleet_relay import _native
    from callfleet_relay.transport.native import NativeDataPlane
    from callfleet_relay.transport.native_stream import NativeStreamDataPlane

logger = logging.getLogger(__name__)

NATIVE = "callfleet_relay.transport.native"
STREAMS = "callfleet_relay.transport.native_stream"
TLS = "callfleet_relay.transport.native_tls"


class NativeUnavailableError(Exception):
    """The native data plane was asked for and does not load."""


def open_datagrams(
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    *,
    no_peers: Iterable[str],
    receiver: Receiver,
    icmp_receiver: IcmpReceiver,
    arrival_receiver: ArrivalReceiver,
) -> tuple[DataPlane, Rates]:
    """The plane of the UDP listeners, and limits that another plane may share with it.

    `no_peers`: as `NativeDataPlane` has it. Raises OSError, `NativeUnavailableError`.
    """
    limits = {
        "per_allocation": settings.max_bits_per_second,
        "per_user": settings.max_bits_per_second_per_user,
    }
    module = _load_native(settings.dataplane)
    if module is None:
        rates = BitRates(**limits)
        return PythonDataPlane(
            loop,
            settings.listen_addresses,
            relay_hosts=settings.relay_hosts,
            rates=rates,
            receiver=receiver,
            icmp_receiver=icmp_receiver,
            arrival_receiver=arrival_receiver,
        ), rates
    native: type[NativeDataPlane] = module.NativeDataPlane
    native_rates: _native.BitRates = module.BitRates(**limits)
    return native(
        loop,
        settings.listen_addresses,
        relay_hosts=settings.relay_hosts,
        rates=native_rates,
        receiver=receiver,
        icmp_receiver=icmp_receiver,
        arrival_receiver=arrival_receiver,
        threads=settings.dataplane_threads,
        no_peers=no_peers,
    ), native_rates


def stream_plane(datagrams: DataPlane) -> type[StreamDataPlane]:
    """The plane of the TCP and TLS listeners, beside that of the UDP ones."""
    if datagrams.name != "native":
        return StreamDataPlane
    plane: type[NativeStreamDataPlane] = importlib.import_module(STREAMS).NativeStreamDataPlane
    return plane


def certificate_of(settings: Settings) -> Certificate | None:
    """The certificate of the TLS listeners, with records made where the data plane runs."""
    if settings.cert is None or settings.key is None:
        return None
    return Certificate(settings.cert, settings.key, _tls_layers(settings.dataplane))


def _tls_layers(dataplane: str) -> LayerMaker:
    if dataplane == "python":
        return openssl_layers
    try:
        layers: LayerMaker = importlib.import_module(TLS).rustls_layers
    except ImportError:  # the choice of the plane says so
        return openssl_layers
    return layers


def _load_native(wanted: str) -> ModuleType | None:
    if wanted == "python":
        return None
    try:
        return importlib.import_module(NATIVE)
    except ImportError as error:
        if wanted == "native":
            raise NativeUnavailableError(
                f"--dataplane native: it does not load ({error}): install a wheel that was built "
                "for this system with a Rust compiler, or leave the flag out and let Python relay"
            ) from error
        logger.info("the native data plane does not load: Python relays", extra={"why": str(error)})
        return None
