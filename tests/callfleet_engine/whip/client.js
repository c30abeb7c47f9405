// A WHIP and WHEP client of a page, by RFC 9725: offer, trickle, ICE restart, end.
class HttpMedia {
  constructor(protocol, token) {
    this.endpoint = new URL(`/${protocol}/room`, location);
    this.authorization = { Authorization: `Bearer ${token}` };
    this.pc = new RTCPeerConnection();
    this.waiting = [];
    this.trickled = [];
    this.pc.onicecandidate = ({ candidate }) => this.trickle(candidate);
  }

  async start() {
    await this.pc.setLocalDescription();
    const created = await this.send("POST", this.endpoint, "application/sdp", this.offer());
    this.answer = await created.text();
    if (created.status !== 201) throw new Error(this.answer);
    this.session = new URL(created.headers.get("Location"), this.endpoint);
    this.etag = created.headers.get("ETag");
    await this.pc.setRemoteDescription({ type: "answer", sdp: this.answer });
    this.trickleOn();
  }

  trickleOn() {
    this.ready = true;
    for (const line of this.waiting.splice(0)) this.patch(line);
  }

  offer() {
    return this.pc.localDescription.sdp.replace(/a=candidate:.*\r\n/g, "");
  }

  credentials() {
    return this.pc.localDescription.sdp.match(/a=ice-(ufrag|pwd):.*\r\n/g).slice(0, 2).join("");
  }

  trickle(candidate) {
    if (!candidate?.candidate) return;
    const line = `m=audio 9 RTP/AVP 0\r\na=mid:${candidate.sdpMid}\r\na=${candidate.candidate}\r\n`;
    if (this.ready) this.patch(line);
    else this.waiting.push(line);
  }

  async patch(fragment) {
    const sent = this.credentials() + fragment;
    this.trickled.push((await this.send("PATCH", this.session, FRAGMENT, sent, this.etag)).status);
  }

  async restart() {
    this.ready = false;
    this.pc.restartIce();
    await this.pc.setLocalDescription();
    const done = await this.send("PATCH", this.session, FRAGMENT, this.credentials(), "*");
    const fragment = await done.text();
    if (done.status !== 200) throw new Error(fragment);
    this.etag = done.headers.get("ETag");
    for (const name of ["ufrag", "pwd"]) {
      const [line] = fragment.match(new RegExp(`a=ice-${name}:.*\\r\\n`));
      this.answer = this.answer.replace(new RegExp(`a=ice-${name}:.*\\r\\n`, "g"), line);
    }
    await this.pc.setRemoteDescription({ type: "answer", sdp: this.answer });
    this.trickleOn();
  }

  async end() {
    const { status } = await this.send("DELETE", this.session);
    this.pc.close();
    return status;
  }

  send(method, url, type, body, etag) {
    const headers = { ...this.authorization };
    if (type) headers["Content-Type"] = type;
    if (etag) headers["If-Match"] = etag;
    return fetch(url, { method, headers, body });
  }
}

const FRAGMENT = "application/trickle-ice-sdpfrag";

window.publish = async (token) => {
  const client = (window.client = new HttpMedia("whip", token));
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
  for (const track of stream.getTracks()) client.pc.addTransceiver(track, { direction: "sendonly" });
  await client.start();
};

window.play = async (token) => {
  const client = (window.client = new HttpMedia("whep", token));
  const video = (window.video = document.createElement("video"));
  video.srcObject = new MediaStream();
  document.body.append(video);
  client.pc.ontrack = ({ track }) => video.srcObject.addTrack(track);
  for (const kind of ["audio", "video"]) client.pc.addTransceiver(kind, { direction: "recvonly" });
  await client.start();
  await video.play();
};

// Whether two frames in a row differ in many pixels and neither is one colour.
window.moves = async () => {
  const pixels = async () => {
    await new Promise((resolve) => window.video.requestVideoFrameCallback(resolve));
    const canvas = new OffscreenCanvas(64, 48);
    const context = canvas.getContext("2d");
    context.drawImage(window.video, 0, 0, 64, 48);
    return context.getImageData(0, 0, 64, 48).data;
  };
  const [first, second] = [await pixels(), await pixels()];
  const changed = first.filter((value, index) => Math.abs(value - second[index]) > 16).length;
  return changed > 20 && new Set(first).size > 8;
};

window.heard = async () => {
  const stats = [...(await window.client.pc.getStats()).values()];
  const audio = stats.find(({ type, kind }) => type === "inbound-rtp" && kind === "audio");
  return audio?.totalAudioEnergy > 0;
};
