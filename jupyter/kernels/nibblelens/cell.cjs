'use strict';

/** A display in place is repainted about 20 times a second at most: updates in between need not be sent. */
const UPDATE_MS = 50;

/** One run of a cell: what it shows, and the signal by which it is stopped. */
class Cell {
  controller = new AbortController();
  /** 'running' → 'ending', once its code has ended → 'ended', once nothing more is to be said of it. */
  state = 'running';
  #publish;
  #awaiting = new Set();
  #updates = new Map();
  #updatesTimer = null;
  #updatesSent = 0;

  /** `publish(type, content)` sends a message about this cell's request. */
  constructor(message, count, publish) {
    this.message = message;
    this.count = count;
    this.#publish = publish;
  }

  get signal() {
    return this.controller.signal;
  }

  /** Shows a MIME bundle in an output of its own. */
  show(id, bundle) {
    this.#publish('display_data', { data: bundle(), metadata: {}, transient: { display_id: id } });
  }

  /**
   * Replaces what `show` showed. Only the newest of several updates in quick succession is made and sent. Timers do not
   * run in a synchronous loop, so the clock is looked at as well.
   */
  update(id, bundle) {
    this.#updates.set(id, bundle);
    if (this.state === 'ended' || performance.now() - this.#updatesSent > UPDATE_MS) this.flush();
    else this.#updatesTimer ??= setTimeout(() => this.flush(), UPDATE_MS);
  }

  /** tslab's `display`, whose content is that of a message already. */
  display(content, update) {
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

  /** Sends the updates that wait. */
  flush() {
    clearTimeout(this.#updatesTimer);
    this.#updatesTimer = null;
    this.#updatesSent = performance.now();
    const updates = [...this.#updates];
    this.#updates.clear();
    for (const [id, bundle] of updates) {
      this.#publish('update_display_data', { data: bundle(), metadata: {}, transient: { display_id: id } });
    }
  }
}

module.exports = { Cell };
