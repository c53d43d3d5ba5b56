/** What is under the cursor, or the newest reading: in a line, and said by screen readers once the cursor rests. */

import { byId, setText } from "./elements.js";
import { bandText, counted, endOfStretch, moment, number } from "./format.js";
import { sentenceNodes } from "./names.js";
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
 * @param {number | null} index of the reading, null for none
 * @param {{unit: string, threshold: number}} about
 * @returns {string} all of it in a sentence
 */
export function showReading(history, index, { unit, threshold }) {
  if (index === null) return show({ time: "", value: "", band: "", score: "" }, null, "");
  const { time, value, lower, upper, score, is_anomaly } = history.columns;
  const level = levelOf(score[index], threshold, is_anomaly[index] === 1);
  const band = bandText({ lower: lower[index], upper: upper[index] });
  return show(
    {
      time: moment(time[index]),
      value: withUnit(value[index], unit),
      band: band ? `usual ${band}` : "no band yet",
      score:
        score[index] === null ? "not judged" : `score ${number(score[index])}${level === "anomaly" ? ", anomaly" : ""}`,
    },
    value[index],
    level,
  );
}

/**
 * An average of the table, where no readings are held any more.
 * @param {object} averages
 * @param {number} index
 * @param {{unit: string}} about
 * @returns {string} all of it in a sentence
 */
export function showAverage({ start, end, average, min, max, count }, index, { unit }) {
  return show(
    {
      time: `${moment(start[index])} – ${endOfStretch(start[index], end[index])}`,
      value: withUnit(average[index], unit),
      band: `average of ${counted(count[index], "reading")}`,
      score: `${number(min[index])} to ${number(max[index])}`,
    },
    null,
    "average",
  );
}

/**
 * Why the reading under the cursor is an anomaly, on the half of the plot where the cursor is not.
 * @param {object | null} episode
 * @param {boolean} isCursorLeft
 */
export function showExplanation(episode, isCursorLeft) {
  const place = byId("why");
  place.hidden = episode === null;
  if (!episode) return;
  place.classList.toggle("right", isCursorLeft);
  place.replaceChildren(...sentenceNodes(episode.explanation, episode));
}

function show(texts, value, level) {
  for (const [name, text] of Object.entries(texts)) setText(byId(`read-${name}`), text);
  byId("read-out").dataset.level = level;
  if (value === null) delete byId("read-value").dataset.value;
  else byId("read-value").dataset.value = String(value);
  return Object.values(texts).join(", ");
}

const withUnit = (value, unit) => `${number(value)}${unit ? ` ${unit}` : ""}`;
