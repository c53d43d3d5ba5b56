/** The middle of the page: the plot of the series that is looked at, its buttons, read-out and table. */

import { Refused } from "./api.js";
import { byId, element, setText } from "./elements.js";
import { listenToGestures } from "./gestures.js";
import { lowerBound } from "./history.js";
import { identity } from "./names.js";
import { Plot } from "./plot.js";
import { averagesText, describe } from "./plot_texts.js";
import { announce, showAverage, showExplanation, showReading } from "./read_out.js";
import { ReadingTable } from "./reading_table.js";
import { RANGES, WatchedSeries } from "./watched_series.js";

/** An anomaly is picked by a click so near to it. */
const PICK_PX = 12;
/** Of the width, what lies before an episode that is shown. */
const BEFORE_EPISODE = 0.5;
const ZOOM = 2;
const PAN = 0.5;

export class PlotPane {
  /** @type {WatchedSeries | null} */
  watched = null;
  about = { unit: "", threshold: Infinity };
  /** @type {string | null} the episode that is looked at */
  openId = null;
  #cursorTime = null;
  #isReloading = false;
  #table = new ReadingTable();
  #onSelection;

  /**
   * @param {() => void} onSelection called when other changes are wanted than before
   * @param {(id: string) => void} onPick called with the episode that was clicked
   */
  constructor(onSelection, onPick) {
    this.#onSelection = onSelection;
    this.plot = new Plot(byId("plot"), (time) => this.#cursorMoved(time));
    listenToGestures(this.plot.surface, {
      pan: (part) => this.pan(part),
      zoom: (factor, x) => this.#zoom(factor, this.plot.timeAt(x)),
      pick: (x) => this.#pick(x, onPick),
    });
    this.plot.surface.addEventListener("pointermove", () => this.plot.pin(null));
    for (const [name, span] of [...Object.entries(RANGES), ["all", Infinity]]) {
      byId("ranges").append(
        element("button", { type: "button", "data-span": span, click: () => this.#setSpan(span) }, name),
      );
    }
    byId("zoom-in").addEventListener("click", () => this.zoom(1 / ZOOM));
    byId("zoom-out").addEventListener("click", () => this.zoom(ZOOM));
    byId("back-to-now").addEventListener("click", () => this.backToNow());
  }

  get selection() {
    return this.watched?.selection ?? null;
  }

  /** Nothing is there to look at. */
  waitForReadings() {
    message("No readings yet. They appear here as they come.");
  }

  /**
   * Shows another series.
   * @param {import("./names.js").Named} series
   */
  async watch(series) {
    const watched = new WatchedSeries(series, () => watched === this.watched && this.draw());
    this.watched = watched;
    this.#cursorTime = null;
    this.plot.pin(null);
    message("Loading…");
    try {
      await this.reload();
    } catch (error) {
      if (watched === this.watched) message(`Cannot load the readings: ${error.message}`);
    }
  }

  /** Loads what is looked at anew. */
  async reload() {
    const { watched } = this;
    if (!watched) return;
    try {
      await watched.load(width());
    } catch (error) {
      if (!(error instanceof Refused && error.status === 404)) throw error;
      if (watched === this.watched) message("No readings of this series yet.");
      return;
    }
    if (watched !== this.watched) return;
    message(watched.history.length ? null : "No readings of this series are held.");
    this.draw();
    this.#onSelection();
  }

  /** @param {object} points that came */
  apply(points) {
    const { watched } = this;
    if (!watched?.history || identity(points) !== identity(watched.series)) return;
    if (!watched.apply(points)) this.#reloadOnce();
    if (watched.history.length) message(null);
    this.draw();
  }

  /** @param {object[]} changed among which is the one that is looked at, if its first reading has come */
  applySeries(changed) {
    const { watched } = this;
    if (watched && !watched.history && changed.some((series) => identity(series) === identity(watched.series)))
      this.#reloadOnce();
  }

  async #reloadOnce() {
    if (this.#isReloading) return;
    this.#isReloading = true;
    try {
      await this.reload();
    } catch {
      // The header says that the server is away. The next change shows again that something is missing.
    }
    this.#isReloading = false;
  }

  /** Draws all that depends on the readings and on what of them is on view. */
  draw() {
    const { watched } = this;
    if (!watched?.history) return;
    const { history, averages, view, book } = watched;
    const { threshold } = this.about;
    this.plot.show({ history, averages, view, episodes: book.all, openId: this.openId, threshold });
    this.#table.show(history, view);
    this.#showReading();
    watched.moved(width());
    byId("back-to-now").hidden = view.isFollowing;
    byId("plot").setAttribute("aria-label", describe(watched));
    setText(byId("average-name"), averagesText(watched));
    for (const button of byId("ranges").children) {
      button.setAttribute("aria-pressed", String(Math.abs(view.width / button.dataset.span - 1) < 0.01));
    }
  }

  /**
   * Moves to an episode, unless it is on view already.
   * @param {object} episode
   */
  showEpisode(episode) {
    const { view, history } = this.watched;
    if (!history) return;
    const end = episode.until_ms ?? episode.newest_ms;
    if (episode.since_ms < view.from || end > view.to) {
      const span = Math.max(view.width, 2 * (end - episode.since_ms));
      view.show(episode.since_ms - span * BEFORE_EPISODE, episode.since_ms + span * (1 - BEFORE_EPISODE));
    }
    this.draw();
    this.#pin(history.nearest(episode.since_ms));
  }

  /**
   * @param {1 | -1} direction
   * @returns {object | null} the episode next to the open one, or else to the cursor
   */
  neighborEpisode(direction) {
    if (!this.watched) return null;
    const { book, view } = this.watched;
    const edge = direction > 0 ? view.from : view.to;
    return book.neighbor(book.get(this.openId)?.since_ms ?? this.#cursorTime ?? edge, direction);
  }

  /** @param {1 | -1} direction */
  moveCursor(direction) {
    const history = this.watched?.history;
    if (!history?.length) return;
    const { view } = this.watched;
    const from =
      this.#cursorTime === null
        ? history.nearest(view.to)
        : history.neighbor(history.nearest(this.#cursorTime), direction);
    if (from === null) return;
    const time = history.columns.time[from];
    if (time < view.from || time > view.to) this.pan(direction * PAN);
    this.#pin(from);
  }

  /** @param {number} part of the width */
  pan(part) {
    this.#change((view) => view.pan(part));
  }

  /** @param {number} factor */
  zoom(factor) {
    const { view } = this.watched ?? {};
    if (view) this.#zoom(factor, this.#cursorTime ?? (view.isFollowing ? view.to : (view.from + view.to) / 2));
  }

  backToNow() {
    this.plot.pin(null);
    this.#change((view) => view.follow());
  }

  #zoom(factor, at) {
    this.#change((view) => view.zoom(factor, at));
  }

  #setSpan(span) {
    this.#change((view) => {
      if (view.isFollowing || span === Infinity) view.follow(span);
      else view.zoom(span / view.width, (view.from + view.to) / 2);
    });
  }

  #change(change) {
    if (!this.watched?.history) return;
    change(this.watched.view);
    this.draw();
  }

  /** Said only here: under a pointer, the readings of a view that follows change by themselves. */
  #pin(index) {
    if (index === null) return;
    this.plot.pin(this.watched.history.columns.time[index]);
    announce(this.#showReading());
  }

  #pick(x, onPick) {
    const tolerance = this.plot.timeAt(PICK_PX) - this.plot.timeAt(0);
    const episode = this.watched?.book.at(this.plot.timeAt(x), tolerance);
    if (episode && episode.id !== this.openId) onPick(episode.id);
  }

  #cursorMoved(time) {
    this.#cursorTime = time;
    this.#showReading();
  }

  #showReading() {
    const { history, averages, book, view } = this.watched ?? {};
    showExplanation(null, false);
    if (!history) return "";
    const isBefore = this.#cursorTime !== null && this.#cursorTime < (history.oldest ?? Infinity);
    const window = isBefore && averages ? lowerBound(averages.end, this.#cursorTime) : Infinity;
    if (window < averages?.start.length) return showAverage(averages, window, this.about);
    const index = this.#cursorTime === null ? history.neighbor(history.length, -1) : history.nearest(this.#cursorTime);
    const sentence = showReading(history, index, this.about);
    const isAnomaly = index !== null && history.columns.is_anomaly[index] === 1;
    const episode = isAnomaly ? book.at(history.columns.time[index]) : null;
    if (this.#cursorTime !== null) showExplanation(episode, this.#cursorTime < (view.from + view.to) / 2);
    return episode ? `${sentence}: ${episode.explanation}` : sentence;
  }
}

/** Of the plot, in pixels. */
const width = () => byId("plot").clientWidth || 800;

function message(text) {
  byId("plot-message").hidden = text === null;
  setText(byId("plot-message"), text ?? "");
}
