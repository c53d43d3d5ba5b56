/**
 * The changes as they come: by a stream while this tab holds one of three locks, else by asking every second. Browsers
 * allow six connections to a server over all tabs, so with a stream in each of them the seventh would wait for ever.
 */

import { Refused, changes, changesAddress } from "./api.js";

const LOCKS = [0, 1, 2].map((index) => `streamgauge-live-${index}`);
const POLL_MS = 1000;
/** While the server is away, and where it has no place for a stream. */
const SLOW_POLL_MS = 2000;
/** A stream brings something every 5 s; one that is silent for so long is broken without having said so. */
const SILENT_MS = 15_000;
const RETRY_LOCK_MS = 10_000;
const RETRY_REFUSED_MS = 30_000;
const HIDDEN_MS = 30_000;

/**
 * @typedef {{series: import("./names.js").Named, cursor: number}} Selection
 * @typedef {"connected" | "away" | "signed-out"} Connection
 */

export class Changes {
  #seen = 0;
  /** @type {() => (Selection | null)} */
  #selection;
  #onChanges;
  #onConnection;
  #interrupt = () => {};
  #streamAfter = 0;
  #isRefused = false;
  #isAway = false;

  /**
   * @param {() => (Selection | null)} selection the series that is looked at, with the number of its next reading
   * @param {(changes: object) => void} onChanges
   * @param {(connection: Connection) => void} onConnection
   */
  constructor(selection, onChanges, onConnection) {
    this.#selection = selection;
    this.#onChanges = onChanges;
    this.#onConnection = onConnection;
  }

  /** Asks once and for all that is loaded afterwards: later changes count from here. */
  async begin() {
    this.#take(await changes(changesAddress("api/changes", this.#seen, null)));
  }

  /** Another series is looked at. */
  restart() {
    this.#interrupt();
  }

  /** Runs as long as the page is there. */
  async run() {
    onWaking(() => this.#interrupt());
    for (;;) {
      if (isAsleep()) await this.#pause(HIDDEN_MS);
      else if (!this.#mayStream() || !(await withLock(() => this.#stream()))) await this.#poll();
    }
  }

  #mayStream() {
    return !this.#isAway && performance.now() >= this.#streamAfter;
  }

  #take(answer) {
    this.#seen = answer.seen;
    this.#isAway = false;
    this.#onConnection("connected");
    this.#onChanges(answer);
  }

  /** Asks, then waits until it is time to ask again. */
  async #poll() {
    if (this.#mayStream()) this.#streamAfter = performance.now() + RETRY_LOCK_MS;
    const wasAway = this.#isAway;
    try {
      this.#take(await changes(changesAddress("api/changes", this.#seen, this.#selection())));
      if (wasAway) this.#streamAfter = 0;
    } catch (error) {
      this.#isAway = true;
      this.#onConnection(error instanceof Refused && error.status === 401 ? "signed-out" : "away");
    }
    await this.#pause(this.#isAway || this.#isRefused ? SLOW_POLL_MS : POLL_MS);
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Reads the stream until it breaks. It does not say why, but asking once afterwards does. */
  async #stream() {
    let hasBegun = false;
    const source = new EventSource(changesAddress("events", this.#seen, this.#selection()));
    const isBroken = await new Promise((resolve) => {
      let watchdog = setTimeout(resolve, SILENT_MS, true);
      this.#interrupt = () => resolve(false);
      source.addEventListener("error", () => resolve(true));
      source.addEventListener("changes", (event) => {
        hasBegun = true;
        clearTimeout(watchdog);
        watchdog = setTimeout(resolve, SILENT_MS, true);
        this.#take(JSON.parse(event.data));
      });
    });
    source.close();
    this.#isRefused = isBroken && !hasBegun;
    if (isBroken) this.#streamAfter = performance.now() + (hasBegun ? POLL_MS : RETRY_REFUSED_MS);
  }
}

/**
 * Runs while holding one of the locks.
 * @param {() => Promise<void>} run
 * @returns {Promise<boolean>} false if none is free, and where there are no locks because the connection is not secure
 */
async function withLock(run) {
  if (!navigator.locks) return false;
  for (const name of LOCKS) {
    const hasRun = await navigator.locks.request(name, { ifAvailable: true }, async (lock) => {
      if (lock) await run();
      return lock !== null;
    });
    if (hasRun) return true;
  }
  return false;
}

let hiddenSince = null;
const isAsleep = () => hiddenSince !== null && performance.now() - hiddenSince >= HIDDEN_MS;

/** Calls when the page has fallen asleep or is awake again. A tab that is only passed by keeps its stream. */
function onWaking(onChange) {
  document.addEventListener("visibilitychange", () => {
    const wasAsleep = isAsleep();
    hiddenSince = document.hidden ? performance.now() : null;
    if (document.hidden) setTimeout(() => isAsleep() && onChange(), HIDDEN_MS + 10);
    else if (wasAsleep) onChange();
  });
}
