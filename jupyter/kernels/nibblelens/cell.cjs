'use strict';

/** Writes closer together than this become one message. */
const STREAM_MS = 50;
const STREAM_CHARACTERS = 1 << 16;
/** A display in place is repainted about 20 times a second at most: updates in between need not be sent. */
const UPDATE_MS = 50;

/** One run of a cell: what it prints and shows, and the signal by which it is stopped. */
class Cell {
  controller = new AbortController();
  /** 'running' → 'ending', once its code has ended → 'ended', once nothing more is to be said of it. */
  state = 'running';
  #publish;
  #stream = '';
  #text = '';
  #textSince = 0;
  #textTimer = null;
  #awaiting = new Set();
  #updates = new Map();
  #updatesTimer = null;

  /** `publish(type, content)` sends a message about this cell's request. */
  constructor(message, count, publish) {
    this.message = message;
    this.count = count;
    this.#publish = publish;
  }

  get signal() {
    return this.controller.signal;
  }

  /** Text printed to 'stdout' or 'stderr'. Timers do not run in a synchronous loop, so the clock is looked at as well. */
  print(stream, text) {
    if (text === '') return;
    if (stream !== this.#stream) this.#flushText();
    this.#stream = stream;
    if (this.#text === '') this.#textSince = performance.now();
    this.#text += text;
    const overdue = performance.now() - this.#textSince > STREAM_MS || this.#text.length > STREAM_CHARACTERS;
    if (overdue) this.#flushText();
    else this.#textTimer ??= setTimeout(() => this.#flushText(), STREAM_MS);
  }

  /** Shows a MIME bundle in an output of its own. */
  show(id, bundle) {
    this.#flushText();
    this.#publish('display_data', { data: bundle(), metadata: {}, transient: { display_id: id } });
  }

  /** Replaces what `show` showed. Only the newest of several updates in quick succession is made and sent. */
  update(id, bundle) {
    this.#updates.set(id, bundle);
    if (this.state === 'ended') this.#flushUpdates();
    else this.#updatesTimer ??= setTimeout(() => this.#flushUpdates(), UPDATE_MS);
  }

  /** tslab's `display`, whose content is that of a message already. */
  display(content, update) {
    this.#flushText();
    this.#publish(update ? 'update_display_data' : 'display_data', content);
  }

  stop() {
    this.controller.abort(new DOMException('The cell was stopped', 'AbortError'));
  }

  /** A value that the cell's code awaits. Once the cell was stopped this throws, so that nothing more is begun. */
  awaits(value) {
    this.signal.throwIfAborted();
    if (typeof value?.then !== 'function') return value;
    return new Promise((resolve, reject) => {
      this.#awaiting.add(reject);
      const settle = (how) => (result) => {
        this.#awaiting.delete(reject);
        how(result);
      };
      value.then(settle(resolve), settle(reject));
    });
  }

  /** Ends what the cell's code still awaits. */
  giveUp() {
    for (const reject of this.#awaiting) reject(this.signal.reason);
    this.#awaiting.clear();
  }

  flush() {
    this.#flushText();
    this.#flushUpdates();
  }

  #flushText() {
    clearTimeout(this.#textTimer);
    this.#textTimer = null;
    const text = this.#text;
    this.#text = '';
    if (text !== '') this.#publish('stream', { name: this.#stream, text });
  }

  #flushUpdates() {
    clearTimeout(this.#updatesTimer);
    this.#updatesTimer = null;
    const updates = [...this.#updates];
    this.#updates.clear();
    for (const [id, bundle] of updates) {
      this.#publish('update_display_data', { data: bundle(), metadata: {}, transient: { display_id: id } });
    }
  }
}

module.exports = { Cell };
