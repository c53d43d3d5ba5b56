/** A small line of the newest values of a series, without axes. */

import { drawing } from "./elements.js";

const [WIDTH, HEIGHT] = [64, 22];

/**
 * @param {(number | null)[]} values
 * @param {boolean} isAnomaly whether the newest one is
 * @returns {SVGElement}
 */
export function sparkline(values, isAnomaly) {
  const known = values.filter((value) => value !== null);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const x = (index) => 2 + (index / Math.max(values.length - 1, 1)) * (WIDTH - 6);
  const y = (value) => (most > least ? HEIGHT - 3 - ((value - least) / (most - least)) * (HEIGHT - 6) : HEIGHT / 2);
  let path = "";
  values.forEach((value, index) => {
    if (value === null) return;
    const isFirst = index === 0 || values[index - 1] === null;
    path += `${isFirst ? "M" : "L"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  const image = drawing(
    "svg",
    { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" },
    drawing("path", { d: path }),
  );
  const newest = values.at(-1);
  if (newest != null) {
    image.append(
      drawing("circle", {
        cx: x(values.length - 1),
        cy: y(newest),
        r: isAnomaly ? 3 : 1.8,
        class: isAnomaly ? "alarm" : "newest",
      }),
    );
  }
  return image;
}
