// Signalling: docs/reference/contracts.md, "Signalling". Keeps one WebSocket open and resumes
// the participant when it breaks.

const PROTOCOL = 'callfleet.v1';
const ANSWER_MS = 15_000;
const RESUME_FOR_MS = 30_000;
const MAX_BACKOFF_MS = 5_000;

export class Refused extends Error {
  constructor({ code, message, remedy, retryAfterMs }) {
    super(message);
    this.code = code;
    this.remedy = remedy;
    this.retryAfterMs = retryAfterMs;
  }
}

export class Signalling extends EventTarget {
  // Events: `message` (detail: the message), `interrupted`, `resumed` (detail: `joined`),
  // `closed` (detail: why, an Error).
  #join;
  #socket = null;
  #resume = null;
  #waiting = new Map();
  #nextId = 1;
  #interruptedAt = null;
  #attempt = 0;
  #over = false;

  // Open and join; gives `joined`. Throws Refused or Error.
  async open(join) {
    this.#join = join;
    try {
      return await this.#connect();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  async #connect() {
    const url = new URL('/api/v1/signal', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url, PROTOCOL);
    this.#socket = socket;
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onclose = () => reject(new Error('The call server cannot be reached.'));
    });
    socket.onmessage = ({ data }) => this.#received(JSON.parse(data));
    socket.onclose = () => this.#lost(socket, 0);
    const resume = this.#resume ? { resume: this.#resume } : {};
    const joined = await this.request({ type: 'join', ...this.#join, ...resume });
    this.#resume = joined.resume;
    this.#interruptedAt = null;
    this.#attempt = 0;
    return joined;
  }

  // Send a message that is answered. Throws Refused or Error.
  request(message) {
    if (!this.#speaksFor(message)) {
      return Promise.reject(new Error('The connection to the call server broke.'));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error('The call server did not answer in time.'));
      }, ANSWER_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.send({ id, ...message });
    });
  }

  // Send a message that is not answered; dropped while the socket is away.
  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN && this.#speaksFor(message)) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  // Until the new socket has joined, only that: the call may be on another pod by then, where what
  // was meant for the former one would do harm.
  #speaksFor(message) {
    return this.#interruptedAt === null || message.type === 'join';
  }

  close() {
    this.#over = true;
    this.#socket?.close();
    this.#rejectWaiting();
  }

  #received(message) {
    const waiting = this.#waiting.get(message.id);
    if (waiting) {
      this.#waiting.delete(message.id);
      clearTimeout(waiting.timer);
      if (message.type === 'error') waiting.reject(new Refused(message));
      else waiting.resolve(message);
    } else if (message.type === 'reconnect') {
      this.#resume = message.resume ?? this.#resume;
      this.#lost(this.#socket, message.afterMs, true);
    } else {
      this.dispatchEvent(new CustomEvent('message', { detail: message }));
    }
  }

  // `asked`: the server has chosen the moment, so that not all come at once.
  #lost(socket, afterMs, asked = false) {
    if (this.#over || socket !== this.#socket) return;
    // Given up here, whatever comes of it: two that join would drive one another out.
    this.#socket = null;
    socket.onclose = socket.onmessage = null;
    socket.close();
    this.#rejectWaiting();
    this.#interruptedAt ??= Date.now();
    this.dispatchEvent(new Event('interrupted'));
    const backoff = Math.min(500 * 2 ** this.#attempt++, MAX_BACKOFF_MS);
    const wait = asked ? afterMs : Math.max(afterMs, backoff * (0.5 + Math.random() / 2));
    setTimeout(() => this.#reopen(), wait);
  }

  async #reopen() {
    if (this.#over) return;
    try {
      const joined = await this.#connect();
      this.dispatchEvent(new CustomEvent('resumed', { detail: joined }));
    } catch (error) {
      if (this.#over) return;
      const retry = !(error instanceof Refused) || error.retryAfterMs !== undefined;
      if (retry && Date.now() - this.#interruptedAt < RESUME_FOR_MS) {
        // Without a socket the next try is under way: it was lost while it joined.
        if (this.#socket !== null) this.#lost(this.#socket, error.retryAfterMs ?? 0);
      } else {
        this.close();
        this.dispatchEvent(new CustomEvent('closed', { detail: error }));
      }
    }
  }

  #rejectWaiting() {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new Error('The connection to the call server broke.'));
    }
    this.#waiting.clear();
  }
}
