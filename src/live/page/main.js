// The page: one series in the plot, all series in the list, what is out of the ordinary beside it.

import { ask } from "./api.js";
import { byId, setText } from "./dom.js";
import { Episodes } from "./episodes.js";
import { Feed } from "./feed.js";
import { isSameSeries, printable, quantity, seriesName, time, useTimeZone, useTopic } from "./format.js";
import { Health } from "./health.js";
import { listenForKeys } from "./keys.js";
import { Plot } from "./plot.js";
import { ReadingTable } from "./reading_table.js";
import { SeriesList } from "./series_list.js";

/** What does not change while the server runs. */
let about = null;
/** The series in the plot. */
let chosen = null;
let seen = 0;
let boot = null;
let newestMs = null;
/** The score that makes an anomaly; null until a reading was judged. */
let threshold = null;

const health = new Health();
const table = new ReadingTable();
const plot = new Plot({
  unit: () => about?.unit ?? "",
  threshold: () => threshold,
  shown: (readings, fromMs, toMs) => {
    table.show(readings, fromMs, toMs, threshold);
    const last = readings.length - 1;
    if (last >= 0) setText(byId("newest"), `${quantity(readings.value[last], about?.unit)} at ${time(readings.time[last])}`);
  },
});
const list = new SeriesList({ unit: () => about?.unit ?? "", newestMs: () => newestMs, choose: (series) => openSeries(series) });
const episodes = new Episodes({ about: () => about, series: () => chosen, choose: (episode) => openEpisode(episode) });
const feed = new Feed({ position, changed, lost: (error) => health.lost(error), woken: () => loadAll() });

function position() {
  const series = chosen === null ? {} : { selected: 1, key: chosen.key, measure: chosen.measure, cursor: plot.readings.cursor };
  return { seen, ...series };
}

/** Takes what changed. */
function changed(changes) {
  const isRestarted = boot !== null && changes.boot !== boot;
  boot = changes.boot;
  health.show(changes.health);
  newestMs = changes.health.newest_ms;
  threshold = changes.health.threshold;
  if (isRestarted || changes.resync) {
    seen = isRestarted ? 0 : changes.seen;
    loadAll();
    return;
  }
  seen = changes.seen;
  list.changed(changes.series, changes.series_total);
  episodes.changed(changes.episodes);
  if (chosen === null) chooseFirst();
  else if (changes.points !== null && isSameSeries(changes.points, chosen) && !plot.add(changes.points)) plot.load();
}

/** Loads everything anew: at the begin, after a rest, and after the server has begun anew. */
async function loadAll() {
  try {
    about = await ask("about");
    boot = about.boot;
    useTimeZone(about.time_zone);
    useTopic(about.topic);
    setText(byId("topic"), printable(about.topic));
    await Promise.all([list.reload(false), episodes.reload()]);
    if (chosen === null) await openAddress();
    else await plot.show(chosen);
  } catch (error) {
    health.lost(error);
  }
  feed.restart();
}

function chooseFirst() {
  const first = list.first();
  if (first !== null) openSeries(first);
}

/** What the address names: an episode, a series, or else the first series. */
async function openAddress() {
  const address = location.hash;
  if (address.startsWith("#/e/")) {
    const id = decodeURIComponent(address.slice("#/e/".length));
    try {
      await openEpisode(await episodes.find(id));
    } catch {
      setText(byId("plot-note"), `The episode ${printable(id)} is not among those that are held.`);
      chooseFirst();
    }
  } else if (address.startsWith("#/s?")) {
    const named = new URLSearchParams(address.slice("#/s?".length));
    await show({ key: named.get("key"), measure: named.get("measure") });
  } else {
    chooseFirst();
  }
}

function openSeries({ key, measure }) {
  const named = new URLSearchParams(Object.entries({ key, measure }).filter(([, value]) => value !== null));
  history.replaceState(null, "", `#/s?${named}`);
  byId("list-panel").classList.remove("shown");
  return show({ key, measure });
}

function openEpisode(episode) {
  episodes.choose(episode.id);
  return show({ key: episode.key, measure: episode.measure }, episode.since_ms);
}

async function show(series, aroundMs = null) {
  chosen = series;
  list.choose(series);
  const name = seriesName(series);
  setText(byId("series-name"), name);
  byId("plot-title").title = name;
  setText(byId("newest"), "");
  episodes.draw();
  await plot.show(series, aroundMs);
  feed.restart();
}

/** The next or previous anomaly of the series in the plot. */
function toNeighbour(direction) {
  if (chosen === null) return;
  const fromMs = episodes.chosen()?.since_ms ?? (direction > 0 ? -Infinity : Infinity);
  const episode = episodes.neighbour(chosen, fromMs, direction);
  if (episode !== null) location.hash = `#/e/${encodeURIComponent(episode.id)}`;
}

function listenForButtons() {
  const clicks = {
    "pan-left": () => plot.earlier(),
    "pan-right": () => plot.later(),
    "zoom-in": () => plot.zoomIn(),
    "zoom-out": () => plot.zoomOut(),
    whole: () => plot.whole(),
    follow: () => plot.backToNow(),
    "open-help": () => byId("help-dialog").showModal(),
    "open-list": () => {
      byId("list-panel").classList.add("shown");
      list.draw();
      byId("search").focus();
    },
    "close-list": () => {
      byId("list-panel").classList.remove("shown");
      byId("open-list").focus();
    },
  };
  for (const [id, act] of Object.entries(clicks)) byId(id).addEventListener("click", act);
}

listenForButtons();
listenForKeys({ plot, episodes, toNeighbour });
window.addEventListener("hashchange", () => openAddress());
loadAll();
