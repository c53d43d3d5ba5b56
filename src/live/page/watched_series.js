/** The series that is looked at: its readings, averages and episodes, and the part of them that is on view. */

import * as api from "./api.js";
import { EpisodeBook } from "./episode_book.js";
import { History } from "./history.js";
import { View } from "./view.js";

const HOUR_MS = 3_600_000;
/** The widths that are offered, by the names of their buttons. */
export const RANGES = {
  "1 h": HOUR_MS,
  "6 h": 6 * HOUR_MS,
  "1 d": 24 * HOUR_MS,
  "7 d": 168 * HOUR_MS,
  "30 d": 720 * HOUR_MS,
};
/** So many readings are on view at first, about. */
const FIRST_READINGS = 250;
const LEAST_READINGS = 5;
/** What is free on both sides of a stretch that is shown whole. */
const ROOM = 1.08;
/** Beyond so many, what is out of view is thinned again. */
const MOST_ROWS = 60_000;
/** The server answers with so many averages at most. */
const MOST_AVERAGES = 5000;
const DETAIL_MS = 200;
const AVERAGES_MS = 5000;

export class WatchedSeries {
  /** @type {History | null} */
  history = null;
  averages = null;
  averagesError = null;
  view = new View();
  #detail = null;
  #detailTimer = 0;
  #averagesAfter = 0;
  #onChange;

  /**
   * @param {import("./names.js").Named} series
   * @param {() => void} onChange called when more of it is there
   */
  constructor({ key, measure }, onChange) {
    this.series = { key, measure };
    this.book = new EpisodeBook(this.series);
    this.#onChange = onChange;
  }

  /** @returns {import("./changes.js").Selection | null} */
  get selection() {
    return this.history && { series: this.series, cursor: this.history.cursor };
  }

  /**
   * Loads all of it, anew if it was loaded before.
   * @param {number} width of the plot in pixels
   */
  async load(width) {
    const isFirst = this.history === null;
    const book = new EpisodeBook(this.series);
    const [points] = await Promise.all([api.points(this.series, { width }), book.load(), this.#loadAverages({})]);
    for (const episode of this.book.all) if (!book.get(episode.id)) book.apply(episode);
    this.book = book;
    this.history = new History(points);
    this.#detail = null;
    this.#limit();
    if (isFirst) this.view.follow(firstWidth(this.history));
  }

  /**
   * @param {object} points that came
   * @returns {boolean} false if some are missing, or too many are held: it has to be loaded again
   */
  apply(points) {
    if (!this.history.append(points)) return false;
    this.#limit();
    return this.history.length < MOST_ROWS || !this.view.isFollowing;
  }

  /**
   * The view has moved: what it needs and is not there is loaded once it rests.
   * @param {number} width of the plot in pixels
   */
  moved(width) {
    clearTimeout(this.#detailTimer);
    this.#detailTimer = setTimeout(() => this.#loadMore(width), DETAIL_MS);
  }

  async #loadMore(width) {
    try {
      await Promise.all([this.#loadDetail(width), this.#refreshAverages()]);
    } catch {
      // The header says that the server is away; the next move tries again.
    }
  }

  async #loadDetail(width) {
    const { from, to } = this.view;
    const { history } = this;
    if (!history.isThinned || this.#isDetailed(from, to)) return;
    const range = { from: from - (to - from) / 2, to: to + (to - from) / 2 };
    const points = await api.points(this.series, { ...range, width: 2 * width });
    if (history !== this.history) return;
    history.replace(points, range.from, range.to);
    const reachesEnd = range.to >= history.newest;
    this.#detail = {
      from: range.from,
      to: reachesEnd ? Infinity : range.to,
      width: to - from,
      isThinned: points.is_thinned,
    };
    this.#onChange();
  }

  #isDetailed(from, to) {
    const detail = this.#detail;
    if (!detail || from < detail.from || to > detail.to) return false;
    return !detail.isThinned || to - from > detail.width / 3;
  }

  #limit() {
    const { history, averages } = this;
    const first = Math.min(history.oldest ?? Infinity, averages?.start[0] ?? Infinity);
    const newest = history.length ? history.newest : averages?.end.at(-1);
    if (newest == null || first === Infinity) return;
    this.view.limit({ oldest: first, newest, least: Math.max(LEAST_READINGS * history.usualStep, 1000) });
  }

  /** Averages follow when a window of them is over, and where more are held than were sent. */
  async #refreshAverages() {
    const { averages, history, view } = this;
    if (!averages || performance.now() < this.#averagesAfter) return;
    const isCut = averages.start.length >= MOST_AVERAGES;
    const isOutside = isCut && (view.from < averages.start[0] || view.to > averages.end.at(-1) + averages.window_ms);
    const isOver = history.newest > (averages.end.at(-1) ?? -Infinity) + averages.window_ms;
    if (!isOutside && !isOver) return;
    await this.#loadAverages(
      isOutside && !view.isFollowing ? { from: view.from - view.width, to: view.to + view.width } : {},
    );
    this.#limit();
    this.#onChange();
  }

  async #loadAverages(range) {
    this.#averagesAfter = performance.now() + AVERAGES_MS;
    try {
      this.averages = await api.averages(this.series, range);
      this.averagesError = null;
    } catch (error) {
      if (!(error instanceof api.Refused)) throw error;
      this.averagesError = error.message;
    }
  }
}

/** A width on which the newest readings are: the least offered, or as many as there are since a gap. */
function firstWidth(history) {
  const { time } = history.columns;
  const last = time.length - 1;
  if (last < 0) return HOUR_MS;
  let first = last;
  while (first > 0 && last - first < FIRST_READINGS && !history.isGap(first - 1)) first -= 1;
  const span = time[last] - time[first];
  if (first > 0 && history.isGap(first - 1)) return Math.max(span * ROOM, HOUR_MS);
  return Object.values(RANGES).find((width) => width >= span) ?? span;
}
