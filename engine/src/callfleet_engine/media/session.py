"""One participant: publishing and subscribing, and the order of offers and answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from callfleet_engine.media.description import (
    RemoteDescription,
    check_answer,
    check_candidate,
    check_offer,
    check_play_offer,
)
from callfleet_engine.media.forwarding import Published
from callfleet_engine.media.interface import (
    BadSdpError,
    FailureCause,
    IceCandidateInit,
    LossCause,
    MediaError,
    MediaEvents,
    NotPermittedError,
    ParticipantStats,
    Path,
    PeerConnection,
    Source,
)
from callfleet_engine.media.link import Link
from callfleet_engine.media.negotiating import NEGOTIATION_SECONDS, Pace, negotiated
from callfleet_engine.media.playing import Playing
from callfleet_engine.media.rtp import SILENCE
from callfleet_engine.media.simulcast import with_simulcast
from callfleet_engine.media.subscribing import Publishers, Subscribing

if TYPE_CHECKING:
    from callfleet_engine.media.plane import AiortcCall

log = logging.getLogger(__name__)

MAX_PUBLISHERS = 24
MAX_SCREENS = 4
"""A subscribe offer with pairs of m-lines for so many publishers, and so many screens, still fits a
signalling message."""


class AiortcSession:
    """One participant's media."""

    def __init__(
        self,
        call: AiortcCall,
        participant_id: str,
        events: MediaEvents,
        *,
        can_publish: bool,
        can_subscribe: bool,
        client_offers: bool,
    ) -> None:
        self.participant_id = participant_id
        self._call = call
        self._events = events
        self._can_publish = can_publish
        self._can_subscribe = can_subscribe
        self._client_offers = client_offers
        self._loop = asyncio.get_running_loop()
        self._publishing = call.plane.forwarding.publishing(participant_id)
        self._publish_link: Link | None = None
        self._publish_remote: RemoteDescription | None = None
        self._subscribing: Subscribing | None = None
        self._playing: Playing | None = None
        self._play_remote: RemoteDescription | None = None
        self._client_offer_lock = asyncio.Lock()
        self._wishes: dict[tuple[str, Source], int | None] = {}
        self._speaker: str | None = None
        self._negotiation: Literal["stable", "offering", "offered", "answering"] = "stable"
        self._restart_wanted = False
        self._offer_task: asyncio.Task[None] | None = None
        self._pace = Pace(self.tracks_changed)
        self._ended = False
        self._closed = False

    @property
    def tracks(self) -> Mapping[Source, Published]:
        """What this participant publishes now."""
        return {} if self._ended else self._publishing.tracks

    # what the client asks for

    async def publish(self, offer_sdp: str) -> str:
        """Answer the client's offer."""
        with self._call.plane.turns.answering():
            return await self._publish(offer_sdp)

    async def _publish(self, offer_sdp: str) -> str:
        self._check_open()
        if not self._can_publish:
            raise NotPermittedError(
                "This participant may not publish.",
                "Use a join token whose claim `can` holds `publish`.",
            )
        async with self._client_offer_lock:
            remote = check_offer(offer_sdp, previous=self._publish_remote)
            self._check_open()
            if "screen" in remote.sending and "screen" not in self.tracks:
                self._call.check_room_for_screen()
            link = self._publish_link
            if link is None:
                self._call.check_room_for_publisher()
                link = self._publish_link = self._new_link("publish")
            elif self._publish_remote is not None and remote.ufrag != self._publish_remote.ufrag:
                link.connection.restart()
            self._publish_remote = remote
            self._note_candidates(link, remote)
            answer = await negotiated(
                link.pc.answer_offer(remote.description, client_is_dtls_server=remote.dtls_server)
            )
            self._check_open()
            self._publishing.negotiated(link.pc.negotiated(), remote, link)
        self._call.tracks_changed()
        return with_simulcast(answer, remote.rids)

    async def play(self, offer_sdp: str) -> str:
        """Answer the client's offer to receive."""
        self._check_open()
        if not (self._can_subscribe and self._client_offers):
            raise NotPermittedError(
                "This participant may not subscribe.",
                "Use a join token whose claim `can` holds `subscribe`.",
            )
        async with self._client_offer_lock:
            remote = check_play_offer(offer_sdp, previous=self._play_remote)
            self._check_open()
            playing = self._playing
            if playing is None:
                link = self._new_link("subscribe")
                playing = Playing(link, self._call.plane.forwarding, self._wishes)
                self._playing = self._subscribing = playing
            elif self._play_remote is not None and remote.ufrag != self._play_remote.ufrag:
                playing.link.connection.restart()
            self._play_remote = remote
            self._note_candidates(playing.link, remote)
            answer = await negotiated(playing.answer(remote, self._publishers(), self._loop.time()))
            self._check_open()
        return answer

    async def answer(self, answer_sdp: str) -> None:
        """Take the client's answer to the outstanding subscribe offer."""
        self._check_open()
        subscribing = self._subscribing
        if subscribing is None or self._negotiation != "offered":
            raise BadSdpError(
                "There is no offer to answer.", "Answer each `offer` message exactly once."
            )
        remote = check_answer(answer_sdp)
        self._negotiation = "answering"
        try:
            await negotiated(subscribing.answered(remote, self._publishers(), self._loop.time()))
        except MediaError:
            self._negotiation = "offered"
            raise
        self._negotiation = "stable"
        self._note_candidates(subscribing.link, remote)
        self.tracks_changed()

    async def add_candidate(self, pc: PeerConnection, candidate: IceCandidateInit | None) -> None:
        """Note a trickled candidate."""
        self._check_open()
        link = self._link(pc)
        if link is None:
            raise BadSdpError(
                f"There is no {pc} connection yet.", "Send candidates after the description."
            )
        if candidate is not None and (found := check_candidate(candidate)):
            link.add_candidate(*found)

    def restart_ice(self) -> None:
        """Offer again with new ICE credentials as soon as no offer is outstanding."""
        self._check_open()
        if self._subscribing is not None:
            self._restart_wanted = True
            self.tracks_changed()

    def grant(self, bits_per_second: int) -> None:
        """Take no more than this of what is published, from the next offer on."""
        self._publishing.max_bitrate = bits_per_second

    def set_sending(self, sending: Mapping[Source, bool]) -> None:
        """Forward what the participant publishes, or hold it back."""
        self._call.touched = True
        now = self._loop.time()
        for source, forwarded in sending.items():
            self._publishing.set_sending(source, forwarded, now)

    def prefer_layer(self, participant: str, source: Source, most: int | None) -> None:
        """Send at most this layer of somebody's track from now on."""
        self._check_open()
        self._call.check_present(participant)
        self._wishes[participant, source] = most
        self._call.touched = True

    def stats(self) -> ParticipantStats:
        """Both directions."""
        return ParticipantStats(
            published=self._publishing.stats(),
            subscribed=self._subscribing.stats() if self._subscribing else (),
        )

    async def close(self) -> None:
        """End both peer connections."""
        if self._closed:
            return
        self._closed = True
        self._end()
        self._call.left(self)
        if self._offer_task is not None:
            self._offer_task.cancel()
        links = [self._publish_link, self._subscribing.link if self._subscribing else None]
        results = await asyncio.gather(
            *(link.close() for link in links if link is not None), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                log.error(
                    "peer connection of %s did not close", self.participant_id, exc_info=result
                )

    def _check_open(self) -> None:
        if self._ended:
            raise MediaError("not_joined", "This participant's media has ended.", "Join again.")

    def _link(self, pc: PeerConnection) -> Link | None:
        if pc == "publish":
            return self._publish_link
        return self._subscribing.link if self._subscribing else None

    def _new_link(self, name: PeerConnection) -> Link:
        plane = self._call.plane
        publishing = name == "publish"
        return Link(
            name,
            self,
            port=plane.media_port,
            certificate=plane.certificate,
            attempt_seconds=plane.settings.attempt_seconds,
            on_rtp=self._publish_rtp if publishing else _nothing_to_publish,
            on_rtcp=self._publish_rtcp if publishing else self._subscribe_rtcp,
        )

    @staticmethod
    def _note_candidates(link: Link, remote: RemoteDescription) -> None:
        for address, candidate_type in remote.candidates:
            link.add_candidate(address, candidate_type)

    # packets

    def _publish_rtp(self, data: bytes) -> None:
        self._call.touched = True
        self._publishing.rtp_received(data, self._loop.time())

    def _publish_rtcp(self, data: bytes) -> None:
        self._publishing.rtcp_received(data, self._loop.time())

    def _subscribe_rtcp(self, data: bytes) -> None:
        self._call.touched = True
        if self._subscribing is not None:
            self._subscribing.rtcp_received(data, self._loop.time())

    def tick(self, now: float) -> None:
        """Ten times a second."""
        self._publishing.tick(now)
        if self._subscribing is None or self._ended:
            return
        self._subscribing.tick(now, self._speaker)
        if changed := self._subscribing.changed_layers():
            self._events.layers(changed)
        for track, codec, takes in self._subscribing.newly_untaken():
            self._events.untaken(track, codec, takes)

    def take_loudest(self) -> int:
        """The highest audio level since the last call, in -dBov; 127 is silence."""
        track = self.tracks.get("microphone")
        return SILENCE if track is None else track.take_loudest()

    def speaker_changed(self, participant: str | None) -> None:
        """Somebody else speaks in the call."""
        self._speaker = participant
        if not self._ended:
            self._events.speaker(participant)

    def report(self, now: float) -> None:
        """Once a second."""
        self._publishing.report(now)

    # the server's offers

    def _publishers(self) -> Publishers:
        return self._call.published_to(self)

    def tracks_changed(self) -> None:
        """Someone's tracks came, went or changed: offer what differs, one offer at a time."""
        if self._ended or not self._can_subscribe:
            return
        for wish in [wish for wish in self._wishes if wish[0] not in self._call.sessions]:
            del self._wishes[wish]
        if self._subscribing is not None:
            self._subscribing.connect(self._publishers(), self._loop.time())
        if self._client_offers or self._negotiation != "stable":
            return
        if self._offer_is_due() and self._pace.ready():
            self._negotiation = "offering"
            self._offer_task = self._loop.create_task(self._offer())
            self._offer_task.add_done_callback(self._offer_done)

    def _offer_is_due(self) -> bool:
        offered = self._subscribing.offered if self._subscribing else frozenset()
        return self._restart_wanted or Subscribing.wanted(self._publishers()) != offered

    async def _offer(self) -> None:
        await self._call.plane.turns.wait()
        if self._ended or not self._offer_is_due():
            self._negotiation = "stable"
            return
        if self._subscribing is None:
            link = self._new_link("subscribe")
            self._subscribing = Subscribing(link, self._call.plane.forwarding, self._wishes)
        if self._restart_wanted:
            self._restart_wanted = False
            self._subscribing.link.connection.restart()
        async with asyncio.timeout(NEGOTIATION_SECONDS):
            sdp = await self._subscribing.offer(self._publishers())
        if not self._ended:
            self._negotiation = "offered"
            self._events.offer(sdp, self._subscribing.tracks())

    def _offer_done(self, task: asyncio.Task[None]) -> None:
        self._offer_task = None
        if task.cancelled():
            return
        if error := task.exception():
            log.error("no subscribe offer for %s", self.participant_id, exc_info=error)
            self.link_lost("internal")

    # the links' events

    def link_connected(self, link: Link, path: Path, seconds: float) -> None:
        """Media can flow on one of the two."""
        self._call.touched = True
        if link.name == "subscribe" and self._subscribing is not None:
            self._subscribing.connect(self._publishers(), self._loop.time())
        self._events.connected(link.name, path, seconds)

    def link_active(self) -> None:
        """Media or reports have come."""
        self._call.touched = True

    def link_moved(self, link: Link) -> None:
        """The client is at another address; what was on its way to the old one is lost."""
        self._call.touched = True
        now = self._loop.time()
        if link.name == "publish":
            self._publishing.request_keyframes(now)
        elif self._subscribing is not None:
            self._subscribing.request_keyframes(now)

    def link_failed(self, link: Link, cause: FailureCause) -> None:
        """One of the two never connected: the attempt is over."""
        if not self._ended:
            self._end()
            self._events.failed(link.name, cause)

    def link_lost(self, cause: LossCause) -> None:
        """One of the two ended."""
        if not self._ended:
            self._end()
            self._events.lost(cause)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._pace.cancel()
        self._publishing.close()
        if self._subscribing is not None:
            self._subscribing.close()
        self._call.tracks_changed()


def _nothing_to_publish(_: bytes) -> None:
    """A subscribe connection receives no media."""
