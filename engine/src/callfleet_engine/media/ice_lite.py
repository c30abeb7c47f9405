"""ICE-lite for one peer connection on the shared port: what stands in for aioice's Connection.

aiortc's RTCIceGatherer and RTCIceTransport use of a Connection exactly the members under "what
aiortc uses"; `test_seams.py` compares them with aioice's.

The rules of this module:
- A lite agent is controlled, sends no checks and answers those of the client (RFC 8445 section
  2.5). Only an authenticated check makes an address known; only from a known address is DTLS or
  media taken, and only to a nominated one is anything sent.
- The first nominated address is selected at once. Later the client may move: a newly nominated
  address is selected when authentic media comes from it, or when the selected one is silent. A
  check that somebody recorded and sends again from elsewhere moves nothing.
- Credentials of a restart serve beside the old ones until a nominated check carries them. Chromium
  may pair its new sockets with the old ones and stay there.
- Silence of all addresses for `CONSENT_SWEEPS` sweeps of the port ends the connection (RFC 7675).
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from aioice import Candidate, ConnectionClosed

from callfleet_engine.media.stun_check import (
    Address,
    authenticated,
    role_conflict,
    success,
)

if TYPE_CHECKING:
    from aioice import stun

    from callfleet_engine.media.port import MediaPort

MAX_ADDRESSES = 8
CONSENT_SWEEPS = 15
SILENT_SWEEPS = 6
"""Silence after which a selected address gives way to another; a client's consent checks come
every 2.5 s (Chromium) to 6 s (aioice, RFC 7675)."""

SILENT_SWEEPS_WITH_MEDIA = 2
"""The same when authentic media comes from elsewhere: the client's address was translated anew."""

MAX_EARLY_DTLS = 8
"""Datagrams that wait for the handshake to begin; what is lost is sent again."""

MAX_TRANSACTIONS = 64
UFRAG_LENGTH = 8
PASSWORD_LENGTH = 24


class Side(Protocol):
    """One socket of the port."""

    @property
    def sendto(self) -> Callable[[bytes | memoryview, Address], None]:
        """Sends at once or drops."""
        ...


