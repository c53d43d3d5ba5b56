/** What is said about the plot. */

import { counted, moment } from "./format.js";
import { seriesName } from "./names.js";

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;

/**
 * The plot in a sentence, for those who do not see it.
 * @param {import("./watched_series.js").WatchedSeries} watched
 * @returns {string}
 */
export function describe({ series, view, book }) {
  const shown = book.all.filter(({ since_ms }) => since_ms >= view.from && since_ms <= view.to).length;
  const [from, to] = [view.from, view.to].map((time) => moment(Math.round(time / SECOND_MS) * SECOND_MS));
  const anomalies = shown === 1 ? "1 anomaly" : `${shown} anomalies`;
  return `Readings of ${seriesName(series)} from ${from} to ${to}, ${anomalies}. The same as a table is below.`;
}

/**
 * @param {import("./watched_series.js").WatchedSeries} watched
 * @returns {string} what the steps are, or why there are none
 */
export function averagesText({ averages, averagesError }) {
  if (averagesError) return `no averages: ${averagesError}`;
  const minutes = (averages?.window_ms ?? 0) / MINUTE_MS;
  if (!minutes) return "average of the table";
  if (minutes % 1 !== 0) return `average of ${counted(averages.window_ms / 1000, "second")}`;
  return `average of ${minutes % 60 === 0 ? counted(minutes / 60, "hour") : counted(minutes, "minute")}`;
}
