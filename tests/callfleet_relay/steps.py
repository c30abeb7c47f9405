"""Generated steps: what clients and peers send, and what the core tells the data plane."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from callfleet_relay.message import Attribute

CLIENTS, PEERS, SESSIONS = 3, 4, 2
Step = tuple[Any, ...]
"""The name of one of the methods of `Stage`, and its arguments."""
_SIZES = (0, 1, 3, 4, 160, 160, 161, 1200, 1400, 9000)
_NUMBERS = (0x4000, 0x4001, 0x7FFE)
_EXTRAS: tuple[list[tuple[int, bytes]], ...] = (
    [],
    [(int(Attribute.SOFTWARE), b"test")],
    [(int(Attribute.DONT_FRAGMENT), b"")],
    [(int(Attribute.DATA), b"second")],
    [(0x7777, b"not understood")],
)


def payload(seed: int, size: int) -> bytes:
    return bytes((seed + at) & 0xFF for at in range(size))


payloads = st.builds(payload, st.integers(0, 255), st.sampled_from(_SIZES))
peers = st.integers(0, PEERS - 1)
clients = st.integers(0, CLIENTS - 1)
sessions = st.integers(0, SESSIONS - 1)
numbers = st.sampled_from(_NUMBERS)


def channel_data(number: int, data: bytes, lengthen: int, pad: int) -> bytes:
    """`lengthen`: how much more its length field says than there is."""
    length = max(0, len(data) + lengthen)
    return number.to_bytes(2, "big") + length.to_bytes(2, "big") + data + bytes(pad)


channel_messages = st.builds(
    channel_data,
    numbers,
    payloads,
    st.sampled_from([0, 0, 0, 0, -1, 1]),
    st.sampled_from([0, 0, 3]),
)
bursts = st.builds(
    lambda number, data, count, last: (
        [channel_data(number, data, 0, 0)] * count + [channel_data(number, last, 0, 0)]
    ),
    numbers,
    payloads,
    st.integers(1, 10),
    payloads,
)

steps = st.one_of(
    st.tuples(st.just("from_client"), clients, st.lists(channel_messages, min_size=1, max_size=8)),
    st.tuples(st.just("from_client"), clients, bursts),
    st.tuples(st.just("from_client"), clients, st.lists(st.binary(max_size=40), max_size=3)),
    st.tuples(
        st.just("send"),
        clients,
        peers,
        st.lists(payloads, min_size=1, max_size=4),
        st.sampled_from(_EXTRAS),
    ),
    st.tuples(st.just("from_peer"), peers, sessions, st.lists(payloads, min_size=1, max_size=8)),
    st.tuples(st.just("permit"), sessions, peers, st.sampled_from(["all", "own", "none"])),
    st.tuples(st.just("forbid"), sessions, peers),
    st.tuples(st.just("bind"), sessions, numbers, peers),
    st.tuples(st.just("unbind"), sessions, numbers),
    st.tuples(st.just("move"), sessions, st.binary(max_size=4)),
    st.tuples(st.just("close_family"), sessions, st.sampled_from([4, 6])),
    st.tuples(st.just("reopen"), sessions),
    st.tuples(st.just("reply"), clients, st.binary(max_size=40)),
    st.tuples(st.just("unreachable"), sessions, st.sampled_from([4, 6])),
)
schedules = st.lists(steps, min_size=1, max_size=25)
