// The two peer connections of a participant: one that publishes, one that subscribes.

import { cameraEncodings, microphoneEncodings, screenEncodings } from './quality.js';

const REPORT_DELAY_MS = 300;

export class Media extends EventTarget {
  // Events: `tracks` (detail: {people, screens}, each a Map of participant to tracks), `state`
  // (detail: 'connecting', 'connected', 'failed').
  #signalling;
  #connections = { publish: null, subscribe: null };
  #configuration = {};
  #local = { audio: null, video: null };
  #screen = { track: null, transceiver: null };
  // Of quality.
  #preset;
  #negotiation = Promise.resolve();
  #iceErrors = [];
  #reportTimer = null;
  #offers = Promise.resolve();
  // Candidates of an offer that may still be refused.
  #held = null;

  constructor(signalling) {
    super();
    this.#signalling = signalling;
  }

  configure(iceServers, iceTransportPolicy) {
    this.#configuration = {
      iceServers,
      iceTransportPolicy: iceTransportPolicy ?? this.#configuration.iceTransportPolicy,
    };
    for (const pc of Object.values(this.#connections)) pc?.setConfiguration(this.#configuration);
  }

  // Keep what is published from now on to a preset of quality.
  bound(preset) {
    this.#preset = preset;
  }

  // Offer one audio and one video m-line, with a track or still without. Throws Refused.
  async publish(local) {
    this.#local = local;
    const pc = this.#open('publish');
    this.#held = [];
    const stream = new MediaStream();
    const options = { direction: 'sendonly', streams: [stream] };
    pc.addTransceiver(local.audio ?? 'audio', {
      ...options, sendEncodings: microphoneEncodings(this.#preset),
    });
    // Each subscriber gets the layer that fits.
    pc.addTransceiver(local.video ?? 'video', {
      ...options, sendEncodings: cameraEncodings(this.#preset, local.video),
    });
    if (this.#screen.track !== null) this.#offerScreen(pc);
    await this.#negotiate();
    const held = this.#held;
    this.#held = null;
    for (const message of held) this.#signalling.send(message);
  }

  // Offers are answered one after the other. Throws Refused.
  #negotiate(options = {}) {
    const pc = this.#connections.publish;
    const answered = this.#negotiation.then(async () => {
      if (pc === null || pc !== this.#connections.publish) return;
      await pc.setLocalDescription(await pc.createOffer(options));
      const { answer } = await this.#signalling.request({
        type: 'publish', offer: pc.localDescription.sdp,
      });
      if (pc === this.#connections.publish) {
        await pc.setRemoteDescription({ type: 'answer', sdp: answer });
      }
    });
    this.#negotiation = answered.catch(() => {});
    return answered;
  }

  // A second video beside the camera; null ends it. Throws Refused.
  async shareScreen(track) {
    const pc = this.#connections.publish;
    this.#screen.track = track;
    if (pc === null) return;
    if (this.#screen.transceiver === null) {
      this.#offerScreen(pc);
    } else {
      await this.#screen.transceiver.sender.replaceTrack(track);
      this.#screen.transceiver.direction = track === null ? 'inactive' : 'sendonly';
    }
    await this.#negotiate();
  }