class LiteConnection:
    """One client's checks, the address chosen by them, and the datagrams to and from it."""

    def __init__(self, port: MediaPort) -> None:
        self._port = port
        self._passwords: dict[bytes, bytes] = {}
        self._serving: bytes | None = None
        self._heard: dict[Address, int] = {}
        self._sides: dict[Address, Side] = {}
        self._transactions: dict[bytes, Address] = {}
        self._selected: Address | None = None
        self._selected_heard = 0
        self._sendto: Callable[[bytes | memoryview, Address], None] = _nowhere
        self._nominated: Address | None = None
        self._up = asyncio.Event()
        self._ended = False
        self._early: list[bytes] = []
        self._dtls_received: Callable[[bytes], None] = self._keep
        self.media_received: Callable[[bytes], bool] = _not_authentic
        self.told_end: Callable[[], None] = _nobody_told
        self.moved: Callable[[], None] = lambda: None
        self.local_username = self.local_password = ""
        self.local_candidates: list[Candidate] = []
        self.remote_candidates: list[Candidate] = []
        self.remote_username: str | None = None
        self.remote_password: str | None = None
        self.remote_is_lite = False
        self._new_credentials()

    # what aiortc uses

    @property
    def ice_controlling(self) -> bool:
        """Never: the client is a full agent."""
        return False

    @ice_controlling.setter
    def ice_controlling(self, value: bool) -> None:
        """aiortc sets what a full agent would be."""

    async def gather_candidates(self) -> None:
        """The port's addresses, as they are now."""
        self.local_candidates = self._port.candidates()

    async def add_remote_candidate(self, remote_candidate: Candidate | None) -> None:
        """Nothing: the client's checks make it known, its candidates are never probed."""

    async def connect(self) -> None:
        """Wait until the client has nominated an address.

        Raises ConnectionError if the connection is closed before; the link's attempt is timed.
        """
        await self._up.wait()
        if self.ended:
            raise ConnectionError("closed before the client nominated an address")

    async def recv(self) -> bytes:
        """Never called: `take_dtls` is. Raises ConnectionError."""
        raise ConnectionError("datagrams are given to whoever takes them")

    async def send(self, data: bytes) -> None:
        """Send to the selected address. Raises ConnectionError if there is none."""
        if not self.send_now(data):
            raise ConnectionError("no address is selected")

    async def get_event(self) -> ConnectionClosed:
        """Never called: `told_end` is. Tells of an end that has been."""
        return ConnectionClosed()

    async def close(self) -> None:
        """End it, and free its places in the port's tables. May be repeated."""
        self.end()

    # what the seams use

    @property
    def ended(self) -> bool:
        """Whether it is closed, by request or because the client fell silent."""
        return self._ended

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """The selected address, in the spelling of `ipaddress`."""
        if self._selected is None:
            return None
        return str(ipaddress.ip_address(self._selected[0])), self._selected[1]

    def send_now(self, data: bytes | memoryview) -> bool:
        """Send to the selected address without awaiting; False if there is none."""
        if self._selected is None:
            return False
        self._sendto(data, self._selected)
        return True

    def take_dtls(self, received: Callable[[bytes], None]) -> None:
        """Give `received` the DTLS datagrams that have come, and each one that comes."""
        self._dtls_received = received
        early, self._early = self._early, []
        for data in early:
            received(data)

    def _keep(self, data: bytes) -> None:
        if len(self._early) < MAX_EARLY_DTLS:
            self._early.append(data)

    def restart(self) -> None:
        """Begin an ICE restart (RFC 8445 section 9): new credentials for the next description.

        Those in use serve on; a restart that was begun before and never used is given up.
        """
        if self.ended:
            return
        for ufrag in self._passwords.keys() - {self._serving or self.local_username.encode()}:
            self._forget(ufrag)
        self._new_credentials()
        self.local_candidates = self._port.candidates()

    def _new_credentials(self) -> None:
        self.local_username = self._port.new_ufrag(self)
        self.local_password = ice_string(PASSWORD_LENGTH)
        self._passwords[self.local_username.encode()] = self.local_password.encode()

    def _forget(self, ufrag: bytes) -> None:
        del self._passwords[ufrag]
        self._port.forget_ufrag(ufrag)

    # what the port uses

    def check_received(self, data: bytes, source: Address, ufrag: bytes, side: Side) -> None:
        """Take a Binding request for one of this connection's ufrags. Raises MalformedStun."""
        password = self._passwords[ufrag]
        check = authenticated(data, password)
        if check is None:
            self._port.drop("unauthenticated")
            return
        if self._transactions.setdefault(check.transaction_id, source) != source:
            self._port.drop("replayed")
            return
        while len(self._transactions) > MAX_TRANSACTIONS:
            del self._transactions[next(iter(self._transactions))]
        if "ICE-CONTROLLED" in check.attributes:
            side.sendto(role_conflict(check, password), source)
            return
        if not self._learn(source, side):
            return
        side.sendto(success(check, source, password), source)
        self._checked(check, source, ufrag)

    def _learn(self, source: Address, side: Side) -> bool:
        if source not in self._heard:
            if not self._port.claim(source, self):
                return False
            if len(self._heard) >= MAX_ADDRESSES:
                others = (known for known in self._heard if known != self._selected)
                self._release(min(others, key=self._heard.__getitem__))
            self._sides[source] = side
        self._heard[source] = self._port.sweeps
        if source == self._selected:
            self._selected_heard = self._port.sweeps
        return True

    def _checked(self, check: stun.Message, source: Address, ufrag: bytes) -> None:
        nominates = "USE-CANDIDATE" in check.attributes
        if nominates and ufrag != self._serving and ufrag == self.local_username.encode():
            # The first of a connection or of a restart; nobody has seen these credentials before.
            for old in self._passwords.keys() - {ufrag}:
                self._forget(old)
            self._serving = ufrag
            self._port.serves(self, ufrag, self._passwords[ufrag])
            self._select(source)
            return
        if source == self._selected:
            return
        if self._selected is None:
            if nominates:
                self._select(source)
            return
        if nominates:
            self._nominated = source
        if self._port.sweeps - self._selected_heard >= SILENT_SWEEPS:
            self._select(source)

    def datagram_received(self, data: bytes, source: Address) -> None:
        """Take DTLS or media from a known address."""
        first = data[0]
        if 127 < first < 192:  # RFC 7983 section 7
            if self.media_received(data):
                if source == self._selected:
                    self._selected_heard = self._port.sweeps
                else:
                    self.media_elsewhere(source)
            else:
                self._port.drop("srtp")
        elif 19 < first < 64:
            self._dtls_received(data)

    def selected_heard(self) -> None:
        """Something authentic has come from the selected address."""
        self._selected_heard = self._port.sweeps

    def media_elsewhere(self, source: Address) -> None:
        """Authentic media has come from another address of this connection."""
        self._heard[source] = self._port.sweeps
        silent = self._port.sweeps - self._selected_heard >= SILENT_SWEEPS_WITH_MEDIA
        if self._selected is not None and (silent or source == self._nominated):
            self._select(source)

    def _select(self, source: Address) -> None:
        moved = self._up.is_set() and source != self._selected
        if self._selected is not None:
            self._heard[self._selected] = self._last_heard(self._selected)
        self._selected = source
        self._selected_heard = self._port.sweeps
        self._nominated = None
        self._sendto = self._sides[source].sendto
        self._port.route(self, source, self._sides[source])
        self._up.set()
        if moved:
            self.moved()

    def sweep(self) -> None:
        """Once a sweep of the port: forget silent addresses, end when all are."""
        if not self._up.is_set():
            return  # whoever began the attempt times it
        now = self._port.sweeps
        if len(self._heard) == 1 and now - self._selected_heard < CONSENT_SWEEPS:
            return  # most of all
        last = max(map(self._last_heard, self._heard), default=self._selected_heard)
        if now - last >= CONSENT_SWEEPS:
            self.end()
            return
        for address, heard in list(self._heard.items()):
            if now - heard >= CONSENT_SWEEPS and address != self._selected:
                self._release(address)

    def heard_from(self, address: Address) -> bool:
        """Whether the address is in use; another connection may have it otherwise."""
        return self._port.sweeps - self._last_heard(address) < CONSENT_SWEEPS

    def _last_heard(self, address: Address) -> int:
        heard = self._heard[address]
        return max(heard, self._selected_heard) if address == self._selected else heard

    def yield_address(self, address: Address) -> None:
        """Another connection has the address from now on."""
        if address == self._selected:
            self._selected, self._sendto = None, _nowhere
            self._port.route(self, None, self._sides[address])
        del self._heard[address], self._sides[address]

    def _release(self, address: Address) -> None:
        del self._heard[address], self._sides[address]
        self._port.release(address)

    def end(self) -> None:
        """End at once."""
        if self.ended:
            return
        self._ended = True
        for ufrag in list(self._passwords):
            self._forget(ufrag)
        for address in list(self._heard):
            self._release(address)
        self._port.left(self)
        self._selected, self._sendto = None, _nowhere
        self.local_candidates = []
        self._up.set()
        asyncio.get_running_loop().call_soon(self.told_end)


def ice_string(length: int) -> str:
    """Random `ice-char`s (RFC 8839 section 5.4), of 6 bits each; the length a multiple of 4."""
    return base64.b64encode(secrets.token_bytes(length // 4 * 3)).decode()


def _nowhere(_data: bytes | memoryview, _address: Address) -> None:
    """Before an address is selected, and after the end."""


def _nobody_told() -> None:
    """Before anybody wants to know of the end."""


def _not_authentic(_data: bytes) -> bool:
    """Before there are keys."""
    return False
