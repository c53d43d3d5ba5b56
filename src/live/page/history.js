/**
 * The readings of one series that the page holds: columns in order of time, an empty row wherever there is a gap, so
 * that the plot draws no line over it. It knows nothing of the page and of the network.
 */

const COLUMNS = ["time", "value", "lower", "upper", "expected", "score", "is_anomaly"];
/** A step is a gap if it is so many times as long as nine of ten steps. */
const GAP_STEPS = 3;
/** So many steps are enough to know how long the usual one is. */
const SAMPLE = 500;

/**
 * @typedef {(number | null)[]} Numbers
 * @typedef {{time: number[], value: Numbers, lower: Numbers, upper: Numbers, expected: Numbers, score: Numbers,
 *   is_anomaly: Numbers}} Columns
 */

/**
 * The step that nine of ten do not exceed, in milliseconds; 0 where that cannot be known.
 * @param {number[]} times
 * @returns {number}
 */
export function usualStep(times) {
  const first = Math.max(1, times.length - SAMPLE);
  const steps = times
    .slice(first)
    .map((time, index) => time - times[first + index - 1])
    .filter((step) => step > 0);
  if (steps.length < 4) return 0;
  return steps.sort((a, b) => a - b)[Math.floor(steps.length * 0.9)];
}

/**
 * The first index whose time is not before the given one.
 * @param {number[]} times
 * @param {number} time
 * @returns {number}
 */
export function lowerBound(times, time) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @returns {Columns} */
const noColumns = () => Object.fromEntries(COLUMNS.map((name) => [name, []]));

export class History {
  /** @param {Columns & {cursor: number, is_thinned: boolean, to_ms: number | null}} points */
  constructor(points) {
    this.columns = noColumns();
    this.cursor = points.cursor;
    /** The time of the reading before the cursor, which is not among the columns if they are thinned. */
    this.newest = points.to_ms ?? -Infinity;
    this.isThinned = points.is_thinned;
    this.usualStep = usualStep(points.time);
    this.#push(points, 0, this.usualStep);
  }

  get length() {
    return this.columns.time.length;
  }

  /** @returns {number | null} */
  get oldest() {
    return this.columns.time[0] ?? null;
  }

  /** Whether a row only stands for a gap. */
  isGap(index) {
    return this.columns.is_anomaly[index] === null;
  }

  /**
   * The row that is nearest in time, other than a gap's.
   * @param {number} time
   * @returns {number | null}
   */
  nearest(time) {
    const times = this.columns.time;
    const next = this.neighbor(lowerBound(times, time) - 1, 1);
    const previous = this.neighbor(lowerBound(times, time), -1);
    if (next === null || previous === null) return next ?? previous;
    return times[next] - time < time - times[previous] ? next : previous;
  }

  /**
   * The next row in a direction that is a reading.
   * @param {number} index
   * @param {1 | -1} direction
   * @returns {number | null}
   */
  neighbor(index, direction) {
    let at = index + direction;
    while (at >= 0 && at < this.length && this.isGap(at)) at += direction;
    return at >= 0 && at < this.length ? at : null;
  }

  /**
   * The readings that came since.
   * @param {Columns & {first: number, cursor: number}} points
   * @returns {boolean} whether they follow on what is held; if not, some are missing
   */
  append(points) {
    if (points.first > this.cursor) return false;
    const known = this.cursor - points.first;
    const isInOrder = this.#push(points, known, this.usualStep);
    this.cursor = Math.max(this.cursor, points.cursor);
    this.newest = Math.max(this.newest, points.time.at(-1) ?? -Infinity);
    if (!isInOrder) this.#sort();
    if (!this.usualStep) this.usualStep = usualStep(this.columns.time);
    return true;
  }

  /**
   * Puts readings of a range in place of those held of it. Newer ones than the newest held are left out: they come as
   * changes. Those that came as changes after the answer was made are kept.
   * @param {Columns & {is_thinned: boolean, to_ms: number | null}} points
   * @param {number} from
   * @param {number} to
   */
  replace(points, from, to) {
    const last = Math.min(to, this.newest, points.to_ms ?? -Infinity);
    if (last < from) return;
    const end = last + 1;
    const held = this.columns;
    const [first, after] = [lowerBound(held.time, from), lowerBound(held.time, end)];
    const rest = Object.fromEntries(COLUMNS.map((name) => [name, held[name].slice(after)]));
    for (const name of COLUMNS) held[name].length = first;
    const step = usualStep(points.time) || this.usualStep;
    const taken = lowerBound(points.time, end);
    this.#push(Object.fromEntries(COLUMNS.map((name) => [name, points[name].slice(0, taken)])), 0, step);
    for (const name of COLUMNS) for (const value of rest[name]) held[name].push(value);
    if (!points.is_thinned && to >= last) this.usualStep = step;
  }

  #push(points, start, step) {
    const { columns } = this;
    let isInOrder = true;
    for (let index = start; index < points.time.length; index++) {
      const previous = columns.time.at(-1) ?? Infinity;
      const time = points.time[index];
      if (columns.time.length && time < previous) isInOrder = false;
      if (step && time - previous > GAP_STEPS * step) this.#pushGap(previous + step);
      for (const name of COLUMNS) columns[name].push(points[name][index] ?? (name === "is_anomaly" ? 0 : null));
    }
    return isInOrder;
  }

  #pushGap(time) {
    for (const name of COLUMNS) this.columns[name].push(name === "time" ? time : null);
  }

  /** Readings that came late belong before others. */
  #sort() {
    const { columns } = this;
    const order = columns.time.map((_, index) => index).sort((a, b) => columns.time[a] - columns.time[b]);
    for (const name of COLUMNS) columns[name] = order.map((index) => columns[name][index]);
  }
}
