/** The plot: readings with their band, drawn by uPlot. What is on view is decided elsewhere. */

/* global uPlot */

import { number, timeZone } from "./format.js";
import { lowerBound } from "./history.js";
import { colors, onColorsChange } from "./palette.js";
import { drawAverages, drawEpisodes, drawPoints, hasRoom } from "./plot_layers.js";

const [SECOND, MINUTE, HOUR] = [1000, 60_000, 3_600_000];
const DAY = 24 * HOUR;
/** How times are written along the axis, by the distance of its ticks: as ISO 8601 has them, the day below. */
const AXIS_TIMES = [
  [365 * DAY, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * DAY, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
  [DAY, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
  [MINUTE, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  [SECOND, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
  [1, "{ss}.{fff}", "\n{YYYY}-{MM}-{DD} {HH}:{mm}", null, "\n{MM}-{DD} {HH}:{mm}", null, "\n{HH}:{mm}", null, 1],
];
/** Of uPlot's series, the one of the readings. */
const VALUE = 3;

/**
 * What is drawn.
 * @typedef {object} Scene
 * @property {import("./history.js").History} history
 * @property {object | null} averages
 * @property {import("./view.js").View} view
 * @property {object[]} episodes
 * @property {string | null} openId
 * @property {number} threshold
 */

export class Plot {
  /** @type {Scene | null} */
  #scene = null;
  #plot;
  #frame = 0;
  #pinned = null;

  /**
   * @param {HTMLElement} host
   * @param {(time: number | null) => void} onCursor called with the time under the cursor, null if it has left
   */
  constructor(host, onCursor) {
    this.host = host;
    this.#plot = new uPlot(this.#options(onCursor), [[], [], [], []], host);
    onColorsChange(() => this.draw());
    new ResizeObserver(() => this.#resize()).observe(host);
  }

  /** The element that lies over the plotted area. */
  get surface() {
    return this.#plot.over;
  }

  /** @param {number} x in pixels from the left of the surface */
  timeAt(x) {
    return this.#plot.posToVal(x, "x");
  }

  /** @param {Scene} scene */
  show(scene) {
    this.#scene = scene;
    this.draw();
  }

  /** Draws once before the next frame, however often it is called. */
  draw() {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#drawNow();
    });
  }

  /**
   * Puts the cursor on a moment, with which it moves while the view follows.
   * @param {number | null} time null lets it go
   */
  pin(time) {
    this.#pinned = time;
    if (time !== null) this.#drawNow();
  }

  #drawNow() {
    if (!this.#scene) return;
    const { history, view } = this.#scene;
    const { time, upper, lower, value } = history.columns;
    this.#plot.batch(() => {
      this.#plot.setData([time, upper, lower, value], false);
      this.#plot.setScale("x", { min: view.from, max: view.to });
    });
    if (this.#pinned !== null) this.#placeCursor(this.#pinned);
  }

  #placeCursor(time) {
    const left = this.#plot.valToPos(time, "x");
    if (left < 0) this.#pinned = null;
    this.#plot.setCursor({ left: left < 0 ? -10 : left, top: left < 0 ? -10 : 10 });
  }

  #resize() {
    const [width, height] = [this.host.clientWidth, this.host.clientHeight];
    if (width && height && (width !== this.#plot.width || height !== this.#plot.height))
      this.#plot.setSize({ width, height });
  }

  /** The range of the values and averages on view; the band may take up to half as much again on either side. */
  #valueRange() {
    if (!this.#scene) return [0, 1];
    const { history, averages, view } = this.#scene;
    const { time, value, lower, upper } = history.columns;
    const [first, end] = [lowerBound(time, view.from), lowerBound(time, view.to)];
    let [least, most] = extent(value, first, end, [Infinity, -Infinity]);
    if (averages) {
      const shown = [lowerBound(averages.end, view.from), lowerBound(averages.start, view.to)];
      [least, most] = extent(averages.average, ...shown, [least, most]);
    }
    if (least > most) return [0, 1];
    const size = Math.max(most - least, Math.abs(most) * 1e-3, 1e-9);
    const [lowest] = extent(lower, first, end, [Infinity, -Infinity]);
    const [, highest] = extent(upper, first, end, [Infinity, -Infinity]);
    const low = Math.max(Math.min(lowest, least), least - size / 2);
    const high = Math.min(Math.max(highest, most), most + size / 2);
    const margin = (high - low || size) * 0.08;
    return [low - margin, high + margin];
  }

  #options(onCursor) {
    const hidden = { stroke: "transparent", points: { show: false } };
    const scene = (draw) => (plot) => this.#scene && draw(plot, this.#scene);
    return {
      width: this.host.clientWidth || 300,
      height: this.host.clientHeight || 240,
      ms: 1,
      tzDate: (time) => uPlot.tzDate(new Date(time), timeZone()),
      padding: [10, 24, 0, 0],
      legend: { show: false },
      cursor: {
        drag: { x: false, y: false },
        bind: { dblclick: () => null },
        y: false,
        points: { size: 9, show: (_, index) => index === VALUE && document.createElement("div") },
      },
      scales: { x: { time: true, range: () => this.#timeRange() }, y: { range: () => this.#valueRange() } },
      axes: axes(),
      series: [{}, { ...hidden }, { ...hidden }, { stroke: () => colors().line, width: 1.4, points: { show: false } }],
      bands: [{ series: [1, 2], fill: () => colors().band }],
      hooks: {
        drawClear: [
          scene((plot, { episodes, openId }) => drawEpisodes(plot, episodes, openId)),
          scene((plot, { averages, history }) => hasRoom(plot, history) && drawAverages(plot, averages)),
        ],
        draw: [
          // Behind a line that fills the plot they could not be seen.
          scene((plot, { averages, history }) => hasRoom(plot, history) || drawAverages(plot, averages)),
          scene((plot, { history, threshold }) => drawPoints(plot, history, threshold)),
        ],
        setCursor: [(plot) => onCursor(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : null)],
      },
    };
  }

  #timeRange() {
    return this.#scene ? [this.#scene.view.from, this.#scene.view.to] : [0, 1];
  }
}

function extent(values, first, end, [least, most]) {
  for (let index = first; index < end; index++) {
    const value = values[index];
    if (value == null) continue;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}

function axes() {
  const style = {
    stroke: () => colors().muted,
    grid: { stroke: () => colors().rule, width: 1 },
    ticks: { stroke: () => colors().rule, size: 5 },
    font: "12px system-ui, sans-serif",
  };
  return [
    { ...style, values: AXIS_TIMES, space: 64 },
    { ...style, size: widthOfTexts, values: (_, ticks) => ticks.map(number), space: 36 },
  ];
}

/** As wide as the longest number needs, in steps, so that the plot does not jump with every reading. */
function widthOfTexts(_, texts) {
  const longest = Math.max(3, ...(texts ?? []).map((text) => text.length));
  return 14 + 8 * longest;
}
