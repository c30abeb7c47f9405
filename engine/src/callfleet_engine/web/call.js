// The page: join form, tiles, buttons, and what went wrong in words.

import { Media } from './media.js';
import { capture, captureScreen, element, showProblem, showState } from './page.js';
import { hasVideo, offerPresets, presetNamed } from './quality.js';
import { Refused, Signalling } from './signalling.js';
import { Tile } from './tile.js';

const ENDED = {
  left: 'You have left the call.',
  ended: 'The call has been ended for everybody.',
  replaced: 'You have joined this call from another place.',
  media_lost: 'The connection for sound and picture was lost. Join again to go on.',
  pod_terminated: 'The server of this call was stopped. Join again to go on.',
};

// Buttons of those who may publish.
const PUBLISHING = ['toggle-audio', 'toggle-video', 'share-screen'];
const SHOWING = ['toggle-video', 'share-screen'];

// Of messages whose answer nobody waits for.
const UNANSWERED = 0;

let call = null;

function token() {
  return new URLSearchParams(location.hash.slice(1)).get('token') ?? undefined;
}

function showError(error) {
  showProblem(error.message, error instanceof Refused ? error.remedy : '');
}

class Call {
  #signalling = new Signalling();
  #media = new Media(this.#signalling);
  #local = { audio: null, video: null };
  #sending = { audio: false, video: false };
  #tiles = new Map();
  #screens = new Map();
  #streams = { people: new Map(), screens: new Map() };
  #screen = null;
  // Of quality, as the server has told it.
  #preset;
  #own = null;
  // Of the call whose media flows; null while that begins.
  #epoch = null;
  #sizes = new ResizeObserver(() => this.#askForLayers());

