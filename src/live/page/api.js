/** Requests to the server. All addresses are relative: a proxy may put a path before them. */

import { seriesParameters } from "./link.js";

const TIMEOUT_MS = 15_000;

/** The server answered that it cannot. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
  if (response.ok) return response.json();
  const text = await response.text();
  let sentence = `The server answered ${response.status}`;
  try {
    sentence = JSON.parse(text).error ?? sentence;
  } catch {
    // A proxy's page of an error says less than the status.
  }
  throw new Refused(response.status, sentence);
}

function address(path, parameters, series) {
  const query = series ? seriesParameters(series) : new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value != null) query.set(name, String(value));
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

const post = (path, body) =>
  request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const about = () => request("api/about");
export const deadLetters = () => request("api/dead-letters");

/** @param {{q: string, sort: string, offset: number, limit: number}} parameters */
export const seriesPage = (parameters) => request(address("api/series", parameters));

/**
 * @param {import("./names.js").Named} series
 * @param {{from?: number, to?: number, width?: number}} range
 */
export const points = (series, range) => request(address("api/points", whole(range), series));

/**
 * @param {import("./names.js").Named} series
 * @param {{from?: number, to?: number}} range
 */
export const averages = (series, range) => request(address("api/averages", whole(range), series));

/**
 * @param {{before?: number, limit: number}} parameters
 * @param {import("./names.js").Named} [series] of all series if left out
 */
export const episodes = (parameters, series) => request(address("api/episodes", parameters, series));

/** @param {string} id */
export const episode = (id) => request(address("api/episode", { id }));

/** @param {object} answer */
export const giveFeedback = (answer) => post("api/feedback", answer);

/** @param {object} silence */
export const addSilence = (silence) => post("api/silence", silence);

/** @param {string} id */
export const endSilence = (id) => post("api/silence/end", { id });

/**
 * The address of the changes since what was seen, once (`api/changes`) or as a stream (`events`).
 * @param {"api/changes" | "events"} path
 * @param {number} seen
 * @param {{series: import("./names.js").Named, cursor: number} | null} selection
 */
export function changesAddress(path, seen, selection) {
  if (!selection) return address(path, { seen });
  return address(path, { selected: 1, cursor: selection.cursor, seen }, selection.series);
}

/** @param {string} changes the address of them */
export const changes = (changes) => request(changes);

const whole = ({ from, to, width }) => ({
  from: from == null ? null : Math.floor(from),
  to: to == null ? null : Math.ceil(to),
  width: width == null ? null : Math.round(width),
});
