// What changes, as it changes: by a stream while this tab has one of three places, else by asking again and again.
//
// A browser opens six connections to a server, over all of its tabs. A seventh tab with a stream would wait for ever, and so
// would its questions. Three streams leave three connections for questions.

import { ask, Refusal, streamAddress } from "./api.js";

const PLACES = 3;
const POLL_MS = 1000;
const AWAY_POLL_MS = 2000;
/** Something comes every five seconds; a stream that is silent for longer is dead. */
const SILENT_MS = 20000;
/** A tab that is hidden for so long rests. */
const HIDDEN_MS = 30000;
/** How often a tab without a place looks for one. */
const PLACE_LOOK_MS = 10000;

export class Feed {
  /**
   * @param {{position: () => object, changed: (changes: object) => void, lost: (error: Error) => void, woken: () => void}} page
   */
  constructor(page) {
    this.page = page;
    this.source = null;
    this.release = null;
    this.timer = 0;
    this.heardAt = performance.now();
    this.hiddenTimer = 0;
    document.addEventListener("visibilitychange", () => this.visibilityChanged());
    setInterval(() => this.look(), PLACE_LOOK_MS);
    setInterval(() => this.watch(), 1000);
  }

  /** Begins anew from the page's position. */
  restart() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    if (document.hidden && this.isResting) return;
    if (this.release !== null) this.openStream();
    else {
      this.poll();
      this.look();
    }
  }

  openStream() {
    const source = new EventSource(streamAddress(this.page.position()));
    this.source = source;
    this.heardAt = performance.now();
    source.addEventListener("changes", (event) => {
      if (this.source === source) this.hear(JSON.parse(event.data));
    });
    // The browser tries again by itself, but not from where we are; and it does not say why.
    source.onerror = () => {
      if (this.source !== source) return;
      source.close();
      this.source = null;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.poll(true), POLL_MS);
    };
  }

  hear(changes) {
    this.heardAt = performance.now();
    this.page.changed(changes);
  }

  /** Asks once; then again, or goes on by a stream. */
  async poll(isAfterStream = false) {
    try {
      this.hear(await ask("changes", this.page.position()));
      if (isAfterStream && this.release !== null) {
        this.openStream();
        return;
      }
      this.again(POLL_MS);
    } catch (error) {
      this.page.lost(error);
      const isWaiting = !(error instanceof Refusal) || error.status >= 500;
      this.again(isWaiting ? AWAY_POLL_MS : PLACE_LOOK_MS, isAfterStream);
    }
  }

  again(delayMs, isAfterStream = false) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.source === null && !this.isResting) this.poll(isAfterStream);
    }, delayMs);
  }

  /** Takes a place if one is free. Without locks, as where the page is not secure, there are none. */
  async look() {
    if (this.release !== null || this.isResting || !navigator.locks) return;
    for (let place = 0; place < PLACES && this.release === null; place += 1) {
      await this.tryPlace(`streamgauge-live-${place}`);
    }
  }

  tryPlace(name) {
    return new Promise((tried) => {
      navigator.locks.request(name, { ifAvailable: true }, (lock) => {
        if (lock === null || this.release !== null) {
          tried();
          return undefined;
        }
        return new Promise((release) => {
          this.release = release;
          clearTimeout(this.timer);
          this.openStream();
          tried();
        });
      }).catch(tried);
    });
  }

  watch() {
    if (this.source !== null && performance.now() - this.heardAt > SILENT_MS) this.restart();
  }

  visibilityChanged() {
    clearTimeout(this.hiddenTimer);
    if (document.hidden) {
      this.hiddenTimer = setTimeout(() => this.rest(), HIDDEN_MS);
    } else if (this.isResting) {
      this.isResting = false;
      this.page.woken();
    }
  }

  rest() {
    this.isResting = true;
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    this.release?.();
    this.release = null;
  }
}
