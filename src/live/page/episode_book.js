/** The episodes that are held, newest first: of all series, or of one. It knows nothing of the page. */

import * as api from "./api.js";
import { identity } from "./names.js";

const PAGE = 50;

export class EpisodeBook {
  /** @type {Map<string, object>} */
  #byId = new Map();
  /** Changes that came while a page was loading are newer than the page. */
  #touched = new Set();

  /** @param {import("./names.js").Named} [series] of all series if left out */
  constructor(series) {
    this.series = series;
    this.hasMore = false;
    this.#oldest = undefined;
  }

  #oldest;

  /** @returns {object[]} newest first */
  get all() {
    return [...this.#byId.values()].sort((a, b) => b.since_ms - a.since_ms || (a.id < b.id ? 1 : -1));
  }

  /** @param {string} id */
  get(id) {
    return this.#byId.get(id) ?? null;
  }

  /** Loads the newest ones, or those before the ones that were loaded. */
  async load() {
    this.#touched.clear();
    const { episodes, more } = await api.episodes({ before: this.#oldest, limit: PAGE }, this.series);
    for (const episode of episodes) {
      if (!this.#touched.has(episode.id)) this.#byId.set(episode.id, episode);
      this.#oldest = Math.min(this.#oldest ?? Infinity, episode.since_ms);
    }
    this.hasMore = more;
  }

  /**
   * @param {object} episode new or changed
   * @returns {boolean} whether it belongs here
   */
  apply(episode) {
    if (this.series && identity(episode) !== identity(this.series)) return false;
    this.#byId.set(episode.id, episode);
    this.#touched.add(episode.id);
    return true;
  }

  /**
   * The episode that begins next to a time.
   * @param {number} time
   * @param {1 | -1} direction
   */
  neighbor(time, direction) {
    const ordered = direction > 0 ? this.all.reverse() : this.all;
    return ordered.find((episode) => (episode.since_ms - time) * direction > 0) ?? null;
  }

  /**
   * The episode that a time belongs to.
   * @param {number} time
   * @param {number} tolerance in milliseconds
   */
  at(time, tolerance = 0) {
    return (
      this.all.find(
        (episode) =>
          time >= episode.since_ms - tolerance && time <= (episode.until_ms ?? episode.newest_ms) + tolerance,
      ) ?? null
    );
  }
}
