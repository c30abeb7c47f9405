// The page: join form, tiles, buttons, and what went wrong in words.

import { Media } from './media.js';
import { Refused, Signalling } from './signalling.js';

const element = (id) => document.getElementById(id);

const ENDED = {
  left: 'You have left the call.',
  ended: 'The call has been ended for everybody.',
  replaced: 'You have joined this call from another place.',
  media_lost: 'The connection for sound and picture was lost. Join again to go on.',
  pod_terminated: 'The server of this call was stopped. Join again to go on.',
};

let call = null;

function token() {
  return new URLSearchParams(location.hash.slice(1)).get('token') ?? undefined;
}

function showState(text) {
  element('state').textContent = text;
}

function showProblem(message, remedy = '') {
  element('problem-message').textContent = message;
  element('problem-remedy').textContent = remedy;
  element('problem').hidden = !message;
}

function showError(error) {
  showProblem(error.message, error instanceof Refused ? error.remedy : '');
}

class Tile {
  constructor(presence, own = false) {
    this.node = element('tile').content.cloneNode(true).firstElementChild;
    this.video = this.node.querySelector('video');
    this.node.dataset.participant = presence.participant;
    this.node.classList.toggle('own', own);
    this.video.muted = own;
    this.own = own;
    this.update(presence);
    element('tiles').append(this.node);
  }

  update({ name, identity, audio, video }) {
    const shown = name || identity || 'Somebody';
    this.node.querySelector('.name').textContent = this.own ? `${shown} (you)` : shown;
    const held = [audio ? '' : 'muted', video ? '' : 'camera off'].filter(Boolean);
    this.node.querySelector('.sending').textContent = held.length ? `– ${held.join(', ')}` : '';
    this.node.classList.toggle('no-picture', !video);
  }

  show(tracks) {
    const present = this.video.srcObject?.getTracks() ?? [];
    if (present.length === tracks.length && tracks.every((t) => present.includes(t))) return;
    this.video.srcObject = new MediaStream(tracks);
    this.video.play().catch((error) => {
      // A newer stream interrupts; only a browser that wants a click needs one.
      if (error.name === 'NotAllowedError') {
        showProblem('The browser does not play sound yet.', 'Click anywhere on the page.');
        addEventListener('click', () => { this.video.play(); showProblem(''); }, { once: true });
      }
    });
  }

  remove() {
    this.video.srcObject = null;
    this.node.remove();
  }
}

class Call {
  #signalling = new Signalling();
  #media = new Media(this.#signalling);
  #local = { audio: null, video: null };
  #sending = { audio: false, video: false };
  #tiles = new Map();
  #streams = new Map();
  #own = null;
  // Of the call whose media flows; null while that begins.
  #epoch = null;

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

  async start(room, name, wanted) {
    showState('Asking for microphone and camera …');
    for (const kind of ['audio', 'video']) {
      if (wanted[kind]) this.#local[kind] = await capture(kind);
      this.#sending[kind] = this.#local[kind] !== null;
    }
    showState('Joining …');
    const joined = await this.#signalling.open({ room, name, token: token() });
    showState('In the call');
    element('title').textContent = `Room ${joined.room}`;
    await this.#enter(joined);
  }

  // Take `joined` as a newcomer: everything begins.
  async #enter(joined) {
    this.#epoch = null;
    this.#media.close();
    this.#media.configure(joined.iceServers, joined.iceTransportPolicy);
    this.#removeTiles();
    this.#own = { participant: joined.participant, name: joined.name, ...this.#sending };
    this.#tile(this.#own, true).show([this.#local.video].filter(Boolean));
    for (const presence of joined.participants) this.#tile(presence);
    this.#showButtons();
    try {
      await this.#media.publish(this.#local);
      this.#signalling.send({ type: 'toggle', ...this.#sending });
    } catch (error) {
      if (error.code !== 'not_permitted') throw error;
      this.#stopCapture();
      this.#media.stopPublishing();
      showProblem('You are listening only.', error.remedy);
      element('toggle-audio').disabled = element('toggle-video').disabled = true;
      this.#changeOwn();
    }
    this.#epoch = joined.epoch;
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
      for (const presence of joined.participants) this.#tile(presence).update(presence);
      this.#signalling.send({ type: 'toggle', ...this.#sending });
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
      if (message.type === 'ended') this.end(ENDED[message.reason] ?? 'The call is over.');
      if (message.type === 'error') showProblem(message.message, message.remedy);
    } catch (error) {
      this.#fail(error);
    }
  }

  #participant(message) {
    if (message.event === 'left') this.#removeTile(message.participant);
    else this.#tile(message).update(message);
    this.#showStreams();
  }

  #tile(presence, own = false) {
    const id = presence.participant;
    if (!this.#tiles.has(id)) this.#tiles.set(id, new Tile(presence, own));
    return this.#tiles.get(id);
  }

  #removeTile(id) {
    this.#tiles.get(id)?.remove();
    this.#tiles.delete(id);
  }

  #removeTiles() {
    for (const id of [...this.#tiles.keys()]) this.#removeTile(id);
    this.#streams = new Map();
  }

  #showStreams() {
    for (const [id, tile] of this.#tiles) {
      if (!tile.own) tile.show(this.#streams.get(id) ?? []);
    }
  }

  async toggle(kind) {
    try {
      const sending = !this.#sending[kind];
      if (sending && this.#local[kind] === null) {
        this.#local[kind] = await capture(kind);
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
    for (const kind of ['audio', 'video']) {
      this.#local[kind]?.stop();
      this.#local[kind] = null;
      this.#sending[kind] = false;
    }
  }

  end(text) {
    this.#signalling.close();
    this.#media.close();
    this.#stopCapture();
    this.#removeTiles();
    if (call === this) {
      call = null;
      showForm(text);
    }
  }
}

// A track of the microphone or camera, or null with the reason shown.
async function capture(kind) {
  const name = kind === 'audio' ? 'microphone' : 'camera';
  if (!navigator.mediaDevices) {
    showProblem(
      `The browser gives no ${name} to a page without HTTPS.`,
      'Open the page by https:// or as localhost.',
    );
    return null;
  }
  try {
    const wanted = kind === 'audio' ? true : { width: { ideal: 1280 }, height: { ideal: 720 } };
    const stream = await navigator.mediaDevices.getUserMedia({ [kind]: wanted });
    return stream.getTracks()[0];
  } catch (error) {
    showProblem(
      `There is no ${name} to use (${error.name}).`,
      error.name === 'NotAllowedError'
        ? `Allow this page to use the ${name} and switch it on again.`
        : `Connect a ${name} that no other program uses.`,
    );
    return null;
  }
}

function showForm(state) {
  element('call').hidden = element('controls').hidden = true;
  element('join').hidden = false;
  element('join').querySelector('button').disabled = false;
  element('toggle-audio').disabled = element('toggle-video').disabled = false;
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
    await starting.start(room, element('name').value, wanted);
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
element('leave').addEventListener('click', () => call?.leave());
addEventListener('pagehide', () => call?.leave());

element('room').value = decodeURIComponent(location.pathname.match(/^\/r\/([^/]+)$/)?.[1] ?? '');
showForm('');
