/** The colors of live.css for what is drawn on a canvas, and the shapes that go with them. */

const NAMES = ["text", "muted", "rule", "line", "band", "average", "raised", "alarm", "mark-ground"];
let palette = null;

/** @returns {Record<string, string>} */
export function colors() {
  if (!palette) {
    const style = getComputedStyle(document.documentElement);
    palette = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return palette;
}

/** @param {() => void} listener */
export function onColorsChange(listener) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    palette = null;
    listener();
  });
}

/**
 * How unusual a reading is, as shape and color tell it.
 * @param {number | null} score
 * @param {number} threshold
 * @param {boolean} isAnomaly
 * @returns {"anomaly" | "raised" | "usual" | "unjudged"}
 */
export function levelOf(score, threshold, isAnomaly) {
  if (isAnomaly) return "anomaly";
  if (score === null) return "unjudged";
  return score >= threshold / 2 ? "raised" : "usual";
}

/**
 * Draws a point: a diamond for an anomaly, a square for a raised score, a dot for a usual one, a ring for one that was
 * not judged.
 * @param {CanvasRenderingContext2D} context
 * @param {string} level
 * @param {number} x
 * @param {number} y
 * @param {number} unit the size of a pixel of CSS
 */
export function drawPoint(context, level, x, y, unit) {
  context.beginPath();
  if (level === "anomaly") diamond(context, x, y, 5.5 * unit);
  else if (level === "raised") context.rect(x - 3 * unit, y - 3 * unit, 6 * unit, 6 * unit);
  else context.arc(x, y, 2.2 * unit, 0, 2 * Math.PI);
  const color = { anomaly: colors().alarm, raised: colors().raised }[level] ?? colors().line;
  if (level === "unjudged") {
    context.strokeStyle = color;
    context.lineWidth = unit;
    context.stroke();
    return;
  }
  context.fillStyle = color;
  context.fill();
  if (level === "usual") return;
  context.strokeStyle = colors()["mark-ground"];
  context.lineWidth = unit;
  context.stroke();
}

function diamond(context, x, y, radius) {
  context.moveTo(x, y - radius);
  context.lineTo(x + radius, y);
  context.lineTo(x, y + radius);
  context.lineTo(x - radius, y);
  context.closePath();
}
