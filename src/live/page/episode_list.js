/** The column of episodes: of all series, or of the one that is looked at. */

import { byId, element, setText } from "./elements.js";
import { EpisodeCard } from "./episode_card.js";

export class EpisodeList {
  #cards = new Map();
  #context;
  #book;
  #openId = null;

  /**
   * @param {import("./episode_card.js").Context} context
   * @param {() => void} onScope called when the other book is wanted
   */
  constructor(context, onScope) {
    this.#context = context;
    this.list = byId("episodes");
    byId("more-episodes").addEventListener("click", () => this.#more());
    for (const choice of document.getElementsByName("episode-scope")) choice.addEventListener("change", onScope);
  }

  /** Whether episodes of the series only are shown. */
  get isOfSeries() {
    return byId("scope-series").checked;
  }

  /** @param {import("./episode_book.js").EpisodeBook} book */
  show(book) {
    this.#book = book;
    this.render();
  }

  /**
   * @param {string | null} id of the episode that is looked at
   */
  open(id) {
    this.#openId = id;
    this.render();
    this.#scrollTo(this.#cards.get(id)?.element);
  }

  /** Within the column only: on a phone, where it has no scrolling of its own, the plot stays on view. */
  #scrollTo(card) {
    const box = byId("episodes-scroll");
    if (!card || getComputedStyle(box).overflowY === "visible") return;
    const { top, bottom } = card.getBoundingClientRect();
    const frame = box.getBoundingClientRect();
    if (top < frame.top || bottom > frame.bottom) box.scrollTop += top - frame.top;
  }

  /**
   * Asks for an answer to the episode that is open.
   * @param {import("./answer_form.js").Kind} kind
   */
  ask(kind) {
    this.#cards.get(this.#openId)?.ask(kind);
  }

  render() {
    if (!this.#book) return;
    const shown = new Map();
    for (const episode of this.#book.all) {
      const card = this.#cards.get(episode.id) ?? new EpisodeCard(episode, this.#context);
      card.update(episode);
      card.open(episode.id === this.#openId);
      shown.set(episode.id, card);
    }
    for (const [id, card] of this.#cards) if (!shown.has(id)) card.element.remove();
    this.#cards = shown;
    this.#order([...shown.values()].map((card) => card.element));
    byId("more-episodes").hidden = !this.#book.hasMore;
    byId("no-episodes").hidden = shown.size > 0;
  }

  /** Moves only what is out of place: an element that is moved loses its focus. */
  #order(elements) {
    elements.forEach((wanted, index) => {
      const present = this.list.children[index];
      if (present !== wanted) this.list.insertBefore(wanted, present ?? null);
    });
  }

  async #more() {
    const button = byId("more-episodes");
    button.disabled = true;
    try {
      await this.#book.load();
      this.render();
    } catch (failure) {
      this.list.append(element("li", { class: "error" }, failure.message));
    }
    button.disabled = false;
  }
}

/**
 * Says how many are open, in the title of the page and of the column.
 * @param {number} open
 * @param {string} name of what is watched
 */
export function showOpenCount(open, name) {
  document.title = `${open > 0 ? `(${open}) ` : ""}${name} – streamgauge`;
  setText(byId("open-count"), open > 0 ? `${open} ongoing` : "none ongoing");
}
