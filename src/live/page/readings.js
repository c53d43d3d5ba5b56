// The readings of one series that are loaded, by column and in the order of time.

const COLUMNS = ["time", "value", "lower", "upper", "expected", "score", "is_anomaly"];
/** A pause so many times the usual one is a gap. */
const GAP = 4;

export class Readings {
  constructor() {
    for (const column of COLUMNS) this[column] = [];
    this.cursor = 0;
    this.isThinned = false;
    /** The stretch that is held by the server at all. */
    this.heldFromMs = null;
    this.heldToMs = null;
  }

  /** @param {object} history an answer of api/points */
  static of(history) {
    const readings = new Readings();
    for (const column of COLUMNS) readings[column] = history[column];
    readings.cursor = history.cursor;
    readings.isThinned = history.is_thinned;
    readings.heldFromMs = history.from_ms;
    readings.heldToMs = history.to_ms;
    return readings;
  }

  get length() {
    return this.time.length;
  }

  /**
   * Adds what came. Returns false if something in between was missed.
   * @param {object} points of a message of changes
   */
  add(points) {
    if (points.first > this.cursor) return false;
    const known = this.cursor - points.first;
    for (let index = Math.max(0, known); index < points.time.length; index += 1) this.insert(points, index);
    this.cursor = Math.max(this.cursor, points.cursor);
    return true;
  }

  insert(points, index) {
    const time = points.time[index];
    let place = this.time.length;
    while (place > 0 && this.time[place - 1] > time) place -= 1;
    for (const column of COLUMNS) this[column].splice(place, 0, points[column][index]);
    this.heldFromMs = Math.min(this.heldFromMs ?? time, time);
    this.heldToMs = Math.max(this.heldToMs ?? time, time);
  }

  /** What is usual between two readings, in milliseconds. */
  usualPause() {
    const pauses = [];
    for (let index = Math.max(1, this.length - 500); index < this.length; index += 1) {
      pauses.push(this.time[index] - this.time[index - 1]);
    }
    pauses.sort((left, right) => left - right);
    return pauses[Math.floor(pauses.length / 2)] || 60000;
  }

  /** The newest stretch without a gap, of at most so many readings. */
  newestStretch(most) {
    const last = this.length - 1;
    if (last < 0) return null;
    const gap = this.usualPause() * 3 * GAP;
    let first = last;
    while (first > 0 && last - first < most && this.time[first] - this.time[first - 1] <= gap) first -= 1;
    return { fromMs: this.time[first], toMs: this.time[last] };
  }

  /** The columns as uPlot wants them, with a hole in each gap. */
  drawn() {
    // A stretch that is thinned has longer pauses of its own.
    const gap = this.usualPause() * GAP;
    const columns = [[], [], [], []];
    for (let index = 0; index < this.length; index += 1) {
      const time = this.time[index];
      const before = this.time[index - 1];
      if (index > 0 && time - before > gap) push(columns, (before + 1) / 1000, null, null, null);
      push(columns, time / 1000, this.value[index], this.lower[index], this.upper[index]);
    }
    return columns;
  }

  /** The place of the reading nearest to a time; -1 if there is none. */
  nearest(ms) {
    let low = 0;
    let high = this.length - 1;
    if (high < 0) return -1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.time[middle] <= ms) low = middle;
      else high = middle;
    }
    return ms - this.time[low] <= this.time[high] - ms ? low : high;
  }

  /** The first place at or after a time. */
  placeOf(ms) {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.time[middle] < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function push(columns, ...values) {
  values.forEach((value, index) => columns[index].push(value));
}
