"""What the protocol core asks of the world around it, and tells it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from callfleet_relay.message import Address
from callfleet_relay.peers import Ports


class FiveTuple(NamedTuple):
    """A client's transport connection; the listener stands for server address and protocol."""

    listener: int
    client: Address


class Outcome(StrEnum):
    """How an Allocate was answered: the label of `allocate_requests_total`."""

    OK = "ok"
    CHALLENGED = "challenged"
    UNAUTHORIZED = "unauthorized"
    EXPIRED = "expired"
    STALE_NONCE = "stale_nonce"
    QUOTA = "quota"
    CAPACITY = "capacity"
    PORT_EXHAUSTED = "port_exhausted"
    UNSUPPORTED = "unsupported"
    MISMATCH = "mismatch"
    BAD_REQUEST = "bad_request"
    DRAINING = "draining"
    RATE_LIMITED = "rate_limited"


class SessionEnd(StrEnum):
    """Why a session ended: the label of `sessions_ended_total`."""

    EXPIRED = "expired"
    DELETED = "deleted"
    CREDENTIAL_EXPIRED = "credential_expired"
    CLOSED = "closed"
    SLOW_READER = "slow_reader"
    MALFORMED = "malformed"
    POD_TERMINATED = "pod_terminated"


class Drop(StrEnum):
    """Why a datagram went no further: the label of `dropped_packets_total`."""

    NO_PERMISSION = "no_permission"
    NO_CHANNEL = "no_channel"
    KERNEL = "kernel"
    MALFORMED = "malformed"
    TOO_LONG = "too_long"
    RATE = "rate"
    REPLY_RATE = "reply_rate"
    SLOW_READER = "slow_reader"
    ICMP_RATE = "icmp_rate"
    BACKLOG = "backlog"
    """The protocol core had not yet taken what the native data plane handed it before."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Send this to the client."""

    five_tuple: FiveTuple
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Bind a relay socket on `port`; answer with `relay_opened` or `relay_refused`.

    With two families it takes a socket of each, both on `port`, or none.
    """

    session: int
    five_tuple: FiveTuple
    port: int
    families: tuple[int, ...] = (4,)
    user: str = ""
    """Sessions of one user share its bit rate."""
    tcp: bool = False
    """Listen for TCP in place of UDP (RFC 6062)."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Relay datagrams of this address, from these ports of it."""

    session: int
    host: str
    ports: Ports


@dataclass(frozen=True, slots=True)
class Forbid:
    """Relay nothing of this address any more."""

    session: int
    host: str


@dataclass(frozen=True, slots=True)
class BindChannel:
    """Carry this peer's datagrams by ChannelData."""

    session: int
    number: int
    peer: Address


@dataclass(frozen=True, slots=True)
class UnbindChannel:
    """Carry ChannelData of this number no longer."""

    session: int
    number: int
    peer: Address


@dataclass(frozen=True, slots=True)
class SendToPeer:
    """Send a Send indication's data from the relayed address."""

    session: int
    peer: Address
    data: bytes
    dont_fragment: bool


@dataclass(frozen=True, slots=True)
class CloseRelay:
    """Close the relay socket of one family; the session goes on with the other one.

    Follows on an `OpenRelay` of two families only.
    """

    session: int
    family: int


@dataclass(frozen=True, slots=True)
class ExpectClient:
    """A session's client is about to come from this 5-tuple as well; tell when it does."""

    session: int
    five_tuple: FiveTuple


@dataclass(frozen=True, slots=True)
class MoveClient:
    """A session's client is at this 5-tuple now, and no longer where it was."""

    session: int
    five_tuple: FiveTuple


@dataclass(frozen=True, slots=True)
class ConnectPeer:
    """Connect to a peer from the relayed address; answer with `connected` or `failed`."""

    session: int
    connection: int
    peer: Address


@dataclass(frozen=True, slots=True)
class AdmitPeer:
    """Keep the connection that this peer has just made, unread until it is bound."""

    session: int
    connection: int
    peer: Address


@dataclass(frozen=True, slots=True)
class BindPeer:
    """Everything from here on goes between this client's connection and the peer's, as it is."""

    session: int
    connection: int
    five_tuple: FiveTuple


@dataclass(frozen=True, slots=True)
class ClosePeer:
    """Close a connection with a peer, and the client's that it is bound to."""

    session: int
    connection: int


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Close the session's relay sockets and connections; its port is free again."""

    session: int
    five_tuple: FiveTuple
    cause: SessionEnd
    user: str
    port: int
    families: tuple[int, ...]
    """Of the relayed addresses that it had in the end."""
    seconds: float


@dataclass(frozen=True, slots=True)
class AllocateAnswered:
    """An Allocate has its result; retransmissions are not told again."""

    outcome: Outcome
    user: str | None
    """None where nobody was authenticated."""


@dataclass(frozen=True, slots=True)
class PeerDenied:
    """The peer policy refused an address that a client named."""

    session: int
    host: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A datagram went no further."""

    cause: Drop


Event = (
    Reply
    | OpenRelay
    | Permit
    | Forbid
    | BindChannel
    | UnbindChannel
    | SendToPeer
    | CloseRelay
    | ExpectClient
    | MoveClient
    | ConnectPeer
    | AdmitPeer
    | BindPeer
    | ClosePeer
    | SessionEnded
    | AllocateAnswered
    | PeerDenied
    | Dropped
)
