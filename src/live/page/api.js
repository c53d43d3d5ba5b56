// What is asked of the server. Addresses are relative: a proxy may have put a path before the page.

/** An answer that is no good one: its status, and the sentence that the server gave. */
export class Refusal extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

const PATIENCE_MS = 20000;

async function answered(path, options) {
  const answer = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) });
  const body = await answer.json().catch(() => null);
  if (answer.ok) return body;
  throw new Refusal(answer.status, body?.error ?? `the server answers ${answer.status}`);
}

function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
}

/** @param {string} path @param {Record<string, unknown>} [parameters] */
export function ask(path, parameters = {}) {
  return answered(`api/${path}?${query(parameters)}`, {});
}

/** @param {string} path @param {object} body */
export function send(path, body) {
  const headers = { "Content-Type": "application/json" };
  return answered(`api/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
}

/** The address of the stream from a position on. */
export function streamAddress(position) {
  return `events?${query(position)}`;
}