  constructor() {
    this.#signalling.addEventListener('message', ({ detail }) => this.#received(detail));
    this.#signalling.addEventListener('interrupted', () => showState('Reconnecting …'));
    this.#signalling.addEventListener('resumed', ({ detail }) => this.#resumed(detail));
    this.#signalling.addEventListener('closed', ({ detail }) => {
      showError(detail);
      this.end('Not connected');
    });
    this.#media.addEventListener('tracks', ({ detail }) => {
      this.#streams = detail;
      this.#showStreams();
    });
    this.#media.addEventListener('state', ({ detail }) => {
      if (detail === 'connected') showState('Connected');
      if (detail === 'connecting') showState('Connecting …');
      if (detail === 'failed') showState('No connection for sound and picture');
    });
  }

  async start(room, name, wanted, preset) {
    showState('Asking for microphone and camera …');
    this.#preset = presetNamed(preset);
    for (const kind of ['audio', 'video']) {
      if (wanted[kind]) this.#local[kind] = await this.#capture(kind);
      this.#sending[kind] = this.#local[kind] !== null;
    }
    showState('Joining …');
    const joined = await this.#signalling.open({ room, name, token: token(), preset });
    showState('In the call');
    element('title').textContent = `Room ${joined.room}`;
    await this.#enter(joined);
  }

  // Take `joined` as a newcomer: everything begins.
  async #enter(joined) {
    this.#epoch = null;
    this.#media.close();
    this.#media.configure(joined.iceServers, joined.iceTransportPolicy);
    this.#keepTo(joined.quality);
    this.#removeTiles();
    this.#own = { participant: joined.participant, name: joined.name, ...this.#sending };
    this.#tile(this.#own, true).show([this.#local.video].filter(Boolean));
    for (const presence of joined.participants) this.#show(presence);
    this.#showButtons();
    try {
      await this.#media.publish(this.#local);
      this.#signalling.send({ type: 'toggle', ...this.#sending });
    } catch (error) {
      if (error.code !== 'not_permitted') throw error;
      this.#stopCapture();
      this.#media.stopPublishing();
      showProblem('You are listening only.', error.remedy);
      for (const id of PUBLISHING) element(id).disabled = true;
      this.#changeOwn();
    }
    this.#epoch = joined.epoch;
  }

  // An older server names no preset.
  #keepTo(quality) {
    this.#preset = quality?.presets[quality.preset];
    this.#media.bound(this.#preset);
    for (const id of SHOWING) element(id).disabled = !hasVideo(this.#preset);
    if (!hasVideo(this.#preset)) this.#stop('video');
  }

  // A track that keeps to the preset, or null.
  async #capture(kind) {
    if (kind === 'video' && !hasVideo(this.#preset)) return null;
    return capture(kind, this.#preset);
  }

  async #resumed(joined) {
    try {
      if (joined.participant !== this.#own.participant || joined.epoch !== this.#epoch) {
        await this.#enter(joined);
        return;
      }
      showState('Connected');
      const present = new Set(joined.participants.map((p) => p.participant));
      for (const id of [...this.#tiles.keys()]) {
        if (id !== this.#own.participant && !present.has(id)) this.#removeTile(id);
      }
      for (const presence of joined.participants) this.#show(presence);
      this.#signalling.send({ type: 'toggle', ...this.#sending });
      for (const tile of this.#tiles.values()) tile.most = null;
      this.#askForLayers();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #received(message) {
    try {
      if (message.type === 'offer') this.#media.take(message);
      if (message.type === 'participant') this.#participant(message);
      if (message.type === 'iceServers') {
        this.#media.configure(message.iceServers);
        if (message.restart) await this.#media.restart();
      }
      if (message.type === 'speaker') this.#mark(message.participant);
      if (message.type === 'unsupported') showProblem(message.message, message.remedy);
      if (message.type === 'ended') this.end(ENDED[message.reason] ?? 'The call is over.');
      if (message.type === 'error' && message.id !== UNANSWERED) {
        showProblem(message.message, message.remedy);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #participant(message) {
    if (message.event === 'left') this.#removeTile(message.participant);
    else this.#show(message);
    this.#showStreams();
  }

  // The tiles of somebody else: the person and, if there is one, the screen.
  #show(presence) {
    this.#tile(presence).update(presence);
    const id = presence.participant;
    if (!presence.screen) {
      this.#screens.get(id)?.remove();
      this.#screens.delete(id);
    } else if (!this.#screens.has(id)) {
      this.#screens.set(id, new Tile(presence, { screen: true }));
    }
  }

  #mark(speaker) {
    for (const [id, tile] of this.#tiles) tile.node.classList.toggle('speaking', id === speaker);
  }

  #tile(presence, own = false) {
    const id = presence.participant;
    if (!this.#tiles.has(id)) {
      const tile = new Tile(presence, { own });
      this.#tiles.set(id, tile);
      this.#sizes.observe(tile.video);
    }
    return this.#tiles.get(id);
  }

  // No more of a camera than its tile shows. Who has left meanwhile is no problem.
  #askForLayers() {
    for (const [participant, tile] of this.#tiles) {
      const most = tile.layer();
      if (tile.own || most === tile.most || !tile.video.srcObject?.getVideoTracks().length) continue;
      tile.most = most;
      this.#signalling.send({ id: UNANSWERED, type: 'layer', participant, most });
    }
  }

  #removeTile(id) {
    for (const tiles of [this.#tiles, this.#screens]) {
      if (tiles.has(id)) this.#sizes.unobserve(tiles.get(id).video);
      tiles.get(id)?.remove();
      tiles.delete(id);
    }
  }

  #removeTiles() {
    for (const id of [...this.#tiles.keys()]) this.#removeTile(id);
    this.#streams = { people: new Map(), screens: new Map() };
  }

  #showStreams() {
    const { people, screens } = this.#streams;
    for (const [tiles, streams] of [[this.#tiles, people], [this.#screens, screens]]) {
      for (const [id, tile] of tiles) {
        if (!tile.own) tile.show(streams.get(id) ?? []);
      }
    }
    this.#askForLayers();
  }

  async shareScreen() {
    try {
      const track = this.#screen === null ? await captureScreen() : null;
      if (track === null && this.#screen === null) return;
      this.#screen?.stop();
      this.#screen = track;
      track?.addEventListener('ended', () => {
        if (this.#screen === track) this.shareScreen();
      });
      this.#showButtons();
      await this.#media.shareScreen(track);
    } catch (error) {
      this.#screen?.stop();
      this.#screen = null;
      this.#showButtons();
      this.#fail(error);
    }
  }

  async toggle(kind) {
    try {
      const sending = !this.#sending[kind];
      if (sending && this.#local[kind] === null) {
        this.#local[kind] = await this.#capture(kind);
        if (this.#local[kind] === null) return;
        await this.#media.replace(kind, this.#local[kind]);
      } else if (kind === 'video') {
        // The camera's light goes out.
        this.#local.video.stop();
        this.#local.video = null;
        await this.#media.replace('video', null);
      } else {
        this.#local.audio.enabled = sending;
      }
      this.#sending[kind] = sending;
      this.#signalling.send({ type: 'toggle', [kind]: sending });
      this.#changeOwn();
    } catch (error) {
      this.#fail(error);
    }
  }

  #changeOwn() {
    Object.assign(this.#own, this.#sending);
    const tile = this.#tiles.get(this.#own.participant);
    tile.update(this.#own);
    tile.show([this.#local.video].filter(Boolean));
    this.#showButtons();
  }

  #showButtons() {
    for (const [kind, on, off] of [
      ['audio', 'Mute', 'Unmute'], ['video', 'Camera off', 'Camera on'],
    ]) {
      element(`toggle-${kind}`).textContent = this.#sending[kind] ? on : off;
    }
    element('share-screen').textContent = this.#screen === null ? 'Share screen' : 'Stop sharing';
  }

  async leave() {
    try {
      await this.#signalling.request({ type: 'leave' });
    } catch {
      // Whatever the server says, the person has left.
    }
    this.end(ENDED.left);
  }

  #fail(error) {
    console.error(error);
    showError(error);
  }

  #stopCapture() {
    for (const kind of ['audio', 'video']) this.#stop(kind);
    this.#screen?.stop();
    this.#screen = null;
  }

  #stop(kind) {
    this.#local[kind]?.stop();
    this.#local[kind] = null;
    this.#sending[kind] = false;
  }

  end(text) {
    this.#signalling.close();
    this.#media.close();
    this.#stopCapture();
    this.#sizes.disconnect();
    this.#removeTiles();
    if (call === this) {
      call = null;
      showForm(text);
    }
  }
}

function showForm(state) {
  element('call').hidden = element('controls').hidden = true;
  element('join').hidden = false;
  element('join').querySelector('button').disabled = false;
  for (const id of PUBLISHING) element(id).disabled = false;
  showState(state);
  element(element('room').value ? 'name' : 'room').focus();
}

element('join').addEventListener('submit', async (event) => {
  event.preventDefault();
  if (call !== null) return;
  const room = element('room').value;
  element('join').querySelector('button').disabled = true;
  showProblem('');
  history.replaceState(null, '', `/r/${room}${location.hash}`);
  const starting = new Call();
  call = starting;
  try {
    const wanted = { audio: element('with-audio').checked, video: element('with-video').checked };
    const preset = element('quality').value || undefined;
    await starting.start(room, element('name').value, wanted, preset);
    if (call !== starting) return;
    element('join').hidden = true;
    element('call').hidden = element('controls').hidden = false;
    element('toggle-audio').focus();
  } catch (error) {
    console.error(error);
    showError(error);
    starting.end('Not in a call');
  }
});

element('toggle-audio').addEventListener('click', () => call?.toggle('audio'));
element('toggle-video').addEventListener('click', () => call?.toggle('video'));
element('share-screen').addEventListener('click', () => call?.shareScreen());
element('leave').addEventListener('click', () => call?.leave());
addEventListener('pagehide', () => call?.leave());

element('room').value = decodeURIComponent(location.pathname.match(/^\/r\/([^/]+)$/)?.[1] ?? '');
showForm('');
offerPresets(element('quality')).catch((error) => console.warn('presets of quality', error));
