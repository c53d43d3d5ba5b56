/** What is plotted, as a table: for screen readers, and for whoever wants the numbers. */

import { byId, element, setText } from "./elements.js";
import { bandText, count, counted, moment, number } from "./format.js";
import { lowerBound } from "./history.js";

const MOST_ROWS = 500;
const REFRESH_MS = 1000;

export class ReadingTable {
  #history = null;
  #view = null;
  #timer = 0;

  constructor() {
    this.details = byId("table");
    this.details.addEventListener("toggle", () => this.#render());
  }

  /**
   * @param {import("./history.js").History} history
   * @param {import("./view.js").View} view
   */
  show(history, view) {
    this.#history = history;
    this.#view = view;
    if (!this.details.open || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#render();
    }, REFRESH_MS);
  }

  #render() {
    if (!this.details.open || !this.#history) return;
    const { time } = this.#history.columns;
    const [first, end] = [lowerBound(time, this.#view.from), lowerBound(time, this.#view.to)];
    const shown = [];
    let total = 0;
    for (let index = end - 1; index >= first; index--) {
      if (this.#history.isGap(index)) continue;
      total += 1;
      if (shown.length < MOST_ROWS) shown.push(this.#row(index));
    }
    byId("table-body").replaceChildren(...shown);
    const thinned = this.#history.isThinned ? " Of long ranges, the least and the greatest of each stretch." : "";
    const most =
      total > MOST_ROWS ? `The newest ${count(MOST_ROWS)} of ${count(total)} readings` : counted(total, "reading");
    setText(byId("table-caption"), `${most} of the range on view, the newest first.${thinned}`);
  }

  #row(index) {
    const { time, value, lower, upper, score, is_anomaly } = this.#history.columns;
    const isAnomaly = is_anomaly[index] === 1;
    return element(
      "tr",
      { class: isAnomaly ? "anomaly" : null, "data-test": "reading" },
      element("th", { scope: "row", class: "time" }, moment(time[index])),
      element("td", { class: "number", "data-value": value[index] }, number(value[index])),
      element("td", { class: "number" }, bandText({ lower: lower[index], upper: upper[index] }) ?? "–"),
      element("td", { class: "number" }, number(score[index])),
      element("td", {}, isAnomaly ? "anomaly" : ""),
    );
  }
}
