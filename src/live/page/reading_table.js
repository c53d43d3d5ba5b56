// What is plotted, as a table: for screen readers, and for whoever wants the numbers.

import { byId, element } from "./dom.js";
import { number, time } from "./format.js";
import { isUnusual } from "./marks.js";

const MOST_ROWS = 500;
const REDRAW_MS = 500;

export class ReadingTable {
  constructor() {
    this.details = byId("table-details");
    this.body = byId("reading-table").tBodies[0];
    this.wanted = null;
    this.timer = 0;
    this.details.addEventListener("toggle", () => this.draw());
  }

  /** Shows the readings of a stretch, if the table is open; not more often than anybody reads. */
  show(readings, fromMs, toMs, threshold) {
    this.wanted = { readings, fromMs, toMs, threshold };
    if (!this.details.open || this.timer !== 0) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.draw();
    }, REDRAW_MS);
  }

  draw() {
    if (!this.details.open || this.wanted === null) return;
    const { readings, fromMs, toMs, threshold } = this.wanted;
    const end = readings.placeOf(toMs + 1);
    const begin = Math.max(readings.placeOf(fromMs), end - MOST_ROWS);
    const rows = [];
    for (let index = end - 1; index >= begin; index -= 1) rows.push(row(readings, index, threshold));
    this.body.replaceChildren(...rows);
  }
}

function row(readings, index, threshold) {
  const isAnomaly = Boolean(readings.is_anomaly[index]);
  const unusual = isUnusual(readings, index, threshold) ? "unusual" : "";
  const mark = isAnomaly ? "anomaly" : unusual;
  const columns = [readings.value, readings.expected, readings.lower, readings.upper, readings.score];
  return element("tr", { class: isAnomaly ? "anomaly" : false },
    element("td", {}, time(readings.time[index])),
    ...columns.map((column) => element("td", {}, number(column[index]))),
    element("td", {}, mark));
}
