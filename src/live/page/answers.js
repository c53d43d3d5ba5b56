// A word back: that an episode was expected, or real; a silence; and taking it back.

import { send } from "./api.js";
import { element } from "./dom.js";
import { localInput } from "./format.js";

const SILENCE_MS = 2 * 3600000;
const WEEK_MS = 7 * 86400000;
const NAME = "name";

const SCOPES = [
  ["this", "this time"],
  ["slot", "at this time of the week"],
  ["series", "all of this series, until …"],
];

/** The name that was given last in this tab. */
function name() {
  return sessionStorage.getItem(NAME) ?? "";
}

/** Nobody is told of an open series for two hours. */
export function silence(episode) {
  return send("silence", { series: episode.key ?? "*", for_ms: SILENCE_MS, why: episode.explanation.slice(0, 200), by: name() || null });
}

export function endSilence(episode) {
  return send("silence/end", { id: episode.silence.id, by: name() || null });
}

export function withdraw(episode) {
  return send("feedback", { episode: episode.id, verdict: "withdrawn", by: name() || null });
}

/** The form by which somebody says what an episode was. */
export class AnswerForm {
  /** @param {object} episode @param {"expected" | "real"} verdict @param {() => void} closed */
  constructor(episode, verdict, closed) {
    this.episode = episode;
    this.verdict = verdict;
    this.closed = closed;
    this.note = element("input", { type: "text", maxlength: 1000, autocomplete: "off", "data-test": "note" });
    this.by = element("input", { type: "text", maxlength: 100, autocomplete: "name", value: name(), "data-test": "by" });
    this.scope = element("select", {}, ...SCOPES.map(([value, words]) => element("option", { value }, words)));
    this.until = element("input", { type: "datetime-local", value: localInput(Date.now() + WEEK_MS) });
    this.untilLabel = element("label", { hidden: true }, "Until (your clock)", this.until);
    this.scope.addEventListener("change", () => { this.untilLabel.hidden = this.scope.value !== "series"; });
    this.error = element("p", { class: "error", role: "alert" });
    this.node = this.build();
  }

  build() {
    const isExpected = this.verdict === "expected";
    const form = element("form", { class: "answer", "aria-label": isExpected ? "It was expected" : "It was real" },
      isExpected ? element("label", {}, "It was expected", this.scope) : element("p", {}, "It was a fault."),
      isExpected ? this.untilLabel : null,
      element("label", {}, "Why", this.note),
      element("label", {}, "Your name", this.by),
      this.error,
      element("div", { class: "row-of-buttons" },
        element("button", { type: "submit", "data-test": "send" }, "Say so"),
        element("button", { type: "button", onclick: () => this.close() }, "Cancel")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
    return form;
  }

  focus() {
    this.note.focus();
  }

  close() {
    this.node.remove();
    this.closed();
  }

  async send() {
    const scope = this.verdict === "expected" ? this.scope.value : "this";
    sessionStorage.setItem(NAME, this.by.value);
    try {
      await send("feedback", {
        episode: this.episode.id,
        verdict: this.verdict,
        scope,
        until_ms: scope === "series" ? new Date(this.until.value).getTime() : null,
        note: this.note.value || null,
        by: this.by.value || null,
      });
      this.close();
    } catch (error) {
      this.error.textContent = error.message;
    }
  }
}
