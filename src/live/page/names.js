/** How series are named on the page. Keys come from Kafka: any text at all, up to 1 kB. */

import { element } from "./elements.js";

/** Controls, and marks that turn or hide the text around them. */
// eslint-disable-next-line no-control-regex -- control characters are what it is about
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

let topic = "";

/**
 * The topic's name, under which a topic without keys is listed.
 * @param {string} name
 */
export function nameTopic(name) {
  topic = name;
}

/**
 * The text with control characters shown: ␊ for a line feed, ‹U+202E› for those without a picture.
 * @param {string} text
 * @returns {string}
 */
export function visible(text) {
  return text.replace(UNSEEN, (character) => {
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "␡";
    return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
  });
}

/**
 * @typedef {{key: string | null, measure: string | null}} Named
 * @param {Named} series
 * @returns {string}
 */
export function seriesName({ key, measure }) {
  const name = key === null ? topic : key === "" ? "(empty key)" : visible(key);
  return measure === null ? name : `${name} · ${visible(measure)}`;
}

/**
 * The name as an element: isolated, so that right-to-left text turns nothing around it; cut by CSS, in full as its
 * title.
 * @param {Named} series
 * @returns {HTMLElement}
 */
export function nameElement(series) {
  const name = seriesName(series);
  return element("bdi", { class: "name", title: name }, name);
}

/**
 * A sentence about a series, its key isolated where the sentence begins with it.
 * @param {string} sentence
 * @param {Named} series
 * @returns {(HTMLElement | string)[]}
 */
export function sentenceNodes(sentence, series) {
  const { key } = series;
  if (!key || !sentence.startsWith(key)) return [visible(sentence)];
  return [element("bdi", { class: "name", title: visible(key) }, visible(key)), visible(sentence.slice(key.length))];
}

/**
 * What tells a series from every other.
 * @param {Named} series
 * @returns {string}
 */
export const identity = ({ key, measure }) => JSON.stringify([key, measure]);
