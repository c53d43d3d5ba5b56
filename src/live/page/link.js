/** The part of the address after `#`: what an alert or a colleague links to. */

/**
 * @typedef {{kind: "episode", id: string} | {kind: "series", key: string | null, measure: string | null}} Link
 * @param {string} hash
 * @returns {Link | null} null for none, and for one that cannot be read
 */
export function parseLink(hash) {
  if (hash.startsWith("#/e/")) {
    try {
      return { kind: "episode", id: decodeURIComponent(hash.slice(4)) };
    } catch {
      return null;
    }
  }
  if (hash === "#/s" || hash.startsWith("#/s?")) {
    const query = new URLSearchParams(hash.slice(4));
    return { kind: "series", key: query.get("key"), measure: query.get("measure") };
  }
  return null;
}

/**
 * @param {string} id
 * @returns {string}
 */
export const episodeLink = (id) => `#/e/${encodeURIComponent(id)}`;

/**
 * @param {import("./names.js").Named} series
 * @returns {string}
 */
export const seriesLink = (series) => `#/s?${seriesParameters(series)}`;

/**
 * The series as parameters. One without a key leaves the parameter out: an empty one is the empty key.
 * @param {import("./names.js").Named} series
 * @returns {URLSearchParams}
 */
export function seriesParameters({ key, measure }) {
  const parameters = new URLSearchParams();
  if (key !== null) parameters.set("key", key);
  if (measure !== null) parameters.set("measure", measure);
  return parameters;
}
