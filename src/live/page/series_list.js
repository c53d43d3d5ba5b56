/**
 * The list of series: search, order, and only those rows in the document that are on view, so that 10,000 series cost
 * as little as 30. Its order is the server's; it is asked for again when something moved, but not under the viewer's
 * pointer.
 */

import { seriesPage } from "./api.js";
import { byId, element, mark, setText } from "./elements.js";
import { count, number } from "./format.js";
import { identity, nameElement } from "./names.js";
import { sparkline } from "./sparkline.js";

const PAGE = 100;
/** As in live.css: a touch target. */
const ROW_PX = 44;
const EXTRA_ROWS = 6;
const SEARCH_MS = 150;
const REORDER_MS = 2000;
const POINTER_REST_MS = 4000;

export class SeriesList {
  #pages = new Map();
  #total = 0;
  #active = -1;
  #selected = "";
  #generation = 0;
  #isOutOfOrder = false;
  #pointerAt = -Infinity;
  #rows = new Map();
  #onSelect;

  /** @param {(series: object) => void} onSelect */
  constructor(onSelect) {
    this.#onSelect = onSelect;
    this.box = byId("series-list");
    this.space = byId("series-space");
    let timer;
    byId("search").addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.reload(true), SEARCH_MS);
    });
    byId("sort").addEventListener("change", () => this.reload(true));
    this.box.addEventListener("scroll", () => this.#render());
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("pointermove", () => (this.#pointerAt = performance.now()));
    this.box.addEventListener("pointerleave", () => (this.#pointerAt = -Infinity));
    new ResizeObserver(() => this.#render()).observe(this.box);
    setInterval(() => this.#reorder(), REORDER_MS);
  }

  /** @param {import("./names.js").Named} series */
  select(series) {
    this.#selected = identity(series);
    this.#render();
  }

  /** @returns {object | null} */
  get first() {
    return this.#at(0);
  }

  /**
   * @param {boolean} fromTop whether other series are wanted than before
   * @returns {Promise<void>} when the rows on view are there
   */
  async reload(fromTop) {
    if (fromTop) {
      this.box.scrollTop = 0;
      this.#active = -1;
    }
    this.#generation += 1;
    this.#isOutOfOrder = false;
    // Rows stay as they were until the new ones are there, instead of flashing.
    for (const page of this.#pages.values()) page.isStale = true;
    await Promise.all(this.#pagesOnView().map((page) => this.#load(page)));
    this.#render();
  }

  /**
   * @param {object[]} changed
   * @param {number} total of all series, searched for or not
   */
  apply(changed, total) {
    const places = new Map();
    for (const page of this.#pages.values()) {
      page.series?.forEach((series, index) => places.set(identity(series), [page, index]));
    }
    for (const series of changed) {
      const place = places.get(identity(series));
      if (!place) {
        this.#isOutOfOrder ||= mayMoveUp(byId("sort").value, series);
        continue;
      }
      const [page, index] = place;
      if (movesIn(byId("sort").value, page.series[index], series)) this.#isOutOfOrder = true;
      page.series[index] = series;
    }
    if (total !== this.#total && !byId("search").value) this.#isOutOfOrder = true;
    this.#render();
  }

  #reorder() {
    const isPointed = performance.now() - this.#pointerAt < POINTER_REST_MS;
    if (this.#isOutOfOrder && !isPointed && !document.hidden) this.reload(false);
  }

  #at(index) {
    return this.#pages.get(Math.floor(index / PAGE))?.series?.[index % PAGE] ?? null;
  }

  #range() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_PX) - EXTRA_ROWS);
    const rows = Math.ceil((this.box.clientHeight || 600) / ROW_PX) + 2 * EXTRA_ROWS;
    return [first, first + rows];
  }

  #pagesOnView() {
    const [first, end] = this.#range();
    const last = Math.floor(Math.max(0, Math.min(end, this.#total || 1) - 1) / PAGE);
    const pages = [];
    for (let page = Math.min(Math.floor(first / PAGE), last); page <= last; page++) pages.push(page);
    return pages;
  }

  async #load(page) {
    const generation = this.#generation;
    this.#pages.set(page, { series: this.#pages.get(page)?.series ?? null });
    try {
      const parameters = { q: byId("search").value.trim(), sort: byId("sort").value, offset: page * PAGE, limit: PAGE };
      const answer = await seriesPage(parameters);
      if (generation !== this.#generation) return;
      this.#pages.set(page, { series: answer.series });
      this.#total = answer.total;
    } catch {
      // The header says that the server is away; all is asked for again when it is back.
    }
  }

  #render() {
    const [first, end] = this.#range();
    for (const page of this.#pagesOnView()) {
      const held = this.#pages.get(page);
      if (!held || held.isStale) this.#load(page).then(() => this.#render());
    }
    this.space.style.height = `${this.#total * ROW_PX}px`;
    const shown = new Map();
    for (let index = first; index < Math.min(end, this.#total); index++) {
      const series = this.#at(index);
      if (series) shown.set(index, this.#row(index, series));
    }
    for (const [index, row] of this.#rows) if (shown.get(index) !== row) row.element.remove();
    for (const [index, row] of shown) if (this.#rows.get(index) !== row) this.space.append(row.element);
    this.#rows = shown;
    this.box.toggleAttribute("aria-activedescendant", false);
    if (shown.has(this.#active)) this.box.setAttribute("aria-activedescendant", `series-${this.#active}`);
    byId("no-series").hidden = this.#total > 0;
    setText(byId("no-series"), byId("search").value ? "No series has this in its name." : "No readings yet.");
    setText(byId("series-count"), count(this.#total));
  }

  #row(index, series) {
    const state = `${identity(series) === this.#selected} ${index === this.#active} ${this.#total}`;
    const held = this.#rows.get(index);
    if (held && held.series === series && held.state === state) return held;
    const isSelected = identity(series) === this.#selected;
    const row = element(
      "div",
      {
        class: `series-row${index === this.#active ? " active" : ""}`,
        role: "option",
        id: `series-${index}`,
        "aria-selected": String(isSelected),
        "aria-setsize": this.#total,
        "aria-posinset": index + 1,
        "data-test": "series",
        click: () => this.#choose(index),
      },
      mark(shapeOf(series)),
      nameElement(series),
      sparkline(series.spark, series.is_anomaly),
      element("span", { class: "value" }, number(series.value)),
      series.open > 0 ? element("span", { class: "unseen" }, `${count(series.open)} ongoing`) : null,
    );
    row.style.top = `${index * ROW_PX}px`;
    return { element: row, series, state };
  }

  #choose(index) {
    const series = this.#at(index);
    if (!series) return;
    this.#active = index;
    this.#onSelect(series);
  }

  #key(event) {
    const rows = Math.max(1, Math.floor(this.box.clientHeight / ROW_PX) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: rows, PageUp: -rows, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") this.#choose(this.#active);
    else if (event.key in steps) this.#activate(this.#active + steps[event.key]);
    else return;
    event.preventDefault();
  }

  #activate(index) {
    this.#active = Math.min(Math.max(index, 0), this.#total - 1);
    const top = this.#active * ROW_PX;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const bottom = top + ROW_PX - this.box.clientHeight;
    if (bottom > this.box.scrollTop) this.box.scrollTop = bottom;
    this.#render();
  }
}

/** Whether a change of a series may move it in the list. */
function movesIn(sort, before, after) {
  if (sort === "name") return false;
  if (sort === "episodes") return before.open !== after.open || before.anomaly_ms !== after.anomaly_ms;
  return sort === "newest" ? before.newest_ms !== after.newest_ms : before.score !== after.score;
}

/** Whether a series that is not loaded may have come before those that are. */
function mayMoveUp(sort, series) {
  if (sort === "name") return false;
  return sort !== "episodes" || series.open > 0 || series.is_anomaly;
}

function shapeOf(series) {
  if (series.open > 0) return "critical";
  return series.is_anomaly ? "warning" : "none";
}
