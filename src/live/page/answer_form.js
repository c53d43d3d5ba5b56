/** The form by which a person answers an episode: expected, real, or silence for two hours. */

import * as api from "./api.js";
import { element } from "./elements.js";
import { dateField, endOfDay, timeOfWeek } from "./format.js";

const SILENCE_MS = 2 * 3_600_000;
const DAY_MS = 24 * 3_600_000;
/** How long a series is expected to be unusual unless another day is chosen. */
const SERIES_DAYS = 28;
/** For as long as the tab is open: who answers once often answers again. */
const NAME = "streamgauge.name";

/** @typedef {"expected" | "real" | "withdrawn" | "silence"} Kind */

const TITLES = {
  expected: "It was to be expected",
  real: "It was real",
  withdrawn: "Withdraw the answer",
  silence: "Silence this series for 2 hours",
};

/**
 * @param {object} episode
 * @param {Kind} kind
 * @param {() => void} onClose called when it was sent or cancelled
 * @returns {HTMLFormElement}
 */
export function answerForm(episode, kind, onClose) {
  const note = element("input", { name: "note", maxlength: 500, autocomplete: "off", "data-test": "note" });
  const name = element("input", { name: "by", maxlength: 100, autocomplete: "nickname", "data-test": "by" });
  name.value = sessionStorage.getItem(NAME) ?? "";
  const error = element("p", { class: "error", role: "alert" });
  const scopes = kind === "expected" ? scopeChoice(episode) : null;
  const send = element("button", { class: "primary", type: "submit", "data-test": "send" }, "Send");
  const form = element(
    "form",
    { class: "answer", "data-test": "answer-form", "aria-label": TITLES[kind] },
    element("h3", {}, TITLES[kind]),
    scopes,
    element("label", {}, kind === "silence" ? "Why" : "Note", note),
    element("label", {}, "Your name", name),
    error,
    element("div", { class: "buttons" }, send, element("button", { type: "button", click: onClose }, "Cancel")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    error.textContent = "";
    try {
      await post(episode, kind, new FormData(form));
      sessionStorage.setItem(NAME, name.value.trim());
      onClose();
    } catch (failure) {
      error.textContent = `Not sent: ${failure.message}`;
      send.disabled = false;
    }
  });
  return form;
}

function scopeChoice(episode) {
  const until = element("input", {
    type: "date",
    name: "until",
    "aria-label": "Expected until the end of this day",
    value: dateField(Date.now() + SERIES_DAYS * DAY_MS),
    min: dateField(Date.now()),
  });
  const choice = (scope, isChecked, ...text) =>
    element(
      "label",
      { class: "choice" },
      element("input", { type: "radio", name: "scope", value: scope, checked: isChecked }),
      element("span", {}, ...text),
    );
  const series = choice("series", false, "from this series until ", until);
  until.addEventListener("focus", () => (series.querySelector("[type=radio]").checked = true));
  return element(
    "fieldset",
    {},
    element("legend", { class: "unseen" }, "Expected"),
    choice("this", true, "this time only"),
    choice("slot", false, `at this time of the week: ${timeOfWeek(episode.since_ms)}`),
    series,
  );
}

function post(episode, kind, data) {
  const by = String(data.get("by")).trim() || null;
  const note = String(data.get("note")).trim();
  if (kind === "silence") {
    // A topic without keys is one series, which only the pattern of all of them matches.
    return api.addSilence({ series: episode.key ?? "*", for_ms: SILENCE_MS, why: note || "silenced on the page", by });
  }
  const scope = kind === "expected" ? String(data.get("scope")) : "this";
  const until = scope === "series" ? endOfDay(String(data.get("until"))) : null;
  if (scope === "series" && until === null) throw new Error("choose a day until which it is expected");
  return api.giveFeedback({ episode: episode.id, verdict: kind, scope, until_ms: until, note, by });
}
