/** Numbers and times as text. Times are shown in the zone that the server is set to, wherever the viewer is. */

/** What is shown where there is nothing to show. */
const NONE = "–";
const HOUR_MS = 3_600_000;

let zone = "UTC";
let formats = makeFormats();

function makeFormats() {
  const make = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
  const date = { year: "numeric", month: "2-digit", day: "2-digit" };
  const time = { hour: "2-digit", minute: "2-digit" };
  return {
    moment: make({ weekday: "short", ...date, ...time, second: "2-digit" }),
    time: make({ ...time, second: "2-digit" }),
  };
}

/**
 * @param {string} name of the IANA data base. One that this browser does not know is answered by UTC.
 * @returns {string} the zone that is used
 */
export function setTimeZone(name) {
  zone = name;
  try {
    formats = makeFormats();
  } catch {
    zone = "UTC";
    formats = makeFormats();
  }
  return zone;
}

export const timeZone = () => zone;

/**
 * @param {number | null | undefined} value
 * @returns {string}
 */
export function number(value) {
  if (value == null) return NONE;
  const isExtreme = Math.abs(value) >= 1e9 || (value !== 0 && Math.abs(value) < 1e-3);
  return isExtreme ? value.toPrecision(4) : String(Number(value.toPrecision(6)));
}

/**
 * @param {number} amount
 * @returns {string} with thousands apart: 12,000
 */
export const count = (amount) => amount.toLocaleString("en");

/**
 * @param {number} amount
 * @param {string} one
 * @returns {string} `1 reading`, `2 readings`
 */
export const counted = (amount, one) => `${count(amount)} ${one}${amount === 1 ? "" : "s"}`;

function parts(time) {
  return Object.fromEntries(formats.moment.formatToParts(time).map(({ type, value }) => [type, value]));
}

/**
 * @param {number | null | undefined} time
 * @returns {string} `Tue 2024-03-05 14:00`, with seconds where there are some
 */
export function moment(time) {
  if (time == null) return NONE;
  const { weekday, year, month, day, hour, minute, second } = parts(time);
  return `${weekday} ${year}-${month}-${day} ${hour}:${minute}${second === "00" ? "" : `:${second}`}`;
}

/**
 * @param {number | null | undefined} time
 * @returns {string} `14:00:05`
 */
export const clockTime = (time) => (time == null ? NONE : formats.time.format(time));

/**
 * The end of a stretch, without the day if that is the one of its beginning.
 * @param {number} since
 * @param {number} until
 * @returns {string}
 */
export function endOfStretch(since, until) {
  const [first, last] = [moment(since), moment(until)];
  return first.slice(0, 14) === last.slice(0, 14) ? last.slice(15) : last;
}

/**
 * @param {number} time
 * @returns {string} the weekday and hour, as in `Tue 14:00`
 */
export function timeOfWeek(time) {
  const { weekday, hour } = parts(time);
  return `${weekday} around ${hour}:00`;
}

/**
 * @param {number} time
 * @returns {string} `2024-03-05`, as a date field has it
 */
export function dateField(time) {
  const { year, month, day } = parts(time);
  return `${year}-${month}-${day}`;
}

/**
 * The moment at which a day is over in the zone, of which the hours of 23 to 25 are tried: days of 23 hours exist.
 * @param {string} date `2024-03-05`
 * @returns {number | null}
 */
export function endOfDay(date) {
  const noonUtc = Date.parse(`${date}T12:00:00Z`);
  if (Number.isNaN(noonUtc)) return null;
  let time = noonUtc - 26 * HOUR_MS;
  while (dateField(time) <= date) time += HOUR_MS / 4;
  return time;
}

/**
 * @param {{lower: number | null, upper: number | null}} band
 * @returns {string | null} `60 to 80`, `at most 80`
 */
export function bandText({ lower, upper }) {
  if (lower != null && upper != null) return `${number(lower)} to ${number(upper)}`;
  if (lower != null) return `at least ${number(lower)}`;
  return upper != null ? `at most ${number(upper)}` : null;
}
