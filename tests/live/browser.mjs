// Checks of the live page in a browser, called one by one by the test of the program:
//   node browser.mjs BASE_URL OUTPUT_FOLDER STEP [ARGUMENTS…]
// A check prints `ok STEP`, or a sentence and exits with 1.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { chromium } from "playwright-core";

const [base, output, step, ...values] = process.argv.slice(2);
const WAIT_MS = Number(process.env.WAIT_MS ?? 20_000);
const TABS = 7;
/** A stream brings something every 5 s. */
const LIVE_MS = 6000;
const LAUNCH = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-component-update"]
    .concat("disable-background-networking", "disable-sync")
    .map((name) => `--${name}`),
};
const DESKTOP = { viewport: { width: 1440, height: 900 } };
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };
const SMALL = { ...PHONE, viewport: { width: 320, height: 568 } };

class Failure extends Error {}

const check = (isTrue, sentence) => {
  if (!isTrue) throw new Failure(sentence);
};

/** A part of the page by the attribute that is kept for tests. */
const part = (page, name) => page.locator(`[data-test="${name}"]`);

const seriesLink = (key) => `#/s?${key === "" ? "" : new URLSearchParams({ key })}`;

/** Opens a page; `complaints` has what its console and the policy say against it. */
async function open(context, link) {
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    // Before the table's first commit there are no averages, which the page says itself.
    const isExpected = new URL(message.location().url || base).pathname.endsWith("api/averages");
    if (["error", "warning"].includes(message.type()) && !isExpected) complaints.push(message.text());
  });
  page.on("dialog", (dialog) => {
    complaints.push(`a script of somebody else has run: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => isForeign(request.url()) && complaints.push(`a request to ${request.url()}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  await page.goto(base + link);
  return { page, complaints };
}

const isForeign = (url) => !url.startsWith("data:") && new URL(url).origin !== new URL(base).origin;

/** Opens a page, and waits until it has readings. */
async function opened(browser, options = DESKTOP, link = "") {
  const context = await browser.newContext(options);
  const { page, complaints } = await open(context, link);
  await waitFor(async () => (await shownValue(page)) !== null, "The page shows no reading.");
  return { page, complaints, context };
}

const shownValue = async (page) => (await part(page, "read-value").getAttribute("data-value")) ?? null;

async function waitFor(isTrue, sentence, milliseconds = WAIT_MS) {
  const end = Date.now() + milliseconds;
  while (Date.now() < end) {
    if (await isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Failure(sentence);
}

async function openTable(page) {
  const table = part(page, "table");
  if ((await table.getAttribute("open")) === null) await table.locator("summary").click();
}

/** The page opens with readings of before, without a complaint. */
async function opens(browser) {
  const { page, complaints } = await opened(browser);
  await openTable(page);
  await waitFor(async () => (await part(page, "reading").count()) > 1, "The page opens without a history.");
  const isDrawn = await page.evaluate(() => {
    const canvas = document.querySelector("canvas");
    return canvas
      .getContext("2d")
      .getImageData(0, 0, canvas.width, canvas.height)
      .data.some((channel) => channel > 0);
  });
  check(isDrawn, "The plot is empty.");
  check((await part(page, "health").innerText()).trim().length > 3, "The header does not say how it goes.");
  check(complaints.length === 0, `The page complains: ${complaints.join("; ")}`);
}

/** A reading of a value appears in the series of a key, empty for a topic without keys. */
async function reading(browser, key, value) {
  const { page } = await opened(browser, DESKTOP, seriesLink(key));
  await openTable(page);
  console.log("waiting");
  const isShown = async () =>
    (await shownValue(page)) === value ||
    (await page.locator(`[data-test="reading"] [data-value="${value}"]`).count()) > 0;
  await waitFor(isShown, `The reading ${value} of ${key} does not appear.`);
}

/** The explanation of an anomaly appears. */
async function anomaly(browser, text) {
  const { page } = await opened(browser);
  const card = part(page, "explanation").filter({ hasText: text });
  await waitFor(async () => (await card.count()) > 0, `No anomaly is explained by "${text}".`);
}

/** The first anomaly is answered, and the answer is shown. */
async function answer(browser, note = "maintenance", by = "ada") {
  const { page, complaints } = await opened(browser);
  const card = part(page, "episode").first();
  await card.waitFor({ timeout: WAIT_MS });
  await card.locator('[data-test="explanation"]').click();
  const open = page.locator('[data-test="episode"].open');
  await open.locator('[data-test="expected"]').click();
  await open.locator('[data-test="note"]').fill(note);
  await open.locator('[data-test="by"]').fill(by);
  await open.locator('[data-test="send"]').click();
  const said = open.locator('[data-test="said"]');
  const isShown = async () => {
    const text = (await said.count()) > 0 ? await said.innerText() : "";
    return text.includes(note) && text.includes(by);
  };
  await waitFor(isShown, "The answer is not shown.");
  check(complaints.length === 0, `The page complains: ${complaints.join("; ")}`);
}

/** Seven pages of one browser are all live: browsers allow six connections. */
async function tabs(browser) {
  const context = await browser.newContext(DESKTOP);
  const pages = [];
  for (let index = 0; index < TABS; index++) pages.push((await open(context, "")).page);
  for (const page of pages) await waitFor(async () => (await shownValue(page)) !== null, "A page shows no reading.");
  const before = await Promise.all(pages.map((page) => changesOf(page)));
  console.log("waiting");
  const isLive = async (page, index) => (await changesOf(page)) > before[index];
  await Promise.all(
    pages.map((page, index) =>
      waitFor(() => isLive(page, index), `Tab ${index + 1} of ${TABS} hears of no change.`, LIVE_MS),
    ),
  );
}

const changesOf = (page) => page.evaluate(() => Number(document.documentElement.dataset.changes));

/** The page says that the server is away, and recovers once it is back. */
async function restart(browser) {
  const { page } = await opened(browser);
  console.log("ready");
  const banner = part(page, "banner");
  await waitFor(() => banner.isVisible(), "The page does not say that the server is away.", 3 * WAIT_MS);
  check(
    /^Not connected since \d\d:\d\d/.test(await banner.innerText()),
    `The page says "${await banner.innerText()}".`,
  );
  console.log("waiting");
  await waitFor(async () => !(await banner.isVisible()), "The page does not come back.", 6 * WAIT_MS);
  const before = await changesOf(page);
  await waitFor(async () => (await changesOf(page)) > before, "The page comes back, but hears of no change.");
}

/** Nothing that axe finds, in the dark, in the light and on a phone, with an anomaly open if there is one. */
async function axe(browser) {
  const script = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const views = {
    light: { ...DESKTOP, colorScheme: "light" },
    dark: { ...DESKTOP, colorScheme: "dark" },
    phone: PHONE,
    small: SMALL,
  };
  for (const [name, options] of Object.entries(views)) {
    const { page, context } = await opened(browser, { ...options, bypassCSP: true });
    await openTable(page);
    if ((await part(page, "episode").count()) > 0) {
      await part(page, "explanation").first().click();
      const expected = part(page, "expected");
      if ((await expected.count()) > 0) await expected.click();
    }
    await page.evaluate(script);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    const text = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`).join("; ");
    check(violations.length === 0, `axe finds, ${name}: ${text}`);
    await context.close();
  }
}

/** A series of any key is listed and named as text. */
async function hostile(browser, key) {
  const { page, complaints } = await opened(browser, DESKTOP, seriesLink(key));
  const shown = shownText(key);
  check(
    (await part(page, "series-title").innerText()).trim() === shown,
    `The title is not the text ${JSON.stringify(shown)}.`,
  );
  await page.getByRole("searchbox", { name: "Search series" }).fill(key.slice(0, 8).replace(/\p{C}.*/u, ""));
  const row = part(page, "series").filter({ has: page.getByText(shown, { exact: true }) });
  await waitFor(async () => (await row.count()) > 0, "The list does not have the key as text.");
  check((await page.evaluate(() => document.scripts.length)) === 2, "The key has become an element.");
  check(complaints.length === 0, `The page complains: ${complaints.join("; ")}`);
}

/** As the page shows controls and marks of direction. */
const shownText = (key) =>
  key
    .replace(/\p{Cc}/gu, (control) => String.fromCodePoint(0x2400 + control.codePointAt(0)))
    .replace(
      /[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
      (mark) => `‹U+${mark.codePointAt(0).toString(16).toUpperCase()}›`,
    );

/** Pictures of the page, of the series of a key if one is given, else as it opens. */
async function screenshots(browser, key) {
  const views = {
    "desktop-light": { ...DESKTOP, colorScheme: "light" },
    "desktop-dark": { ...DESKTOP, colorScheme: "dark" },
    phone: { ...PHONE, colorScheme: "light" },
    "phone-small": { ...SMALL, colorScheme: "dark" },
  };
  for (const [name, options] of Object.entries(views)) {
    const { page, context } = await opened(browser, options, key === undefined ? "" : seriesLink(key));
    if (name.startsWith("desktop") && (await part(page, "explanation").count()) > 0)
      await part(page, "explanation").first().click();
    await page.waitForTimeout(1000);
    await page.screenshot({ path: path.join(output, `live-${name}.png`) });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    check(width <= options.viewport.width, `The page is ${width} pixels wide, ${name}.`);
    await context.close();
  }
}

/** The link of an alert opens the page at its anomaly. */
async function link(browser, id, text) {
  const { page, complaints } = await opened(browser, DESKTOP, `#/e/${encodeURIComponent(id)}`);
  const open = page.locator('[data-test="episode"].open');
  await waitFor(
    async () => (await open.count()) > 0 && (await open.innerText()).includes(text),
    "The link does not open its anomaly.",
  );
  await waitFor(
    async () => (await part(page, "read-out").innerText()).includes("score"),
    "The cursor is not at the anomaly.",
  );
  check(complaints.length === 0, `The page complains: ${complaints.join("; ")}`);
}

/** What was said is taken back. */
async function withdraw(browser) {
  const { page } = await opened(browser);
  await part(page, "explanation").first().click();
  const open = page.locator('[data-test="episode"].open');
  await open.locator('[data-test="withdraw"]').click();
  await open.locator('[data-test="send"]').click();
  await waitFor(
    async () => (await open.locator('[data-test="said"]').count()) === 0,
    "What was withdrawn is still shown.",
  );
}

/** Wheel, keys and buttons move the plot; it stops to follow where it must, and goes back to now. */
async function moves(browser) {
  const { page, complaints } = await opened(browser);
  const isAway = () => part(page, "back-to-now").isVisible();
  await page.keyboard.press("Shift+ArrowLeft");
  await waitFor(isAway, "The plot follows on although somebody has moved it.");
  await page.keyboard.press("End");
  await waitFor(async () => !(await isAway()), "The plot does not go back to now.");
  await page.locator("#plot .u-over").hover();
  await page.mouse.wheel(0, -400);
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("?");
  await waitFor(() => page.locator("dialog#help").isVisible(), "The help does not open.");
  await page.keyboard.press("Escape");
  await page.keyboard.press("p");
  await waitFor(async () => (await page.locator('[data-test="episode"].open').count()) === 1, "No anomaly is gone to.");
  check(complaints.length === 0, `The page complains: ${complaints.join("; ")}`);
}

const steps = { opens, reading, anomaly, answer, tabs, restart, axe, hostile, screenshots, link, withdraw, moves };
const browser = await chromium.launch(LAUNCH);
try {
  check(Object.hasOwn(steps, step), `There is no step "${step}"; there are ${Object.keys(steps).join(", ")}.`);
  await steps[step](browser, ...values);
  console.log(`ok ${step}`);
} catch (failure) {
  console.error(failure instanceof Failure ? failure.message : failure);
  process.exitCode = 1;
} finally {
  await browser.close();
}
