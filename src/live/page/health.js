/** The header: how it goes, in words. */

import * as api from "./api.js";
import { byId, element, mark, setText } from "./elements.js";
import { clockTime, count, counted, moment, number } from "./format.js";
import { visible } from "./names.js";

const SHAPES = {
  away: "critical",
  fine: "fine",
  loading: "busy",
  behind: "warning",
  quiet: "warning",
  broken: "critical",
};

let shown = "";

/** @param {object} health */
export function showHealth(health) {
  showState(health.state, health.sentence);
  setText(byId("rate"), `${number(Number((health.readings_per_s ?? 0).toPrecision(2)))}/s`);
  setText(byId("newest"), moment(health.newest_ms));
  const progress = byId("progress");
  progress.hidden = health.state !== "loading" || !health.replica?.to_read;
  progress.max = health.replica?.to_read || 1;
  progress.value = health.replica?.read ?? 0;
  byId("sinks").replaceChildren(...health.sinks.map(sinkElement));
  const dead = Object.values(health.dead_letters).reduce((sum, amount) => sum + amount, 0);
  setText(byId("dead-letters"), dead === 1 ? "1 dead letter" : `${count(dead)} dead letters`);
  byId("dead-letters").hidden = dead === 0;
}

function showState(state, sentence) {
  setText(byId("health-sentence"), sentence);
  if (state === shown) return;
  // Said by screen readers when it changes, not whenever the reading is a second older.
  if (shown) setText(byId("alarm"), sentence);
  shown = state;
  byId("health").className = `health ${state}`;
  byId("health-mark").replaceChildren(mark(SHAPES[state] ?? "none"));
}

function sinkElement({ name, state, lag_records, committed_ms }) {
  const isFine = state === "ok";
  const lag =
    lag_records === null ? null : lag_records === 0 ? "up to date" : `${counted(lag_records, "record")} behind`;
  const commit = committed_ms === null ? null : `last commit ${clockTime(committed_ms)}`;
  return element(
    "span",
    { class: `sink${isFine ? "" : " broken"}`, title: committed_ms === null ? "" : moment(committed_ms) },
    element("b", {}, name),
    " ",
    [isFine ? null : state, lag, commit].filter(Boolean).join(", "),
  );
}

/**
 * Whether the server can be reached, where it cannot.
 * @param {import("./changes.js").Connection} connection
 * @param {number} since
 */
export function showConnection(connection, since) {
  const banner = byId("banner");
  document.documentElement.dataset.connection = connection;
  banner.hidden = connection === "connected";
  if (connection !== "connected") showState("away", "Not connected");
  if (connection === "away") setText(banner, `Not connected since ${clockTime(since)}; trying again.`);
  if (connection === "signed-out") setText(banner, "Open the link that streamgauge printed at its start.");
}

/** Shows the dead letters: the newest ten of each reason. */
export async function showDeadLetters() {
  const content = byId("dead-letters-content");
  content.replaceChildren(element("p", { class: "muted" }, "Reading them…"));
  byId("dead-letters-dialog").showModal();
  try {
    const { topic, reasons, error } = await api.deadLetters();
    content.replaceChildren(
      element("p", { class: "muted" }, `In the topic ${topic}, since the history's start.`),
      ...(error ? [element("p", { class: "error" }, error)] : []),
      ...reasons.map(reasonElement),
    );
  } catch (failure) {
    content.replaceChildren(element("p", { class: "error" }, `Cannot read them: ${failure.message}`));
  }
}

function reasonElement({ reason, count: amount, newest }) {
  const header = ["at", "from", "why", "key", "value"].map((name) => element("th", { scope: "col" }, name));
  const rows = newest.map((letter) =>
    element(
      "tr",
      {},
      element("td", { class: "time" }, moment(letter.at_ms)),
      element("td", { class: "time" }, `${letter.partition}/${letter.offset}`),
      element("td", {}, visible(letter.detail ?? "")),
      element("td", {}, element("bdi", { class: "cut" }, letter.key === null ? "–" : visible(letter.key))),
      element(
        "td",
        {},
        element("code", { class: "cut", dir: "ltr", title: visible(letter.value ?? "") }, visible(letter.value ?? "")),
      ),
    ),
  );
  return element(
    "section",
    {},
    element("h3", {}, `${reason.replaceAll("_", " ")}: ${count(amount)}`),
    element(
      "div",
      { class: "scroll", tabindex: 0, role: "region", "aria-label": `Dead letters: ${reason}` },
      element("table", {}, element("thead", {}, element("tr", {}, ...header)), element("tbody", {}, ...rows)),
    ),
  );
}
