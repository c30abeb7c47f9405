"""WHIP and WHEP with aiortc's peer connections as clients."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from callfleet_engine.engine import Engine
from callfleet_engine.media.description import MAX_SDP_BYTES
from callfleet_engine.signalling.messages import MAX_MESSAGE_BYTES
from callfleet_engine.tokens import Permission
from callfleet_engine.turn.relays import Relay
from tests.callfleet_engine.engines import Caller, Client, running, settings, until
from tests.callfleet_engine.keys import join_token
from tests.callfleet_engine.whip.clients import FRAGMENT, SDP, HttpClient, WhipClient, problem
from tests.callfleet_engine.whip.conftest import Connect

pytestmark = pytest.mark.slow

CANDIDATE = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"


def credentials(ufrag: str) -> str:
    return f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"


def ufrag_of(sdp: str) -> str:
    return sdp.partition("a=ice-ufrag:")[2].partition("\r\n")[0]


async def test_what_one_publishes_the_other_plays(engine: Engine, connect: Connect) -> None:
    publisher = connect(engine, "whip").publishing()
    created = await publisher.start()
    assert re.fullmatch(r"/whip/room/[\w-]{24}", created.headers["Location"])
    assert re.fullmatch(r'"[0-9a-f]+"', created.headers["ETag"])
    assert created.headers["Content-Type"].startswith("application/sdp")
    assert created.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
    assert "maxaveragebitrate=64000" in created.text  # of the default preset
    player = connect(engine, "whep").playing()
    created = await player.start()
    assert created.text.count("a=sendonly") == 2
    await until(lambda: player.frames["audio"] > 20 and player.frames["video"] > 5, "media")
    assert engine.parts.whip.sessions == 2
    assert (await player.delete()).status == 200
    assert (await publisher.delete()).status == 200
    assert engine.parts.admission.occupancy.calls == 0
    assert engine.parts.whip.sessions == 0
    gone = await publisher.delete()
    assert (gone.status, problem(gone)["code"]) == (404, "unknown_session")


async def test_a_player_that_came_first_gets_whoever_publishes(
    engine: Engine, connect: Connect
) -> None:
    player = connect(engine, "whep").playing()
    await player.start()
    first = connect(engine, "whip").publishing()
    await first.start()
    await until(lambda: player.frames["video"] > 3 and player.frames["audio"] > 3, "the first")
    await first.delete()
    second = connect(engine, "whip").publishing()
    await second.start()
    seen = dict(player.frames)
    await until(lambda: all(player.frames[k] > seen[k] + 3 for k in seen), "the second")


async def test_a_pair_of_m_lines_carries_one_publisher(engine: Engine, connect: Connect) -> None:
    publishers = [connect(engine, "whip").publishing() for _ in range(2)]
    for publisher in publishers:
        await publisher.start()
    player = connect(engine, "whep").playing("audio", "video", "audio", "video")
    await player.start()
    [call] = engine.parts.host.calls
    *_, playing = call

    def sent() -> set[tuple[str, str, str]]:
        streams = playing.statistics().subscribed
        return {(s.mid, s.kind, s.participant) for s in streams if s.packets_sent > 3}

    one, two = (participant.id for participant in list(call)[:2])
    expected = {
        ("0", "audio", one),
        ("1", "video", one),
        ("2", "audio", two),
        ("3", "video", two),
    }
    await until(lambda: sent() == expected, lambda: f"all four streams; came {sent()}")


async def test_they_meet_those_who_came_by_websocket(
    engine: Engine, connect: Connect, http: aiohttp.ClientSession
) -> None:
    caller = Caller(await Client.connect(http, engine))
    try:
        await caller.join(name="Ada")
        await caller.publish()
        publisher = connect(engine, "whip").publishing()
        publisher.endpoint += "?name=Studio"
        await publisher.start()
        told = await caller.client.expect(
            lambda m: m["type"] == "participant" and m["event"] == "toggled", "presence"
        )
        assert (told["name"], told["audio"], told["video"]) == ("Studio", True, True)
        await caller.hears()
        player = connect(engine, "whep").playing("audio")
        await player.start()
        await until(lambda: player.frames["audio"] > 10, "sound of the one who came first")
        await caller.client.send(type="end")
        await until(lambda: engine.parts.whip.sessions == 0, "sessions ended with the call")
        assert (await publisher.delete()).status == 404
    finally:
        await caller.close()


async def test_candidates_are_taken_for_the_present_ice_session_only(
    engine: Engine, connect: Connect
) -> None:
    publisher = connect(engine, "whip").publishing()
    await publisher.start()
    mine = credentials(ufrag_of(publisher.pc.localDescription.sdp))
    missing = await publisher.patch(mine + CANDIDATE)
    assert (missing.status, problem(missing)["code"]) == (428, "precondition_required")
    for tag in ('"another"', f"W/{publisher.etag}", "another"):
        outdated = await publisher.patch(mine + CANDIDATE, If_Match=tag)
        assert (outdated.status, problem(outdated)["code"]) == (412, "precondition_failed")
    for body in (mine + CANDIDATE, CANDIDATE, mine + "a=end-of-candidates\r\n"):
        taken = await publisher.patch(body, If_Match=publisher.etag)
        assert (taken.status, taken.text) == (204, "")
    taken = await publisher.patch(mine + CANDIDATE, If_Match=f'"another", {publisher.etag}')
    assert taken.status == 204
    for body in ("nonsense", "a=ice-ufrag:abcd\r\n", credentials("?!"), CANDIDATE[:-20]):
        refused = await publisher.patch(body, If_Match=publisher.etag)
        assert (refused.status, problem(refused)["code"]) == (400, "bad_sdp")


@pytest.mark.parametrize("protocol", ["whip", "whep"])
async def test_a_restart_of_ice_has_another_entity_tag(
    engine: Engine, connect: Connect, protocol: str
) -> None:
    """aiortc's client has no restart: it keeps to the old credentials, which must serve on."""
    publisher = connect(engine, "whip").publishing()
    await publisher.start()
    player = connect(engine, "whep").playing()
    await player.start()
    restarting = publisher if protocol == "whip" else player
    await until(lambda: player.frames["video"] > 3, "media")
    restarted = await restarting.patch(credentials("anew") + CANDIDATE, If_Match="*")
    assert restarted.status == 200
    assert restarted.headers["Content-Type"].startswith("application/trickle-ice-sdpfrag")
    etag = restarted.headers["ETag"]
    assert etag != restarting.etag
    assert ufrag_of(restarted.text) not in {"", ufrag_of(restarting.created.text)}
    assert "a=ice-lite\r\n" in restarted.text
    assert "a=candidate:" in restarted.text
    outdated = await restarting.patch(credentials("anew") + CANDIDATE, If_Match=restarting.etag)
    assert outdated.status == 412
    assert (await restarting.patch(credentials("anew") + CANDIDATE, If_Match=etag)).status == 204
    assert (await restarting.patch(credentials("other"), If_Match='"*"')).status == 200
    seen = player.frames["video"]
    await until(lambda: player.frames["video"] > seen + 5, "video goes on")


