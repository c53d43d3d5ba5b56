/** One episode: the explanation first, then what was said of it, and the buttons to say something. */

import { answerForm } from "./answer_form.js";
import * as api from "./api.js";
import { byId, element, mark } from "./elements.js";
import { bandText, counted, endOfStretch, moment, number } from "./format.js";
import { episodeLink } from "./link.js";
import { nameElement, sentenceNodes, visible } from "./names.js";

/** @typedef {{canAnswer: boolean, unit: string, onOpen: (id: string) => void}} Context */

export class EpisodeCard {
  #context;
  #isOpen = false;
  /** Kept apart, so that news of the episode do not empty a form that is being filled in. */
  #form = element("div");

  /**
   * @param {object} episode
   * @param {Context} context
   */
  constructor(episode, context) {
    this.#context = context;
    this.element = element("li", { class: "card", "data-test": "episode" });
    this.body = element("div");
    this.element.append(this.body, this.#form);
    this.update(episode);
  }

  /** @param {object} episode */
  update(episode) {
    if (this.text === JSON.stringify(episode)) return;
    this.text = JSON.stringify(episode);
    this.episode = episode;
    this.#render();
  }

  /** @param {boolean} isOpen */
  open(isOpen) {
    if (this.#isOpen === isOpen) return;
    this.#isOpen = isOpen;
    if (!isOpen) this.#form.replaceChildren();
    this.#render();
  }

  /** @param {import("./answer_form.js").Kind} kind */
  ask(kind) {
    if (!this.#context.canAnswer) return;
    const close = () => {
      this.#form.replaceChildren();
      this.body.querySelector("button")?.focus();
    };
    this.#form.replaceChildren(answerForm(this.episode, kind, close));
    this.#form.querySelector("input").focus();
    this.#form.scrollIntoView({ block: "nearest" });
  }

  #render() {
    const { episode } = this;
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.test : null;
    const isAnswered = episode.said !== null || episode.silence !== null;
    this.element.className = ["card", episode.severity, this.#isOpen && "open", isAnswered && "answered"]
      .filter(Boolean)
      .join(" ");
    this.body.replaceChildren(
      this.#headline(),
      this.#facts(),
      ...this.#answers(),
      ...(this.#isOpen ? [this.#details(), this.#buttons()] : []),
    );
    if (focused) this.body.querySelector(`[data-test="${focused}"]`)?.focus();
  }

  #headline() {
    const { episode } = this;
    const isOngoing = episode.until_ms === null;
    return element(
      "button",
      {
        class: "headline",
        "aria-expanded": String(this.#isOpen),
        "data-test": "explanation",
        click: () => this.#context.onOpen(episode.id),
      },
      mark(episode.severity === "critical" ? "critical" : "warning"),
      element("span", { class: "explanation" }, ...sentenceNodes(episode.explanation, episode)),
      isOngoing ? element("span", { class: "ongoing" }, "ongoing") : null,
    );
  }

  #facts() {
    const { since_ms, until_ms, anomalies } = this.episode;
    const end = until_ms === null ? "" : ` – ${endOfStretch(since_ms, until_ms)}`;
    return element(
      "p",
      { class: "facts" },
      this.#namesItself() ? null : element("span", {}, nameElement(this.episode)),
      element("span", { class: "time" }, `${moment(since_ms)}${end}`),
      anomalies > 1 ? element("span", {}, counted(anomalies, "message")) : null,
    );
  }

  /** Whether the explanation begins with all of the series' name. */
  #namesItself() {
    const { key, measure, explanation } = this.episode;
    return key && measure === null && explanation.startsWith(key);
  }

  #answers() {
    const { said, silence } = this.episode;
    const lines = [];
    if (said) {
      lines.push(
        element(
          "p",
          { class: "said", "data-test": "said" },
          element("b", {}, saidText(said)),
          said.by ? ` by ${visible(said.by)}` : "",
          said.note ? `: ${visible(said.note)}` : "",
          this.#undo("Withdraw", "withdraw", () => this.ask("withdrawn")),
        ),
      );
    }
    if (silence) {
      lines.push(
        element(
          "p",
          { class: "said", "data-test": "silenced" },
          element("b", {}, silenceText(silence)),
          silence.by ? ` by ${visible(silence.by)}` : "",
          silence.why ? `: ${visible(silence.why)}` : "",
          this.#undo("End the silence", "end-silence", (event) => this.#endSilence(event.target)),
        ),
      );
    }
    return lines;
  }

  #undo(text, test, click) {
    return this.#isOpen && this.#context.canAnswer
      ? element("button", { class: "undo", "data-test": test, click }, text)
      : null;
  }

  async #endSilence(button) {
    button.disabled = true;
    try {
      await api.endSilence(this.episode.silence.id);
    } catch (failure) {
      this.#form.replaceChildren(element("p", { class: "error", role: "alert" }, `Not sent: ${failure.message}`));
      button.disabled = false;
    }
  }

  #details() {
    const { episode } = this;
    const { unit } = this.#context;
    const term = (name, text) => (text == null ? [] : [element("dt", {}, name), element("dd", {}, text)]);
    const latest =
      episode.latest && episode.latest !== episode.explanation
        ? element("p", { class: "latest" }, "Newest: ", ...sentenceNodes(episode.latest, episode))
        : null;
    return element(
      "div",
      {},
      latest,
      element(
        "dl",
        { class: "details" },
        ...term("value", withUnit(number(episode.value), unit)),
        ...term("usual", bandText(episode)),
        ...term("expected", episode.expected == null ? null : number(episode.expected)),
        ...term(
          "score",
          episode.score == null ? null : `${number(episode.score)} (threshold ${number(episode.threshold)})`,
        ),
        ...term("found by", [episode.detector, episode.cause].filter(Boolean).join(", ")),
      ),
    );
  }

  #buttons() {
    const link = element(
      "a",
      { href: episodeLink(this.episode.id), class: "button", title: "The address of this episode" },
      "Link",
    );
    const show = element("button", { class: "only-phone", click: () => byId("main").scrollIntoView() }, "Show");
    if (!this.#context.canAnswer) return element("div", { class: "buttons" }, show, link);
    const ask = (text, kind, hint) =>
      element("button", { "data-test": kind, title: hint, click: () => this.ask(kind) }, text);
    return element(
      "div",
      { class: "buttons" },
      ask("Expected", "expected", "e"),
      ask("Real", "real", "r"),
      this.episode.silence ? null : ask("Silence 2 h", "silence"),
      show,
      link,
    );
  }
}

const withUnit = (text, unit) => (unit ? `${text} ${unit}` : text);

function saidText({ verdict, scope, until_ms }) {
  if (verdict === "real") return "Real";
  if (scope === "slot") return "Expected at this time of the week";
  return scope === "series" ? `Expected until ${moment(until_ms)}` : "Expected this time";
}

const silenceText = ({ pattern, until_ms }) =>
  `${visible(pattern)} is silenced${until_ms == null ? "" : ` until ${moment(until_ms)}`}`;
