/**
 * Which range of time is on view, and whether it follows the newest reading. Event time only: a replay runs at its own
 * pace.
 */

/** So near to the right, zooming in keeps following. */
const NEAR_NOW = 0.15;
/** How much of the width stays free at the right of the newest reading. */
const MARGIN = 0.03;

export class View {
  /** @type {{oldest: number, newest: number, least: number}} */
  #limits = { oldest: 0, newest: 1, least: 1 };
  /** Kept where there is not so much to see yet. */
  #wantedWidth = 1;

  constructor() {
    this.from = 0;
    this.to = 1;
    this.isFollowing = true;
  }

  get width() {
    return this.to - this.from;
  }

  /**
   * What there is to see. A view that follows moves on with it.
   * @param {{oldest: number, newest: number, least: number}} limits the first and last time, and the least width
   */
  limit(limits) {
    this.#limits = { ...limits, newest: Math.max(limits.newest, limits.oldest + limits.least) };
    if (this.isFollowing) this.follow();
  }

  /** @param {number} [width] */
  follow(width = this.#wantedWidth) {
    this.isFollowing = true;
    this.#wantedWidth = width;
    const bounded = this.#bounded(width);
    this.to = this.#limits.newest + bounded * MARGIN;
    this.from = this.to - bounded;
  }

  /** @param {number} part of the width, to the right if positive */
  pan(part) {
    const wasAtEnd = this.isFollowing;
    this.#place(this.from + part * this.width, this.width);
    this.isFollowing = wasAtEnd && part >= 0;
    if (this.isFollowing) this.follow();
  }

  /**
   * Makes the view so many times as wide. A view that follows goes on doing so, unless what is zoomed into is elsewhere.
   * @param {number} factor
   * @param {number} at a time that keeps its place
   */
  zoom(factor, at) {
    if (this.isFollowing && (factor >= 1 || at >= this.to - NEAR_NOW * this.width)) {
      this.follow(this.width * factor);
      return;
    }
    this.isFollowing = false;
    const width = this.#bounded(this.width * factor);
    this.#wantedWidth = width;
    const part = (at - this.from) / this.width;
    this.#place(at - part * width, width);
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  show(from, to) {
    this.isFollowing = false;
    this.#wantedWidth = to - from;
    this.#place(from, to - from);
  }

  #bounded(width) {
    const { oldest, newest, least } = this.#limits;
    return Math.min(Math.max(width, least), Math.max((newest - oldest) * 1.1, least));
  }

  #place(from, width) {
    const { oldest, newest } = this.#limits;
    const bounded = this.#bounded(width);
    const first = oldest - bounded * 0.5;
    const last = newest + bounded * MARGIN - bounded;
    this.from = Math.min(Math.max(from, Math.min(first, last)), Math.max(first, last));
    this.to = this.from + bounded;
  }
}