async def test_who_hangs_up_without_a_word_is_gone(engine: Engine, connect: Connect) -> None:
    publisher = connect(engine, "whip").publishing()
    await publisher.start()
    await until(lambda: publisher.pc.connectionState == "connected", "connection")
    await publisher.pc.close()
    await until(lambda: engine.parts.whip.sessions == 0, "session ended")
    assert engine.parts.admission.occupancy.calls == 0


async def test_tokens(
    tmp_path: Path, keys: Path, connect: Connect, http: aiohttp.ClientSession
) -> None:
    publish = frozenset({Permission.PUBLISH, Permission.START})
    play = frozenset({Permission.SUBSCRIBE})
    async with running(settings(tmp_path, keys_file=keys)) as [engine]:
        offer = await connect(engine, "whip").publishing().offer()
        cases = [
            ("whip", "", 401, "token_missing"),
            ("whip", "nonsense", 401, "token_invalid"),
            ("whip", join_token(keys, seconds=-3600), 401, "token_expired"),
            ("whip", join_token(keys, room="other"), 403, "wrong_room"),
            ("whip", join_token(keys, can=play | {Permission.START}), 403, "not_permitted"),
            ("whip", join_token(keys, can=frozenset({Permission.PUBLISH})), 404, "unknown_call"),
            ("whep", join_token(keys, can=publish), 403, "not_permitted"),
            ("whep", join_token(keys, can=play), 409, "unknown_call"),
        ]
        for protocol, token, status, code in cases:
            client = HttpClient(http, engine, token)
            refused = await client.send("POST", f"/{protocol}/room", offer, SDP)
            assert (refused.status, problem(refused)["code"]) == (status, code)
            assert ("WWW-Authenticate" in refused.headers) == (status == 401)
            assert ("Retry-After" in refused.headers) == (code == "unknown_call")
        assert engine.parts.admission.occupancy.calls == 0
        publisher = connect(engine, "whip", token=join_token(keys, can=publish)).publishing()
        await publisher.start()
        player = connect(engine, "whep", token=join_token(keys, can=play)).playing()
        await player.start()
        await until(lambda: player.frames["audio"] > 3, "sound")
        # Who knows the URL of a session holds it, whatever has become of the token since.
        anybody = HttpClient(http, engine)
        assert (await anybody.send("DELETE", publisher.location)).status == 200


