/** The page: brings its parts together. */

import * as api from "./api.js";
import { Changes } from "./changes.js";
import { byId, setText } from "./elements.js";
import { EpisodeBook } from "./episode_book.js";
import { EpisodeList, showOpenCount } from "./episode_list.js";
import { setTimeZone } from "./format.js";
import { showConnection, showDeadLetters, showHealth } from "./health.js";
import { listenToKeys } from "./keyboard.js";
import { episodeLink, parseLink, seriesLink } from "./link.js";
import { identity, nameElement, nameTopic, visible } from "./names.js";
import { PlotPane } from "./plot_pane.js";
import { announce } from "./read_out.js";
import { SeriesList } from "./series_list.js";
import { closeSheet, openSheet } from "./sheet.js";

const RETRY_MS = 2000;
const isSignedOut = (error) => error instanceof api.Refused && error.status === 401;

class Page {
  about = null;
  /** @type {EpisodeList | null} */
  episodeList = null;
  #allEpisodes = new EpisodeBook();
  #openId = null;
  #hasBegun = false;
  /** Counted for tests: how often news came. */
  #changes = 0;
  /** Whether something could not be loaded, or may have been missed. */
  #isStale = false;
  #reloadAfter = 0;
  #awaySince = null;

  constructor() {
    this.list = new SeriesList((series) => this.#choose(series));
    this.changes = new Changes(
      () => this.pane.selection,
      (answer) => this.#apply(answer),
      (connection) => this.#connected(connection),
    );
    this.pane = new PlotPane(
      () => this.changes.restart(),
      (id) => this.openEpisode(id),
    );
  }

  async run() {
    while (!(await this.#begin())) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    window.addEventListener("hashchange", () => this.#follow(parseLink(location.hash)));
    await this.changes.run();
  }

  /** @returns {Promise<boolean>} whether the server has answered */
  async #begin() {
    try {
      await this.#learnAbout();
      // Before all else: what happens while the rest is loading then comes as changes.
      await this.changes.begin();
    } catch (error) {
      this.#connected(isSignedOut(error) ? "signed-out" : "away");
      return false;
    }
    await this.#reload();
    await this.#follow(parseLink(location.hash));
    this.#hasBegun = true;
    await this.#watchFirst();
    return true;
  }

  async #learnAbout() {
    this.about = await api.about();
    const { topic, table, time_zone, unit, can_answer } = this.about;
    nameTopic(topic);
    const isOfAnotherName = table && table !== topic;
    setText(byId("watched-topic"), isOfAnotherName ? `${visible(topic)} → ${visible(table)}` : visible(topic));
    setText(byId("zone"), `times: ${setTimeZone(time_zone)}`);
    this.pane.about = this.about;
    const context = { canAnswer: can_answer, unit, onOpen: (id) => this.openEpisode(id) };
    this.episodeList ??= new EpisodeList(context, () => this.#showEpisodes());
  }

  #connected(connection) {
    if (connection === "connected") {
      // What was asked for meanwhile has failed.
      this.#isStale ||= this.#awaySince !== null;
      this.#awaySince = null;
    } else {
      this.#awaySince ??= Date.now();
    }
    showConnection(connection, this.#awaySince);
  }

  #apply({ points, series, series_total, episodes, health, boot, resync }) {
    this.#changes += 1;
    document.documentElement.dataset.changes = String(this.#changes);
    showHealth(health);
    // It is known once a reading was judged.
    this.about.threshold = health.threshold ?? Infinity;
    showOpenCount(health.open_episodes, visible(this.about.topic));
    this.#isStale ||= resync || this.about.boot !== boot;
    if (this.#isStale) this.#reload().then(() => this.#watchFirst());
    if (points) this.pane.apply(points);
    this.pane.applySeries(series);
    this.list.apply(series, series_total);
    if (episodes.length) this.#applyEpisodes(episodes);
    this.#watchFirst();
  }

  #applyEpisodes(episodes) {
    for (const episode of episodes) {
      if (!this.#allEpisodes.get(episode.id)) setText(byId("alarm"), `New anomaly: ${visible(episode.explanation)}`);
      this.#allEpisodes.apply(episode);
      this.pane.watched?.book.apply(episode);
    }
    this.#showEpisodes();
  }

  /** All of it anew, at most every two seconds. */
  async #reload() {
    if (performance.now() < this.#reloadAfter) return;
    this.#reloadAfter = performance.now() + RETRY_MS;
    this.#isStale = false;
    try {
      await this.#learnAbout();
      const episodes = new EpisodeBook();
      await Promise.all([this.list.reload(false), episodes.load(), this.pane.reload()]);
      this.#allEpisodes = episodes;
      this.#showEpisodes();
    } catch {
      this.#isStale = true;
    }
  }

  #showEpisodes() {
    const { watched } = this.pane;
    this.episodeList.show(this.episodeList.isOfSeries && watched ? watched.book : this.#allEpisodes);
    this.pane.draw();
  }

  /** Without a link, the first of the list is looked at: an open episode's, if there is one. */
  async #watchFirst() {
    if (!this.#hasBegun || this.pane.watched) return;
    if (this.list.first) await this.#watch(this.list.first);
    else this.pane.waitForReadings();
  }

  async #choose(series) {
    closeSheet();
    history.pushState(null, "", seriesLink(series));
    await this.#watch(series);
  }

  async #watch(series) {
    byId("series-title").replaceChildren(nameElement(series));
    this.list.select(series);
    const loaded = this.pane.watch(series);
    this.#open(null);
    await loaded;
    this.#showEpisodes();
  }

  async #follow(link) {
    if (link?.kind === "series") await this.#watch(link);
    if (link?.kind === "episode") await this.openEpisode(link.id);
  }

