// Two libdatachannel peer connections that reach one another through relays only; prints what
// arrived. node node-datachannel.mjs TURN_URL USERNAME CREDENTIAL
import { PeerConnection, cleanup } from "node-datachannel";

const [url, username, password] = process.argv.slice(2);
const [, hostname, port] = url.match(/^turn:(.+):(\d+)\?transport=udp$/);
const server = { hostname, port: Number(port), username, password, relayType: "TurnUdp" };
const config = { iceServers: [server], iceTransportPolicy: "relay" };
const caller = new PeerConnection("caller", config);
const callee = new PeerConnection("callee", config);
const candidates = new Set();

for (const [one, other] of [[caller, callee], [callee, caller]]) {
  one.onLocalDescription((sdp, type) => other.setRemoteDescription(sdp, type));
  one.onLocalCandidate((candidate, mid) => {
    candidates.add(candidate.match(/ typ (\w+)/)[1]);
    other.addRemoteCandidate(candidate, mid);
  });
}

const channels = [];
const received = await new Promise((resolve) => {
  callee.onDataChannel((channel) => {
    channels.push(channel);
    channel.onMessage((data) => channel.sendMessage(`echo ${data}`));
  });
  const channel = caller.createDataChannel("data");
  channels.push(channel);
  channel.onOpen(() => channel.sendMessage("hello"));
  channel.onMessage(resolve);
});

console.log(JSON.stringify({ received, candidates: [...candidates] }));
for (const each of [...channels, caller, callee]) each.close();
cleanup();
process.exit(0);
