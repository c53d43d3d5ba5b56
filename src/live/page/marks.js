// What is drawn beside the lines: averages of the table behind them, and readings that are out of the ordinary on top.

/** A reading whose score is at least so much of the threshold is unusual, if it is no anomaly. */
const UNUSUAL = 0.5;
/** Readings that are so far apart on the screen are shown as points. */
const POINT_SPACING = 9;

/** The colours of the page, as they are now. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["text", "muted", "rule", "line", "band", "average", "unusual", "alarm"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** Whether a reading is unusual, and no anomaly. */
export function isUnusual(readings, index, threshold) {
  const score = readings.score[index];
  return !readings.is_anomaly[index] && score !== null && threshold !== null && score >= UNUSUAL * threshold;
}

/** Averages as steps, from the begin of each window to its end. */
export function drawAverages(plot, averages) {
  if (averages === null) return;
  const context = plot.ctx;
  context.save();
  clip(plot);
  context.strokeStyle = colours().average;
  context.lineWidth = 2 * devicePixelRatio;
  context.setLineDash([5 * devicePixelRatio, 3 * devicePixelRatio]);
  context.beginPath();
  for (let index = 0; index < averages.start.length; index += 1) {
    const left = plot.valToPos(averages.start[index] / 1000, "x", true);
    const right = plot.valToPos(averages.end[index] / 1000, "x", true);
    if (right < plot.bbox.left || left > plot.bbox.left + plot.bbox.width) continue;
    const y = plot.valToPos(averages.average[index], "y", true);
    context.moveTo(left, y);
    context.lineTo(right, y);
  }
  context.stroke();
  context.restore();
}

/** Anomalies as triangles that point where the value went, unusual readings as diamonds, others as dots if there is room. */
export function drawMarks(plot, readings, threshold) {
  const context = plot.ctx;
  const first = readings.placeOf(plot.scales.x.min * 1000);
  const last = readings.placeOf(plot.scales.x.max * 1000 + 1);
  const hasRoom = plot.bbox.width / devicePixelRatio > (last - first) * POINT_SPACING;
  const palette = colours();
  context.save();
  clip(plot);
  for (let index = first; index < last; index += 1) {
    const isAnomaly = readings.is_anomaly[index];
    const unusual = isUnusual(readings, index, threshold);
    if (!isAnomaly && !unusual && !hasRoom) continue;
    const x = plot.valToPos(readings.time[index] / 1000, "x", true);
    const y = plot.valToPos(readings.value[index], "y", true);
    if (isAnomaly) triangle(context, x, y, isBelow(readings, index), palette.alarm);
    else if (unusual) diamond(context, x, y, palette.unusual);
    else dot(context, x, y, palette.line);
  }
  context.restore();
}

function isBelow(readings, index) {
  const expected = readings.expected[index] ?? readings.lower[index];
  return expected !== null && readings.value[index] < expected;
}

function clip(plot) {
  const { left, top, width, height } = plot.bbox;
  plot.ctx.beginPath();
  plot.ctx.rect(left, top, width, height);
  plot.ctx.clip();
}

function fill(context, colour, points) {
  context.fillStyle = colour;
  context.beginPath();
  points.forEach(([x, y], index) => (index === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
  context.closePath();
  context.fill();
}

function triangle(context, x, y, pointsDown, colour) {
  const size = 6 * devicePixelRatio;
  const tip = pointsDown ? y + size : y - size;
  const base = pointsDown ? y - size * 0.7 : y + size * 0.7;
  fill(context, colour, [[x, tip], [x - size, base], [x + size, base]]);
}

function diamond(context, x, y, colour) {
  const size = 5 * devicePixelRatio;
  fill(context, colour, [[x, y - size], [x + size, y], [x, y + size], [x - size, y]]);
}

function dot(context, x, y, colour) {
  context.fillStyle = colour;
  context.beginPath();
  context.arc(x, y, 2 * devicePixelRatio, 0, 2 * Math.PI);
  context.fill();
}