async def test_what_is_no_request_is_refused(
    engine: Engine, connect: Connect, http: aiohttp.ClientSession
) -> None:
    client = HttpClient(http, engine)
    offer = await connect(engine, "whip").publishing().offer()
    cases = [
        ("POST", "/whip/room", offer, {}, 415, "unsupported_media_type"),
        ("POST", "/whip/room", offer, FRAGMENT, 415, "unsupported_media_type"),
        ("POST", "/whip/room", "x" * (MAX_MESSAGE_BYTES + 1), SDP, 413, "bad_message"),
        ("POST", "/whip/room", "x" * (MAX_SDP_BYTES + 1), SDP, 400, "bad_sdp"),
        ("POST", "/whip/room", "", SDP, 400, "bad_sdp"),
        ("POST", "/whip/room", "v=0\r\nnonsense", SDP, 400, "bad_sdp"),
        ("POST", "/whep/room", offer.replace("sendrecv", "sendonly"), SDP, 400, "bad_sdp"),
        ("POST", "/whip/a%20room", offer, SDP, 400, "bad_message"),
        ("POST", "/whip/" + "r" * 129, offer, SDP, 400, "bad_message"),
        ("GET", "/whip/room", "", {}, 405, "method_not_allowed"),
        ("PUT", "/whep/room", "", SDP, 405, "method_not_allowed"),
        ("DELETE", "/whip/room", "", {}, 405, "method_not_allowed"),
        ("POST", "/whip/room/session", offer, SDP, 405, "method_not_allowed"),
        ("DELETE", "/whip/room/session", "", {}, 404, "unknown_session"),
        ("PATCH", "/whip/room/session", CANDIDATE, FRAGMENT, 404, "unknown_session"),
    ]
    for method, path, body, headers, status, code in cases:
        refused = await client.send(method, path, body, headers)
        assert (refused.status, problem(refused)["code"]) == (status, code), (method, path)
        assert ("Allow" in refused.headers) == (status == 405)
    assert engine.parts.admission.occupancy.calls == 0
    assert engine.parts.whip.sessions == 0
    publisher = connect(engine, "whip").publishing()
    await publisher.start()
    as_player = publisher.location.replace("whip", "whep")
    assert (await client.send("DELETE", as_player)).status == 404
    assert (await client.send("PATCH", publisher.location, CANDIDATE, SDP)).status == 415


