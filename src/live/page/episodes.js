// Episodes as they happen, the explanation first, and what people say of them.

import { ask } from "./api.js";
import { AnswerForm, silence, withdraw, endSilence } from "./answers.js";
import { byId, element } from "./dom.js";
import { duration, isSameSeries, number, quantity, seriesName, time } from "./format.js";

const PAGE = 30;
/** More than anybody scrolls through. */
const MOST_SHOWN = 300;

export class Episodes {
  /** @param {{about: () => object, series: () => object | null, choose: (episode: object) => void}} page */
  constructor(page) {
    this.page = page;
    /** By id. */
    this.held = new Map();
    this.cards = new Map();
    this.forms = new Map();
    this.chosenId = null;
    this.hasMore = false;
    this.box = byId("episodes");
    byId("more-episodes").addEventListener("click", () => this.older());
    byId("only-series").addEventListener("change", () => this.draw());
  }

  async reload() {
    const { episodes, more } = await ask("episodes", { limit: PAGE });
    this.held = new Map(episodes.map((episode) => [episode.id, episode]));
    this.hasMore = more;
    this.draw();
  }

  async older() {
    const before = Math.min(...[...this.held.values()].map((episode) => episode.since_ms));
    const { episodes, more } = await ask("episodes", { limit: PAGE, before });
    for (const episode of episodes) this.held.set(episode.id, episode);
    this.hasMore = more;
    this.draw();
  }

  /** @param {object[]} episodes that are new or have changed */
  changed(episodes) {
    if (episodes.length === 0) return;
    for (const episode of episodes) this.held.set(episode.id, episode);
    this.draw();
  }

  /** The episode with an id, asked for if it is not held. */
  async find(id) {
    const held = this.held.get(id);
    if (held !== undefined) return held;
    const found = await ask("episode", { id });
    this.held.set(id, found);
    this.draw();
    return found;
  }

  choose(id) {
    this.chosenId = id;
    this.draw();
    this.cards.get(id)?.scrollIntoView({ block: "nearest" });
  }

  chosen() {
    return this.held.get(this.chosenId) ?? null;
  }

  /** The next or previous one of a series, from a time on. */
  neighbour(series, fromMs, direction) {
    const ofSeries = [...this.held.values()].filter((episode) => isSameSeries(episode, series));
    ofSeries.sort((left, right) => left.since_ms - right.since_ms);
    if (direction < 0) ofSeries.reverse();
    return ofSeries.find((episode) => (episode.since_ms - fromMs) * direction > 0) ?? null;
  }

  draw() {
    const only = byId("only-series").checked ? this.page.series() : null;
    const all = [...this.held.values()].filter((episode) => only === null || isSameSeries(episode, only));
    all.sort((left, right) => right.since_ms - left.since_ms || (left.id < right.id ? 1 : -1));
    const shown = all.slice(0, MOST_SHOWN);
    const ids = new Set(shown.map((episode) => episode.id));
    for (const id of [...this.cards.keys()].filter((known) => !ids.has(known))) this.cards.delete(id);
    const nodes = shown.map((episode) => this.card(episode));
    // A card that stays in its place keeps the focus that is in it.
    nodes.forEach((node, index) => {
      if (this.box.children[index] !== node) this.box.insertBefore(node, this.box.children[index] ?? null);
    });
    while (this.box.children.length > nodes.length) this.box.lastChild.remove();
    if (nodes.length === 0) this.box.replaceChildren(element("p", { class: "nothing" }, "Nothing so far."));
    byId("more-episodes").hidden = !this.hasMore;
  }

  card(episode) {
    const text = JSON.stringify(episode);
    let card = this.cards.get(episode.id);
    if (card === undefined) {
      card = element("article", { "data-test": "episode", "data-id": episode.id });
      this.cards.set(episode.id, card);
    }
    card.className = `episode${episode.until_ms === null ? " open" : ""}${episode.id === this.chosenId ? " chosen" : ""}`;
    if (card.dataset.text !== text) {
      card.dataset.text = text;
      const form = this.forms.get(episode.id);
      card.replaceChildren(...this.parts(episode), ...(form ? [form.node] : []));
    }
    return card;
  }

