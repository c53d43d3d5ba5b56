// How everything is, in one sentence and a few numbers; and all of it on demand.

import { ask } from "./api.js";
import { byId, element, setText } from "./dom.js";
import { clock, number, printable, time } from "./format.js";

export class Health {
  constructor() {
    this.row = null;
    this.lostAtMs = null;
    byId("open-health").addEventListener("click", () => this.open());
  }

  /** @param {object} row of api/health */
  show(row) {
    this.row = row;
    this.lostAtMs = null;
    this.say(row.state, row.sentence);
    const figures = [
      ["series", row.series.toLocaleString("en")],
      ["open", row.open_episodes.toLocaleString("en")],
      ["readings/s", number(row.readings_per_s)],
    ];
    const letters = Object.values(row.dead_letters).reduce((sum, count) => sum + count, 0);
    if (letters > 0) figures.push(["not readable", letters.toLocaleString("en")]);
    const list = byId("figures");
    const nodes = figures.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
    const text = figures.flat().join();
    if (list.dataset.text === text) return;
    list.dataset.text = text;
    list.replaceChildren(...nodes);
  }

  /** Nothing comes from the server. @param {Error & {status?: number}} error */
  lost(error) {
    if (error.status === 401) {
      this.say("broken", "Open the link that streamgauge printed at its start");
      return;
    }
    this.lostAtMs ??= Date.now();
    const since = clock(this.lostAtMs);
    const why = error.status ? ` (${error.message})` : "";
    this.say("broken", `Not connected since ${since}; trying again${why}`);
  }

  say(state, sentence) {
    const node = byId("health");
    node.dataset.state = state;
    setText(node, sentence);
    document.title = state === "broken" || state === "behind" ? `▲ ${sentence}` : "streamgauge";
  }

  async open() {
    byId("health-dialog").showModal();
    const body = byId("health-body");
    body.replaceChildren(...this.sinks());
    try {
      body.append(...letterParts(await ask("dead-letters")));
    } catch (error) {
      body.append(element("p", {}, `Dead letters cannot be shown: ${error.message}`));
    }
  }

  sinks() {
    const { row } = this;
    if (row === null) return [element("p", {}, "Nothing is known yet.")];
    const nodes = [element("p", {}, row.sentence)];
    if (row.newest_ms !== null) nodes.push(element("p", {}, `Newest reading: ${time(row.newest_ms)}`));
    if (row.sinks.length === 0) {
      nodes.push(element("p", { class: "muted" }, "This process shows the page only; table and detection are told of by their own."));
      return nodes;
    }
    const head = ["Sink", "State", "Lag", "Last commit"].map((name) => element("th", { scope: "col" }, name));
    const rows = row.sinks.map((sink) => element("tr", {},
      element("th", { scope: "row" }, sink.name),
      element("td", {}, sink.state),
      element("td", {}, sink.lag_records === null ? "unknown" : `${sink.lag_records.toLocaleString("en")} records`),
      element("td", {}, sink.committed_ms === null ? "none yet" : time(sink.committed_ms))));
    nodes.push(element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
    return nodes;
  }
}

/** The newest records of each reason. */
function letterParts({ topic, reasons }) {
  const nodes = [element("h3", {}, "Records that are no readings")];
  if (reasons.length === 0) nodes.push(element("p", { class: "muted" }, "None since the begin of what is shown."));
  else nodes.push(element("p", { class: "muted" }, `All of them are in topic ${printable(topic)}.`));
  for (const { reason, count, newest } of reasons) {
    const shown = newest.map((letter) => element("div", { class: "letter" },
      element("div", {}, `${letter.at_ms === null ? "" : `${time(letter.at_ms)}, `}partition ${letter.partition}, offset ${letter.offset}: ${printable(letter.detail)}`),
      letter.key === null ? null : element("div", { class: "muted" }, "key ", element("bdi", {}, printable(letter.key))),
      element("code", {}, element("bdi", {}, printable(letter.value)))));
    nodes.push(element("details", {}, element("summary", {}, `${reason}: ${count.toLocaleString("en")}`), ...shown));
  }
  return nodes;
}
