// The list of series: only the rows that are to be seen exist, and only the pages around them are asked for.

import { ask } from "./api.js";
import { byId, debounced, element, setText } from "./dom.js";
import { isSameSeries, quantity, roughDuration, seriesName } from "./format.js";

const ROW_HEIGHT = 52;
const PAGE = 100;
/** Rows beyond the edge that exist, too, so that scrolling shows no gaps. */
const MARGIN = 6;
/** How often the order is looked at again while things change. */
const RESORT_MS = 4000;
const SPARK_WIDTH = 100;
const SPARK_HEIGHT = 16;

export class SeriesList {
  /** @param {{unit: () => string, newestMs: () => number | null, choose: (series: object) => void}} page */
  constructor(page) {
    this.page = page;
    this.total = 0;
    this.pages = new Map();
    this.nodes = new Map();
    this.chosen = null;
    this.isStale = false;
    this.list = byId("list");
    this.rows = byId("rows");
    this.search = byId("search");
    this.sort = byId("sort");
    this.list.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()));
    this.search.addEventListener("input", debounced(200, () => this.reload(true)));
    this.sort.addEventListener("change", () => this.reload(true));
    this.list.addEventListener("keydown", (event) => this.moveByKey(event));
    new ResizeObserver(() => this.draw()).observe(this.list);
    setInterval(() => {
      if (this.isStale && !document.hidden) this.reload(false);
    }, RESORT_MS);
  }

  /** Asks for the shown page anew; from the top if another search or order was chosen. */
  async reload(fromTop) {
    this.isStale = false;
    if (fromTop) this.list.scrollTop = 0;
    this.generation = (this.generation ?? 0) + 1;
    const kept = fromTop ? new Map() : this.pages;
    this.pages = new Map();
    await this.load(this.firstPage());
    if (this.pages.size === 0) this.pages = kept;
    this.draw();
  }

  firstPage() {
    return Math.floor(this.list.scrollTop / ROW_HEIGHT / PAGE);
  }

  async load(page) {
    const generation = this.generation;
    this.pages.set(page, this.pages.get(page) ?? []);
    try {
      const parameters = { q: this.search.value, sort: this.sort.value, offset: page * PAGE, limit: PAGE };
      const answer = await ask("series", parameters);
      if (generation !== this.generation) return;
      this.pages.set(page, answer.series);
      this.setTotal(answer.total);
      this.draw();
    } catch {
      // The feed says that the server is away; the list is asked for again once it is back.
      this.pages.delete(page);
      this.isStale = true;
    }
  }

  setTotal(total) {
    this.total = total;
    setText(byId("series-total"), `(${total.toLocaleString("en")})`);
    this.rows.style.height = `${total * ROW_HEIGHT}px`;
  }

  /** The first series of the list, if there is one. */
  first() {
    return this.pages.get(0)?.[0] ?? null;
  }

  /** Puts newer values into rows; their order is looked at a little later. */
  changed(rows, total) {
    for (const row of rows) {
      for (const page of this.pages.values()) {
        const place = page.findIndex((held) => isSameSeries(held, row));
        if (place >= 0) page[place] = row;
      }
    }
    if (rows.length > 0 || (total !== this.total && this.search.value === "")) {
      this.isStale = true;
      this.draw();
    }
  }

  choose(series) {
    this.chosen = series;
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW_HEIGHT) - MARGIN);
    const visible = Math.ceil(this.list.clientHeight / ROW_HEIGHT) + 2 * MARGIN;
    const last = Math.min(this.total, first + visible);
    for (const [index, node] of this.nodes) {
      if (index < first || index >= last) {
        node.remove();
        this.nodes.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      const page = Math.floor(index / PAGE);
      if (!this.pages.has(page)) this.load(page);
      const series = this.pages.get(page)?.[index % PAGE];
      if (series !== undefined) this.drawRow(index, series);
    }
  }

  drawRow(index, series) {
    let node = this.nodes.get(index);
    if (node === undefined) {
      node = rowNode();
      node.style.top = `${index * ROW_HEIGHT}px`;
      node.firstChild.addEventListener("click", () => this.page.choose(node.series));
      this.nodes.set(index, node);
      this.rows.append(node);
    }
    node.series = series;
    node.setAttribute("aria-posinset", index + 1);
    node.setAttribute("aria-setsize", this.total);
    this.fill(node, series);
  }

  fill(node, series) {
    const name = seriesName(series);
    const bdi = node.querySelector(".name bdi");
    setText(bdi, name);
    bdi.parentElement.title = name.length > 24 ? name : "";
    setText(node.querySelector(".value"), quantity(series.value, this.page.unit()));
    const state = node.querySelector(".state");
    setText(state, this.stateOf(series));
    state.classList.toggle("open", series.open > 0);
    drawSpark(node.querySelector("polyline"), series.spark);
    node.firstChild.setAttribute("aria-current", this.chosen !== null && isSameSeries(series, this.chosen));
  }

  stateOf(series) {
    if (series.open > 0) return series.open === 1 ? "▲ anomaly" : `▲ ${series.open} anomalies`;
    const newestMs = this.page.newestMs();
    if (series.anomaly_ms !== null && newestMs !== null) return `anomaly ${roughDuration(newestMs - series.anomaly_ms)} ago`;
    return "";
  }

  /** Arrow keys go from row to row. */
  moveByKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest?.(".row");
    if (step === undefined || !row) return;
    event.preventDefault();
    event.stopPropagation();
    const index = Number(row.getAttribute("aria-posinset")) - 1 + step;
    if (index < 0 || index >= this.total) return;
    const top = index * ROW_HEIGHT;
    if (top < this.list.scrollTop) this.list.scrollTop = top;
    const bottom = top + ROW_HEIGHT - this.list.clientHeight;
    if (bottom > this.list.scrollTop) this.list.scrollTop = bottom;
    this.draw();
    this.nodes.get(index)?.firstChild.focus();
  }
}

function rowNode() {
  const spark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  spark.setAttribute("class", "spark");
  spark.setAttribute("viewBox", `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`);
  spark.setAttribute("preserveAspectRatio", "none");
  spark.setAttribute("aria-hidden", "true");
  spark.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
  return element("li", { class: "row", "data-test": "series" },
    element("button", { type: "button" },
      element("span", { class: "line" }, element("span", { class: "name" }, element("bdi")), element("span", { class: "value" })),
      element("span", { class: "line" }, spark, element("span", { class: "state" }))));
}

/** A small line of the newest values. @param {number[]} values */
function drawSpark(line, values) {
  const smallest = Math.min(...values);
  const span = Math.max(...values) - smallest || 1;
  const step = SPARK_WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, index) => {
    const y = SPARK_HEIGHT - 1 - ((value - smallest) / span) * (SPARK_HEIGHT - 2);
    return `${(index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  line.setAttribute("points", points.join(" "));
}