  /** @param {string} id of the episode to show; if it is shown already, it is closed */
  async openEpisode(id) {
    notice(null);
    if (id === this.#openId) {
      this.#open(null);
      return;
    }
    const episode = await this.#find(id);
    if (!episode) return;
    if (!this.pane.watched || identity(this.pane.watched.series) !== identity(episode)) await this.#watch(episode);
    this.#allEpisodes.apply(episode);
    this.pane.watched.book.apply(episode);
    history.replaceState(null, "", episodeLink(id));
    this.#open(id);
    this.pane.showEpisode(episode);
  }

  #open(id) {
    this.#openId = id;
    this.pane.openId = id;
    this.episodeList.open(id);
    this.pane.draw();
  }

  async #find(id) {
    const held = this.#allEpisodes.get(id) ?? this.pane.watched?.book.get(id);
    if (held) return held;
    try {
      return await api.episode(id);
    } catch (error) {
      const isGone = error instanceof api.Refused && error.status === 404;
      notice(isGone ? `The anomaly ${visible(id)} is not held any more.` : `Cannot open the anomaly: ${error.message}`);
      return null;
    }
  }

  /** @param {1 | -1} direction */
  toAnomaly(direction) {
    const episode = this.pane.neighborEpisode(direction);
    if (episode) this.openEpisode(episode.id);
    else
      announce(
        direction > 0 ? "No later anomaly of this series is held." : "No earlier anomaly of this series is held.",
      );
  }
}

function notice(text) {
  byId("notice").hidden = text === null;
  setText(byId("notice"), text ?? "");
}

function search() {
  if (byId("open-series").checkVisibility()) openSheet();
  byId("search").focus();
}

const page = new Page();
const { pane } = page;
const showHelp = () => byId("help").showModal();

byId("previous-anomaly").addEventListener("click", () => page.toAnomaly(-1));
byId("next-anomaly").addEventListener("click", () => page.toAnomaly(1));
byId("dead-letters").addEventListener("click", showDeadLetters);
byId("help-button").addEventListener("click", showHelp);
byId("open-series").addEventListener("click", openSheet);
byId("close-series").addEventListener("click", closeSheet);
listenToKeys({
  ArrowLeft: () => pane.moveCursor(-1),
  ArrowRight: () => pane.moveCursor(1),
  "Shift+ArrowLeft": () => pane.pan(-0.5),
  "Shift+ArrowRight": () => pane.pan(0.5),
  "+": () => pane.zoom(0.5),
  "=": () => pane.zoom(0.5),
  "-": () => pane.zoom(2),
  "−": () => pane.zoom(2),
  n: () => page.toAnomaly(1),
  p: () => page.toAnomaly(-1),
  End: () => pane.backToNow(),
  e: () => page.episodeList?.ask("expected"),
  r: () => page.episodeList?.ask("real"),
  "/": search,
  "?": showHelp,
  Escape: closeSheet,
});
page.run();
