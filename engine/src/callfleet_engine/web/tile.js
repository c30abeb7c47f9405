// A tile of the page: one person, or the screen that the person shares.

import { element, showProblem } from './page.js';

// The lower layers of a camera of 1280 pixels are so wide.
const LAYER_WIDTHS = [320, 640];

export class Tile {
  constructor(presence, { own = false, screen = false } = {}) {
    this.node = element('tile').content.cloneNode(true).firstElementChild;
    this.video = this.node.querySelector('video');
    this.node.dataset[screen ? 'screenOf' : 'participant'] = presence.participant;
    this.node.classList.toggle('own', own);
    this.node.classList.toggle('screen', screen);
    this.video.muted = own;
    this.own = own;
    this.screen = screen;
    // The highest layer that the server was asked for; null before it was.
    this.most = null;
    this.update(presence);
    element('tiles').append(this.node);
  }

  update({ name, identity, audio, video }) {
    const shown = name || identity || 'Somebody';
    this.node.querySelector('.name').textContent = this.own ? `${shown} (you)` : shown;
    if (this.screen) {
      this.node.querySelector('.sending').textContent = '– screen';
      return;
    }
    const held = [audio ? '' : 'muted', video ? '' : 'camera off'].filter(Boolean);
    this.node.querySelector('.sending').textContent = held.length ? `– ${held.join(', ')}` : '';
    this.node.classList.toggle('no-picture', !video);
  }

  show(tracks) {
    const present = this.video.srcObject?.getTracks() ?? [];
    if (present.length === tracks.length && tracks.every((t) => present.includes(t))) return;
    this.most = null;
    this.video.srcObject = new MediaStream(tracks);
    this.video.play().catch((error) => {
      // A newer stream interrupts; only a browser that wants a click needs one.
      if (error.name === 'NotAllowedError') {
        showProblem('The browser does not play sound yet.', 'Click anywhere on the page.');
        addEventListener('click', () => { this.video.play(); showProblem(''); }, { once: true });
      }
    });
  }

  // The highest layer that the tile can show.
  layer() {
    const { clientWidth, clientHeight } = this.video;
    const width = Math.max(clientWidth, clientHeight * (16 / 9)) * devicePixelRatio;
    const fitting = LAYER_WIDTHS.findIndex((widest) => width <= widest);
    return fitting < 0 ? LAYER_WIDTHS.length : fitting;
  }

  remove() {
    this.video.srcObject = null;
    this.node.remove();
  }
}
