// A WHEP player by werift; prints how many packets of audio and video came, and ends the session.
// node whep-werift.mjs WHEP_URL PACKETS
import { RTCPeerConnection, useOPUS, useVP8 } from "werift";

const [url, wanted] = process.argv.slice(2);
const player = new RTCPeerConnection({ codecs: { audio: [useOPUS()], video: [useVP8()] } });
const received = { audio: 0, video: 0 };

const enough = new Promise((resolve) => {
  player.onTrack.subscribe((track) => {
    track.onReceiveRtp.subscribe(() => {
      received[track.kind] += 1;
      if (Math.min(received.audio, received.video) >= Number(wanted)) resolve();
    });
  });
});

player.addTransceiver("audio", { direction: "recvonly" });
player.addTransceiver("video", { direction: "recvonly" });
await player.setLocalDescription(await player.createOffer());
const created = await fetch(url, {
  method: "POST",
  headers: { "Content-Type": "application/sdp" },
  body: player.localDescription.sdp,
});
const sdp = await created.text();
if (created.status !== 201) throw new Error(sdp);
await player.setRemoteDescription({ type: "answer", sdp });
await enough;

const location = new URL(created.headers.get("Location"), url);
const ended = await fetch(location, { method: "DELETE" });
console.log(JSON.stringify({ enough: true, ended: ended.status }));
await player.close();
process.exit(0);
