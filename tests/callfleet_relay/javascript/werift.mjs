// Two werift peer connections that reach one another through relays only; prints what arrived.
// node werift.mjs TURN_URL USERNAME CREDENTIAL
import { RTCPeerConnection } from "werift";

const [urls, username, credential] = process.argv.slice(2);
const config = { iceServers: [{ urls, username, credential }], iceTransportPolicy: "relay" };
const caller = new RTCPeerConnection(config);
const callee = new RTCPeerConnection(config);

const answered = new Promise((resolve) => {
  callee.onDataChannel.subscribe((channel) => {
    channel.onMessage.subscribe((data) => channel.send(`echo ${data}`));
  });
  const channel = caller.createDataChannel("data");
  channel.onMessage.subscribe((data) => resolve(String(data)));
  channel.stateChanged.subscribe((state) => state === "open" && channel.send("hello"));
});

// werift offers its host candidates even so, and tries no other after the relay has refused one.
const relayOnly = ({ type, sdp }) => ({
  type,
  sdp: sdp.replace(/a=candidate:.* typ host.*\r\n/g, ""),
});

await caller.setLocalDescription(await caller.createOffer());
await callee.setRemoteDescription(relayOnly(caller.localDescription));
await callee.setLocalDescription(await callee.createAnswer());
await caller.setRemoteDescription(relayOnly(callee.localDescription));

const { sdp } = relayOnly(caller.localDescription);
const candidates = new Set(sdp.match(/(?<= typ )\w+/g));
console.log(JSON.stringify({ received: await answered, candidates: [...candidates] }));
await Promise.all([caller.close(), callee.close()]);
process.exit(0);
