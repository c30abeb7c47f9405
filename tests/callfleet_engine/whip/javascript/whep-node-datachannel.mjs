// A WHEP player by libdatachannel; prints that audio and video came, and ends the session.
// node whep-node-datachannel.mjs WHEP_URL PACKETS
import { Audio, PeerConnection, RtcpReceivingSession, Video, cleanup } from "node-datachannel";

const [url, wanted] = process.argv.slice(2);
const player = new PeerConnection("player", { iceServers: [] });
const received = { audio: 0, video: 0 };
let done;
const enough = new Promise((resolve) => { done = resolve; });

const audio = new Audio("0", "RecvOnly");
audio.addOpusCodec(111);
const video = new Video("1", "RecvOnly");
video.addVP8Codec(96);
const tracks = Object.entries({ audio, video }).map(([kind, description]) => {
  const track = player.addTrack(description);
  track.setMediaHandler(new RtcpReceivingSession());
  track.onMessage(() => {
    received[kind] += 1;
    if (Math.min(received.audio, received.video) >= Number(wanted)) done();
  });
  return track;
});

const gathered = new Promise((resolve) => {
  player.onGatheringStateChange((state) => state === "complete" && resolve());
});
player.setLocalDescription("offer");
await gathered;
const created = await fetch(url, {
  method: "POST",
  headers: { "Content-Type": "application/sdp" },
  body: player.localDescription().sdp,
});
const sdp = await created.text();
if (created.status !== 201) throw new Error(sdp);
player.setRemoteDescription(sdp, "answer");
await enough;

const location = new URL(created.headers.get("Location"), url);
const ended = await fetch(location, { method: "DELETE" });
console.log(JSON.stringify({ enough: true, ended: ended.status }));
for (const each of [...tracks, player]) each.close();
cleanup();
process.exit(0);