  #offerScreen(pc) {
    this.#screen.transceiver = pc.addTransceiver(this.#screen.track, {
      direction: 'sendonly', streams: [new MediaStream()],
      sendEncodings: screenEncodings(this.#preset),
    });
  }

  stopPublishing() {
    this.#connections.publish?.close();
    this.#connections.publish = null;
  }

  async replace(kind, track) {
    this.#local[kind] = track;
    const transceiver = this.#connections.publish?.getTransceivers()
      .find((t) => t.receiver.track.kind === kind);
    await transceiver?.sender.replaceTrack(track);
    if (transceiver && kind === 'video' && track !== null) await this.#fit(transceiver.sender);
  }

  // Another camera may give another size.
  async #fit(sender) {
    const parameters = sender.getParameters();
    const wanted = cameraEncodings(this.#preset, sender.track);
    for (const [index, encoding] of parameters.encodings.entries()) {
      encoding.scaleResolutionDownBy = wanted[index].scaleResolutionDownBy;
    }
    await sender.setParameters(parameters);
  }

  // Answer the server's offer; offers are taken one after the other.
  take(message) {
    this.#offers = this.#offers.then(() => this.#take(message)).catch((error) => {
      console.error('subscribe offer', error);
      this.#changed('failed');
    });
  }

  async #take({ offer, tracks }) {
    const pc = this.#connections.subscribe ?? this.#open('subscribe');
    await pc.setRemoteDescription({ type: 'offer', sdp: offer });
    await pc.setLocalDescription();
    this.#signalling.send({ type: 'subscribe', answer: pc.localDescription.sdp });
    const byMid = new Map(pc.getTransceivers().map((t) => [t.mid, t.receiver.track]));
    const detail = { people: new Map(), screens: new Map() };
    for (const { mid, participant, source } of tracks) {
      const streams = source === 'screen' ? detail.screens : detail.people;
      if (!streams.has(participant)) streams.set(participant, []);
      streams.get(participant).push(byMid.get(mid));
    }
    this.dispatchEvent(new CustomEvent('tracks', { detail }));
  }

  // Begin anew with other relays: the server has given up the old connections.
  async restart() {
    const publishing = this.#connections.publish !== null;
    this.close();
    if (publishing) await this.publish(this.#local);
  }

  // Find a new way for one connection; what it carries goes on.
  async #restartIce(name) {
    if (name === 'subscribe') {
      this.#signalling.send({ type: 'restart' });
      return;
    }
    await this.#negotiate({ iceRestart: true });
  }

  close() {
    for (const name of Object.keys(this.#connections)) {
      this.#connections[name]?.close();
      this.#connections[name] = null;
    }
    this.#screen.transceiver = null;
    this.#negotiation = Promise.resolve();
    clearTimeout(this.#reportTimer);
    this.#reportTimer = null;
    this.#iceErrors = [];
  }

  #open(name) {
    const pc = new RTCPeerConnection(this.#configuration);
    this.#connections[name] = pc;
    let connected = false;
    pc.onicecandidate = ({ candidate }) => {
      const message = { type: 'candidate', pc: name, candidate: candidate?.toJSON() ?? null };
      if (name === 'publish' && this.#held) this.#held.push(message);
      else this.#signalling.send(message);
    };
    pc.onicecandidateerror = ({ url, errorCode, errorText }) => {
      this.#iceErrors.push({ url, errorCode, errorText });
      this.#reportSoon();
    };
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === 'failed') this.#reportSoon();
      if (pc.connectionState === 'connected') connected = true;
      if (pc.connectionState === 'disconnected' && connected) {
        this.#restartIce(name).catch((error) => console.warn('ICE restart', error));
      }
      this.#changed(pc.connectionState);
    };
    return pc;
  }

  #changed(state) {
    if (['connecting', 'connected', 'failed'].includes(state)) {
      this.dispatchEvent(new CustomEvent('state', { detail: state }));
    }
  }

  #reportSoon() {
    this.#reportTimer ??= setTimeout(() => this.#report(), REPORT_DELAY_MS);
  }

  async #report() {
    this.#reportTimer = null;
    const iceErrors = this.#iceErrors.splice(0).slice(0, 64);
    const candidatePairs = [];
    for (const [name, pc] of Object.entries(this.#connections)) {
      if (pc === null) continue;
      const stats = await pc.getStats();
      for (const pair of stats.values()) {
        if (pair.type !== 'candidate-pair') continue;
        const local = stats.get(pair.localCandidateId)?.candidateType;
        const remote = stats.get(pair.remoteCandidateId)?.candidateType;
        if (local && remote) candidatePairs.push({ pc: name, state: pair.state, local, remote });
      }
    }
    this.#signalling.send({
      type: 'report', iceErrors, candidatePairs: candidatePairs.slice(0, 256),
    });
  }
}
