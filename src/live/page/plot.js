// The plot: readings with their expected band, averages of the table behind, marks on top. It follows the newest reading until
// somebody moves it.

import { ask } from "./api.js";
import { byId, debounced, setText } from "./dom.js";
import { number, quantity, shownTimeZone, time } from "./format.js";
import { listenForGestures } from "./gestures.js";
import { colours, drawAverages, drawMarks, isUnusual } from "./marks.js";
import { Readings } from "./readings.js";

/** Readings of the stretch that is shown at first. */
const FIRST_READINGS = 400;
const SHORTEST_MS = 2000;
const LONGEST_MS = 20 * 366 * 86400000;
/** What is free behind the newest reading, of the width. */
const ROOM = 0.03;
const RELOAD_MS = 250;
const READ_OUT_MS = 350;
const ZOOM = 1.6;
const PAN = 0.25;
/** How times are written below the plot: for each step the text, and what is added where a year, month, day, hour or minute begins. */
const DAY = "\n{YYYY}-{MM}-{DD}";
const TIMES = [
  [366 * 86400, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * 86400, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86400, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", DAY, null, DAY, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", DAY, null, DAY, null, null, null, 1],
  [0.001, ":{ss}.{fff}", `${DAY} {HH}:{mm}`, null, `${DAY} {HH}:{mm}`, null, "\n{HH}:{mm}", null, 1],
];