async def test_full_and_draining_pods_say_when_to_come_again(
    engine: Engine, connect: Connect
) -> None:
    publisher = connect(engine, "whip").publishing()
    await publisher.start()
    for _ in range(3):
        await connect(engine, "whep").playing("audio").start()
    late = connect(engine, "whep").playing("audio")
    await refused_for_now(late, "full")
    await publisher.delete()
    engine.parts.drain.begin("test")
    await late.start()
    await refused_for_now(connect(engine, "whip", room="other").publishing(), "draining")


async def refused_for_now(client: WhipClient, code: str) -> None:
    refused = await client.http.send("POST", client.endpoint, await client.offer(), SDP)
    assert (refused.status, problem(refused)["code"]) == (503, code)
    assert int(refused.headers["Retry-After"]) > 0


async def test_relays_are_handed_out(tmp_path: Path, connect: Connect) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a" * 32)
    urls = ("turn:192.0.2.1:3478?transport=udp",)
    given = settings(tmp_path, turn=urls, turn_secret_file=secret)
    async with running(given) as [engine]:
        created = await connect(engine, "whip").publishing().start()
        [link] = created.headers.getall("Link")
        assert re.fullmatch(
            r'<turn:192\.0\.2\.1:3478\?transport=udp>; rel="ice-server"; username="\d+:[\w:]+"; '
            r'credential="[\w+/=]+"; credential-type="password"',
            link,
        )


async def test_a_relay_that_drains_is_kept(tmp_path: Path, connect: Connect) -> None:
    """Nobody could tell the client to begin anew on another one."""
    secret = tmp_path / "secret"
    secret.write_text("a" * 32)
    urls = tuple(f"turn:192.0.2.{n}:3478?transport=udp" for n in (1, 2))
    async with running(settings(tmp_path, turn=urls, turn_secret_file=secret)) as [engine]:
        created = await connect(engine, "whip").publishing().start()
        [used] = [url for url in urls if url in created.headers["Link"]]
        others = [Relay(pod=url, urls=(url,)) for url in urls if url != used]
        engine.parts.relays.replace(others)
        [[participant]] = engine.parts.host.calls
        media = participant._media
        await participant.leave_relay()
        assert participant._media is media
        assert participant in engine.parts.host.calls[0]


async def test_no_relay_where_one_is_needed(tmp_path: Path, connect: Connect) -> None:
    async with running(settings(tmp_path, require_relay=True)) as [engine]:
        await refused_for_now(connect(engine, "whip").publishing(), "no_relay")


async def test_pages_of_allowed_origins_may_come(
    tmp_path: Path, http: aiohttp.ClientSession, connect: Connect
) -> None:
    friend = "https://studio.example.org"
    async with running(settings(tmp_path, allowed_origins=(friend,))) as [engine]:
        client = HttpClient(http, engine)
        preflight = await client.send("OPTIONS", "/whip/room", headers={"Origin": friend})
        assert preflight.status == 200
        assert preflight.headers["Accept-Post"] == "application/sdp"
        assert preflight.headers["Access-Control-Allow-Origin"] == friend
        assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        on_session = await client.send("OPTIONS", "/whip/room/x", headers={"Origin": friend})
        assert {"PATCH", "DELETE"} <= set(
            on_session.headers["Access-Control-Allow-Methods"].split(", ")
        )
        offer = await connect(engine, "whip").publishing().offer()
        created = await client.send("POST", "/whip/room", offer, {**SDP, "Origin": friend})
        assert created.status == 201
        assert created.headers["Access-Control-Allow-Origin"] == friend
        assert "Location" in created.headers["Access-Control-Expose-Headers"]
        evil = {**SDP, "Origin": "https://evil.example.org"}
        refused = await client.send("POST", "/whip/room", offer, evil)
        assert (refused.status, problem(refused)["code"]) == (403, "not_permitted")
        assert "Access-Control-Allow-Origin" not in refused.headers
