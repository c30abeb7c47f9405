"""The admin interface's view of calls: docs/reference/contracts.md, "Statistics of calls"."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web

from callfleet_engine.calls.call import Call
from callfleet_engine.calls.participant import Participant
from callfleet_engine.calls.rates import BitRates, StreamId, Way
from callfleet_engine.calls.statistics import inbound, outbound

Stream = dict[str, object]


class AdminCalls:
    """Serves `GET /admin/v1/calls` and `GET /admin/v1/calls/{call}/stats`."""

    def __init__(self, calls: Callable[[], tuple[Call, ...]], rates: BitRates) -> None:
        self._calls = calls
        self._rates = rates

    def add_routes(self, app: web.Application) -> None:
        """Serve them here."""
        app.router.add_get("/admin/v1/calls", self.calls)
        app.router.add_get("/admin/v1/calls/{call}/stats", self.stats)

    async def calls(self, _: web.Request) -> web.Response:
        """The calls that this pod hosts."""
        return web.json_response({"version": 1, "calls": [_head(call) for call in self._calls()]})

    async def stats(self, request: web.Request) -> web.Response:
        """Every stream of one call."""
        wanted = request.match_info["call"]
        call = next((call for call in self._calls() if call.id == wanted), None)
        if call is None:
            message = f"This pod hosts no call {wanted}; GET /admin/v1/calls lists those it does."
            return web.json_response({"code": "unknown_call", "message": message}, status=404)
        participants = [self._participant(participant) for participant in call]
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"version": 1, **_head(call), "at": at, "participants": participants}
        return web.json_response(body)

    def _participant(self, participant: Participant) -> dict[str, object]:
        stats = participant.statistics()

        def told(way: Way, ssrc: int, stream: Stream) -> Stream:
            rate = self._rates.bits_per_second(participant, StreamId(way, ssrc))
            return {**stream, "bitsPerSecond": rate}

        return {
            "participant": participant.id,
            "published": [told("published", s.ssrc, inbound(s)) for s in stats.published],
            "subscribed": [told("subscribed", s.ssrc, outbound(s)) for s in stats.subscribed],
        }


def _head(call: Call) -> dict[str, object]:
    return {
        "call": call.id,
        "room": call.room,
        "epoch": call.route.epoch,
        "seconds": round(call.seconds, 3),
        "people": call.people,
    }