export class Plot {
  /** @param {{unit: () => string, threshold: () => number | null, shown: (readings: Readings, fromMs: number, toMs: number) => void}} page */
  constructor(page) {
    this.page = page;
    this.readings = new Readings();
    this.averages = null;
    this.series = null;
    this.isFollowing = true;
    this.stretch = { fromMs: Date.now() - 3600000, toMs: Date.now() };
    this.loaded = null;
    this.cursor = -1;
    this.reloadSoon = debounced(RELOAD_MS, () => this.load());
    this.sayReadOut = debounced(READ_OUT_MS, () => this.readOut());
    this.make();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.make());
    new ResizeObserver(() => this.resize()).observe(byId("plot"));
  }

  make() {
    this.plot?.destroy();
    const palette = colours();
    const axis = { stroke: palette.muted, grid: { stroke: palette.rule, width: 1 }, ticks: { stroke: palette.rule, width: 1 } };
    const options = {
      ...this.size(),
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), shownTimeZone()),
      cursor: { drag: { x: false, y: false }, focus: { prox: -1 }, points: { show: false } },
      scales: {
        x: { time: true, range: () => [this.stretch.fromMs / 1000, this.stretch.toMs / 1000] },
        y: { range: () => this.heights() },
      },
      axes: [{ ...axis, values: TIMES }, { ...axis, size: 64, values: (_, ticks) => ticks.map(number) }],
      series: [
        {},
        { stroke: palette.line, width: 1.6, points: { show: false } },
        { stroke: "transparent", points: { show: false } },
        { stroke: "transparent", points: { show: false } },
      ],
      bands: [{ series: [3, 2], fill: palette.band }],
      hooks: {
        drawAxes: [(plot) => drawAverages(plot, this.averages)],
        draw: [(plot) => drawMarks(plot, this.readings, this.page.threshold())],
        setCursor: [(plot) => this.pointed(plot)],
      },
    };
    this.plot = new uPlot(options, this.readings.drawn(), byId("plot"));
    listenForGestures(this.plot.over, { zoom: (factor, share) => this.zoom(factor, share), pan: (share) => this.pan(share) });
  }

  size() {
    const { clientWidth, clientHeight } = byId("plot");
    return { width: Math.max(200, clientWidth), height: Math.max(200, clientHeight) };
  }

  resize() {
    this.plot.setSize(this.size());
  }

  /** Smallest and largest of what is shown. */
  heights() {
    const { fromMs, toMs } = this.stretch;
    let smallest = Infinity;
    let largest = -Infinity;
    const note = (value) => {
      if (value === null || value === undefined) return;
      smallest = Math.min(smallest, value);
      largest = Math.max(largest, value);
    };
    const last = Math.min(this.readings.length, this.readings.placeOf(toMs + 1) + 1);
    for (let index = Math.max(0, this.readings.placeOf(fromMs) - 1); index < last; index += 1) {
      note(this.readings.value[index]);
      note(this.readings.lower[index]);
      note(this.readings.upper[index]);
    }
    this.averages?.start.forEach((start, index) => {
      if (this.averages.end[index] >= fromMs && start <= toMs) note(this.averages.average[index]);
    });
    if (smallest > largest) return [0, 1];
    const room = (largest - smallest) * 0.08 || Math.abs(largest) * 0.1 || 1;
    return [smallest - room, largest + room];
  }

  /** Shows another series, around a time or at its newest readings. */
  async show(series, aroundMs = null) {
    this.series = series;
    this.readings = new Readings();
    this.averages = null;
    this.loaded = null;
    this.cursor = -1;
    setText(byId("read-out"), "");
    this.isFollowing = aroundMs === null;
    const history = await this.ask({});
    if (this.series !== series || history === null) return;
    this.readings = Readings.of(history);
    const newest = this.readings.newestStretch(FIRST_READINGS) ?? this.stretch;
    const length = Math.max(newest.toMs - newest.fromMs, SHORTEST_MS);
    const toMs = aroundMs === null ? newest.toMs + length * ROOM : aroundMs + length / 3;
    this.move(toMs - length * (1 + ROOM), toMs, this.isFollowing);
    await this.load();
    if (aroundMs !== null) this.pointAt(this.readings.nearest(aroundMs));
  }

  ask(stretch) {
    const { key, measure } = this.series;
    const width = Math.min(4000, Math.ceil(this.size().width * 2));
    return ask("points", { key, measure, width, ...stretch }).catch(() => null);
  }

  /** Loads what is shown, and as much on both sides. */
  async load() {
    const { series } = this;
    if (series === null) return;
    const { fromMs, toMs } = this.stretch;
    const length = toMs - fromMs;
    const wanted = { from: Math.floor(fromMs - length), to: Math.ceil(this.isFollowing ? toMs + 100 * length : toMs + length) };
    const { key, measure } = series;
    const [history, averages] = await Promise.all([
      this.ask(wanted),
      ask("averages", { key, measure, ...wanted }).catch((error) => error.message),
    ]);
    if (this.series !== series || history === null) return;
    this.readings = Readings.of(history);
    this.loaded = { fromMs: wanted.from, toMs: wanted.to, length };
    this.averages = typeof averages === "string" ? null : averages;
    this.say(averages);
    this.draw();
  }

  say(averages) {
    const notes = [];
    if (typeof averages === "string") notes.push(`No averages: ${averages}.`);
    const from = this.readings.heldFromMs;
    if (from !== null && from > this.stretch.fromMs) notes.push(`Readings are held since ${time(from)}; before, averages only.`);
    setText(byId("plot-note"), notes.join(" "));
  }

  /** Adds readings that came. Returns false if the history must be loaded again. */
  add(points) {
    if (this.loaded === null) return true;
    if (!this.readings.add(points)) return false;
    if (this.isFollowing) {
      const length = this.stretch.toMs - this.stretch.fromMs;
      const toMs = this.readings.heldToMs + length * ROOM;
      if (toMs > this.stretch.toMs) this.stretch = { fromMs: toMs - length, toMs };
    }
    this.draw();
    const most = this.size().width * 6;
    if (this.readings.length > most) this.reloadSoon();
    return true;
  }

  draw() {
    this.plot.setData(this.readings.drawn(), true);
    this.page.shown(this.readings, this.stretch.fromMs, this.stretch.toMs);
    this.showFollowing();
  }

  showFollowing() {
    const button = byId("follow");
    button.setAttribute("aria-pressed", String(this.isFollowing));
    setText(button, this.isFollowing ? "Following" : "Back to now");
  }

  /** Moves to a stretch; it stops to follow unless it is asked to go on. */
  move(fromMs, toMs, isFollowing = false) {
    const length = Math.min(Math.max(toMs - fromMs, SHORTEST_MS), LONGEST_MS);
    this.stretch = { fromMs: toMs - length, toMs };
    this.isFollowing = isFollowing;
    this.draw();
    const { loaded } = this;
    const isOutside = loaded === null || fromMs < loaded.fromMs || toMs > loaded.toMs;
    if (isOutside || (this.readings.isThinned && length < loaded.length * 0.7) || length > loaded.length * 1.5) this.reloadSoon();
  }

  /** Zooms around a place, as a share of the width. */
  zoom(factor, share = 0.5) {
    const { fromMs, toMs } = this.stretch;
    const length = (toMs - fromMs) * factor;
    if (length > LONGEST_MS || length < SHORTEST_MS) return;
    // Who follows looks at the newest: it stays where it is.
    if (this.isFollowing) return this.move(toMs - length, toMs, true);
    const fixed = fromMs + (toMs - fromMs) * share;
    return this.move(fixed - length * share, fixed + length * (1 - share));
  }

  pan(share) {
    const { fromMs, toMs } = this.stretch;
    const by = (toMs - fromMs) * share;
    if (by !== 0) this.move(fromMs + by, toMs + by);
  }

  zoomIn() { this.zoom(1 / ZOOM); }

  zoomOut() { this.zoom(ZOOM); }

  earlier() { this.pan(-PAN); }

  later() { this.pan(PAN); }

  /** Shows everything that is held. */
  whole() {
    const { heldFromMs, heldToMs } = this.readings;
    if (heldFromMs === null) return;
    const room = (heldToMs - heldFromMs) * ROOM;
    this.move(heldFromMs - room, heldToMs + room);
  }

  backToNow() {
    const newest = this.readings.heldToMs;
    if (newest === null) return;
    const length = this.stretch.toMs - this.stretch.fromMs;
    this.move(newest - length * (1 - ROOM), newest + length * ROOM, true);
  }

  pointed(plot) {
    if (plot.cursor.left < 0) return;
    this.cursor = this.readings.nearest(plot.posToVal(plot.cursor.left, "x") * 1000);
    this.sayReadOut();
  }

  /** Moves the cursor to a reading, and the plot if that is not shown. */
  pointAt(index) {
    if (index < 0 || index >= this.readings.length) return;
    this.cursor = index;
    const ms = this.readings.time[index];
    const { fromMs, toMs } = this.stretch;
    if (ms < fromMs || ms > toMs) this.move(ms - (toMs - fromMs) / 2, ms + (toMs - fromMs) / 2);
    const left = this.plot.valToPos(ms / 1000, "x");
    const top = this.plot.valToPos(this.readings.value[index], "y");
    this.plot.setCursor({ left, top }, false);
    this.sayReadOut();
  }

  step(by) {
    const last = this.readings.length - 1;
    const next = this.cursor < 0 ? last : this.cursor + by;
    this.pointAt(Math.min(Math.max(next, 0), last));
  }

  readOut() {
    setText(byId("read-out"), this.words(this.cursor));
  }

  /** What is known of a reading, in words. */
  words(index) {
    const { readings } = this;
    if (index < 0 || index >= readings.length) return "";
    const parts = [time(readings.time[index]), quantity(readings.value[index], this.page.unit())];
    if (readings.expected[index] !== null) parts.push(`expected ${number(readings.expected[index])}`);
    if (readings.lower[index] !== null && readings.upper[index] !== null) {
      parts.push(`${number(readings.lower[index])} to ${number(readings.upper[index])}`);
    }
    if (readings.score[index] !== null) parts.push(`score ${number(readings.score[index])}`);
    if (readings.is_anomaly[index]) parts.push("anomaly");
    else if (isUnusual(readings, index, this.page.threshold())) parts.push("unusual");
    return parts.join(" · ");
  }
}
