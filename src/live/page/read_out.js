/** What is under the cursor, or the newest reading: in a line, and said by screen readers once the cursor rests. */

import { byId, setText } from "./elements.js";
import { bandText, moment, number } from "./format.js";
import { levelOf } from "./palette.js";

const REST_MS = 500;

let timer = 0;

/**
 * @param {string} sentence said once nothing else came for half a second
 */
export function announce(sentence) {
  clearTimeout(timer);
  timer = setTimeout(() => setText(byId("announcement"), sentence), REST_MS);
}

/**
 * @param {import("./history.js").History} history
 * @param {number | null} index
 * @param {{unit: string, threshold: number}} about
 * @returns {string} all of it in a sentence
 */
export function showReading(history, index, { unit, threshold }) {
  if (index === null) {
    for (const id of ["read-time", "read-value", "read-band", "read-score"]) setText(byId(id), "");
    return "";
  }
  const { time, value, lower, upper, score, is_anomaly } = history.columns;
  const level = levelOf(score[index], threshold, is_anomaly[index] === 1);
  const band = bandText({ lower: lower[index], upper: upper[index] });
  const texts = {
    "read-time": moment(time[index]),
    "read-value": `${number(value[index])}${unit ? ` ${unit}` : ""}`,
    "read-band": band ? `usual ${band}` : "no band yet",
    "read-score": score[index] === null ? "not judged" : `score ${number(score[index])}${level === "anomaly" ? ", anomaly" : ""}`,
  };
  for (const [id, text] of Object.entries(texts)) setText(byId(id), text);
  byId("read-out").dataset.level = level;
  byId("read-value").dataset.value = String(value[index]);
  return Object.values(texts).join(", ");
}
