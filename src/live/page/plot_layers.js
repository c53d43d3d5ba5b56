/** What is drawn on the plot besides its line and band: episodes and averages behind, points in front. */

import { lowerBound } from "./history.js";
import { colors, drawPoint, levelOf } from "./palette.js";

/** Usual points are drawn where they have so much room. */
const ROOM_PX = 7;

/** Draws within the plot's area only. */
function clipped(plot, draw) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  draw(ctx, bbox);
  ctx.restore();
}

/**
 * Shades the stretch of each episode, with a flag at its beginning.
 * @param {object} plot
 * @param {object[]} episodes
 * @param {string | null} openId the one that is looked at
 */
export function drawEpisodes(plot, episodes, openId) {
  const unit = devicePixelRatio;
  clipped(plot, (context, box) => {
    for (const episode of episodes) {
      const isOpen = episode.id === openId;
      const left = plot.valToPos(episode.since_ms, "x", true);
      const right = plot.valToPos(episode.until_ms ?? episode.newest_ms, "x", true);
      if (right < box.left || left > box.left + box.width) continue;
      context.fillStyle = colors().alarm;
      context.globalAlpha = isOpen ? 0.16 : 0.07;
      context.fillRect(left, box.top, Math.max(right - left, 2 * unit), box.height);
      context.globalAlpha = 1;
      if (isOpen) dashedLine(context, left, box, unit);
      flag(context, left, box.top, unit);
    }
  });
}

function dashedLine(context, x, box, unit) {
  context.strokeStyle = colors().alarm;
  context.lineWidth = unit;
  context.setLineDash([4 * unit, 4 * unit]);
  context.beginPath();
  context.moveTo(x, box.top);
  context.lineTo(x, box.top + box.height);
  context.stroke();
  context.setLineDash([]);
}

function flag(context, x, top, unit) {
  context.beginPath();
  context.moveTo(x - 5 * unit, top);
  context.lineTo(x + 5 * unit, top);
  context.lineTo(x, top + 8 * unit);
  context.closePath();
  context.fill();
}

/**
 * Whether points can be told from each other at the present zoom.
 * @param {object} plot
 * @param {import("./history.js").History} history
 * @returns {boolean}
 */
export function hasRoom(plot, history) {
  const { min, max } = plot.scales.x;
  const shown = lowerBound(history.columns.time, max) - lowerBound(history.columns.time, min);
  return shown * ROOM_PX * devicePixelRatio < plot.bbox.width;
}

/**
 * Draws the averages of the table as steps. One without a neighbor is a step by itself.
 * @param {object} plot
 * @param {{start: number[], end: number[], average: (number | null)[]} | null} averages
 */
export function drawAverages(plot, averages) {
  if (!averages) return;
  const { min, max } = plot.scales.x;
  clipped(plot, (context) => {
    context.lineJoin = "round";
    context.beginPath();
    let end = null;
    for (let index = lowerBound(averages.end, min); index < averages.start.length; index++) {
      if (averages.start[index] > max) break;
      if (averages.average[index] == null) continue;
      const y = plot.valToPos(averages.average[index], "y", true);
      const x = plot.valToPos(averages.start[index], "x", true);
      if (averages.start[index] === end) context.lineTo(x, y);
      else context.moveTo(x, y);
      end = averages.end[index];
      context.lineTo(plot.valToPos(end, "x", true), y);
    }
    for (const [color, width] of [
      ["mark-ground", 4],
      ["average", 2],
    ]) {
      context.strokeStyle = colors()[color];
      context.lineWidth = width * devicePixelRatio;
      context.stroke();
    }
  });
}

/**
 * Draws the points. Usual ones only where there is room, unusual ones and those that no line reaches always.
 * @param {object} plot
 * @param {import("./history.js").History} history
 * @param {number} threshold
 */
export function drawPoints(plot, history, threshold) {
  const { time, value, score, is_anomaly } = history.columns;
  const { min, max } = plot.scales.x;
  const [first, end] = [lowerBound(time, min), lowerBound(time, max)];
  const isRoomy = hasRoom(plot, history);
  const wanted = { anomaly: [], raised: [], usual: [], unjudged: [] };
  for (let index = first; index < end; index++) {
    if (value[index] == null) continue;
    const level = levelOf(score[index], threshold, is_anomaly[index] === 1);
    const isAlone = value[index - 1] == null && value[index + 1] == null;
    if (isRoomy || isAlone || level === "anomaly" || level === "raised") wanted[level].push(index);
  }
  clipped(plot, (context) => {
    for (const level of ["unjudged", "usual", "raised", "anomaly"]) {
      for (const index of wanted[level]) {
        const [x, y] = [plot.valToPos(time[index], "x", true), plot.valToPos(value[index], "y", true)];
        drawPoint(context, level, x, y, devicePixelRatio * (isRoomy ? 1 : 0.75));
      }
    }
  });
}
