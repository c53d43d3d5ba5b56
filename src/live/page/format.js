// Numbers, times and names as they are shown.

/** The zone in which all times are shown; an IANA name. */
let timeZone = "UTC";
const formats = new Map();

/** @param {string} zone */
export function useTimeZone(zone) {
  timeZone = zone;
  formats.clear();
}

/** What a series is called that has no key. */
let topic = "";

/** @param {string} name of the topic that is read as one series */
export function useTopic(name) {
  topic = name;
}

/** @returns {string} */
export function shownTimeZone() {
  return timeZone;
}

function format(name, options) {
  if (!formats.has(name)) {
    formats.set(name, new Intl.DateTimeFormat("en-GB", { timeZone, hourCycle: "h23", ...options }));
  }
  return formats.get(name);
}

/** A wall time with its weekday: "Tue 2024-03-05 08:10". @param {number} ms */
export function time(ms) {
  const parts = {};
  const options = { weekday: "short", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
  for (const { type, value } of format("time", options).formatToParts(ms)) parts[type] = value;
  const seconds = parts.second === "00" ? "" : `:${parts.second}`;
  return `${parts.weekday} ${parts.year}-${parts.month}-${parts.day} ${parts.hour}:${parts.minute}${seconds}`;
}

/** A time of day. @param {number} ms */
export function clock(ms) {
  return format("clock", { hour: "2-digit", minute: "2-digit" }).format(ms);
}

/** A number with five digits that count. @param {number | null | undefined} number */
export function number(value) {
  if (value === null || value === undefined) return "";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e9 || size < 1e-4) return value.toExponential(3);
  return String(Number(value.toPrecision(Math.max(5, Math.floor(Math.log10(size)) + 1))));
}

/** A number with its unit. */
export function quantity(value, unit) {
  if (value === null || value === undefined) return "nothing";
  return unit ? `${number(value)} ${unit}` : number(value);
}

/** A duration in the two largest units that fit. @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [name, size] = units[first];
  const whole = Math.floor(seconds / size);
  const rest = units[first + 1];
  const more = rest ? Math.floor((seconds - whole * size) / rest[1]) : 0;
  return more > 0 ? `${whole} ${name} ${more} ${rest[0]}` : `${whole} ${name}`;
}

/** A duration in one unit. @param {number} ms */
export function roughDuration(ms) {
  return duration(ms).split(" ").slice(0, 2).join(" ");
}

/** Characters that have an effect instead of a glyph, shown as what they are. @param {string} text */
export function printable(text) {
  return text.replace(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (letter) => {
    return `\\u{${letter.codePointAt(0).toString(16)}}`;
  });
}

/** The name of a series. @param {{key: string | null, measure: string | null}} series */
export function seriesName(series) {
  const key = printable(series.key ?? topic);
  return series.measure === null ? key : `${key} · ${printable(series.measure)}`;
}

/** Whether two series are the same. */
export function isSameSeries(left, right) {
  return left !== null && right !== null && left.key === right.key && left.measure === right.measure;
}

/** What identifies a series, as one text. */
export function seriesId(series) {
  return JSON.stringify([series.key, series.measure]);
}

/** A time for an input of the kind datetime-local, in the zone of the browser, which such inputs have. @param {number} ms */
export function localInput(ms) {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
}