  parts(episode) {
    const unit = this.page.about()?.unit ?? "";
    const isOpen = episode.until_ms === null;
    const lasted = isOpen ? "open" : `lasted ${duration(episode.until_ms - episode.since_ms)}`;
    const band = episode.lower === null || episode.upper === null ? "" : `, expected ${number(episode.lower)} to ${number(episode.upper)}`;
    const count = episode.anomalies > 1 ? `, ${episode.anomalies} anomalies` : "";
    const worst = episode.value === null ? "" : ` · ${quantity(episode.value, unit)}${band}`;
    const parts = [
      element("p", { class: "explanation" }, element("bdi", {}, episode.explanation)),
      element("p", { class: "facts" },
        episode.severity === "critical" ? element("strong", {}, "critical · ") : null,
        `${time(episode.since_ms)} · ${lasted}${count}${worst} · `, element("bdi", {}, seriesName(episode)), ` · ${episode.detector}`),
    ];
    if (episode.latest !== episode.explanation && episode.latest !== "") {
      parts.push(element("p", { class: "facts" }, element("bdi", {}, episode.latest)));
    }
    if (episode.said !== null) parts.push(element("p", { class: "said", "data-test": "said" }, saidWords(episode.said)));
    if (episode.silence !== null) parts.push(element("p", { class: "said" }, silenceWords(episode.silence)));
    parts.push(this.actions(episode));
    return parts;
  }

  actions(episode) {
    const show = element("a", { href: `#/e/${encodeURIComponent(episode.id)}`, "aria-label": `Show in the plot: ${episode.explanation}` }, "Show");
    if (!this.page.about()?.can_answer) return element("div", { class: "actions" }, show);
    const button = (words, act, test) => element("button", { type: "button", onclick: act, "data-test": test }, words);
    const buttons = [
      button("Expected …", () => this.answer(episode, "expected"), "expected"),
      button("Real …", () => this.answer(episode, "real"), "real"),
    ];
    if (episode.silence !== null) buttons.push(button("End the silence", () => this.act(episode, endSilence), "end-silence"));
    else if (episode.until_ms === null) buttons.push(button("Silence 2 h", () => this.act(episode, silence), "silence"));
    if (episode.said !== null) buttons.push(button("Withdraw", () => this.act(episode, withdraw), "withdraw"));
    return element("div", { class: "actions" }, show, ...buttons);
  }

  /** Opens the form under a card. */
  answer(episode, verdict) {
    this.forms.get(episode.id)?.node.remove();
    const form = new AnswerForm(episode, verdict, () => this.forms.delete(episode.id));
    this.forms.set(episode.id, form);
    this.cards.get(episode.id)?.append(form.node);
    form.focus();
  }

  async act(episode, action) {
    try {
      await action(episode);
    } catch (error) {
      const card = this.cards.get(episode.id);
      const said = element("p", { class: "error", role: "alert" }, error.message);
      card?.append(said);
    }
  }

  /** Opens the form of the chosen episode, or else of the newest. */
  answerChosen(verdict) {
    const episode = this.chosen() ?? [...this.held.values()].sort((left, right) => right.since_ms - left.since_ms)[0];
    if (episode !== undefined && this.page.about()?.can_answer) this.answer(episode, verdict);
  }
}

function saidWords({ verdict, scope, until_ms: untilMs, by, note, at_ms: atMs }) {
  const scopes = { this: "", slot: ", at this time of the week", series: ", of this series" };
  const until = untilMs === null ? "" : ` until ${time(untilMs)}`;
  const who = by === null ? "" : ` by ${by}`;
  const when = atMs === null ? "" : `, ${time(atMs)}`;
  return `${verdict}${scopes[scope] ?? ""}${until}${who}${when}${note === null ? "" : `: ${note}`}`;
}

function silenceWords({ pattern, until_ms: untilMs, by, why }) {
  const until = untilMs === null ? "" : ` until ${time(untilMs)}`;
  return `silenced (${pattern})${until}${by === null ? "" : ` by ${by}`}: ${why}`;
}

