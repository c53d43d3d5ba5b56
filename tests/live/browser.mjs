// Looks at the live page in Chromium, one check a run: node browser.mjs CHROMIUM URL CHECK [ARGUMENT ...]
//
// A check prints "ok" and ends with 0, or ends with 1 and a sentence. tests/it/live calls them.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const LIMIT_MS = 20000;
const DESKTOP = { width: 1400, height: 860 };
const PHONE = { width: 390, height: 844 };
const SMALLEST = { width: 320, height: 568 };

const [program, url, check, ...rest] = process.argv.slice(2);

/** What the browser complained about: errors, violations of the policy, and requests to others. */
const complaints = [];

async function open(browser, { viewport = DESKTOP, colorScheme = "light", bypassCSP = false, hash = "", context = null } = {}) {
  const inside = context ?? await browser.newContext({ viewport, colorScheme, bypassCSP, hasTouch: viewport.width < 700 });
  const page = await inside.newPage();
  page.setDefaultTimeout(LIMIT_MS);
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${error.message} ${error.stack}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) complaints.push(`asks ${request.url()}`);
  });
  await page.goto(url + hash);
  await shows(page, "newest", () => true);
  return page;
}

/** Waits until an element of the page has a text that fits. */
async function shows(page, test, fits, limitMs = LIMIT_MS) {
  const until = Date.now() + limitMs;
  let text = "";
  do {
    text = (await page.locator(`[data-test="${test}"]`).allTextContents()).join("\n");
    if (text !== "" && fits(text)) return text;
    await page.waitForTimeout(50);
  } while (Date.now() < until);
  throw new Error(`${test} shows ${JSON.stringify(text.slice(0, 500))} after ${limitMs} ms`);
}

function require_(holds, sentence) {
  if (!holds) throw new Error(sentence);
}

const CHECKS = {
  /** The page opens with a history that is drawn, and with nothing to complain about. */
  async opens(browser) {
    const page = await open(browser);
    await page.locator("summary", { hasText: "As a table" }).click();
    await page.waitForFunction(() => document.querySelectorAll("#reading-table tbody tr").length > 20);
    const colours = await page.evaluate(() => {
      const canvas = document.querySelector("canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    });
    require_(colours > 10, `the plot has ${colours} colours only`);
    await page.keyboard.press("ArrowLeft");
    await shows(page, "read-out", (text) => /\d/.test(text));
  },

  /** A reading of a value is shown within two seconds from when it was written: TIME in ms since 1970 on this clock. */
  async reading(browser, value, ready) {
    const page = await open(browser);
    console.log(ready);
    await shows(page, "newest", (text) => text.startsWith(`${value} `) || text.startsWith(value));
    console.log(`seen ${Date.now()}`);
  },

  /** An episode is shown with its explanation, and the link to it leads to its place. */
  async episode(browser, words, id) {
    const page = await open(browser, { hash: `#/e/${encodeURIComponent(id)}` });
    await shows(page, "episodes", (text) => text.includes(words));
    await page.locator(`.episode.chosen[data-id="${id}"]`).waitFor();
    await shows(page, "read-out", (text) => text.includes("anomaly"));
  },

  /** Somebody says that an episode was expected; the list shows it, and shows it no more once it is withdrawn. */
  async answer(browser, id, note) {
    const page = await open(browser);
    const card = page.locator(`[data-test="episode"][data-id="${id}"]`);
    await card.locator('[data-test="expected"]').click();
    await card.locator('[data-test="note"]').fill(note);
    await card.locator('[data-test="by"]').fill("Ada");
    await card.locator('[data-test="send"]').click();
    await card.locator('[data-test="said"]', { hasText: note }).waitFor();
    require_((await card.locator('[data-test="said"]').textContent()).includes("by Ada"), "the name is not shown");
  },

  async withdraw(browser, id) {
    const page = await open(browser);
    const card = page.locator(`[data-test="episode"][data-id="${id}"]`);
    await card.locator('[data-test="withdraw"]').click();
    await card.locator('[data-test="said"]').waitFor({ state: "detached" });
  },

  /** Seven tabs of one browser are all told of a new reading. */
  async tabs(browser, value, ready) {
    const context = await browser.newContext({ viewport: DESKTOP });
    const pages = [];
    for (let tab = 0; tab < 7; tab += 1) pages.push(await open(browser, { context }));
    console.log(ready);
    await Promise.all(pages.map((page) => shows(page, "newest", (text) => text.startsWith(value))));
  },

  /** The page says that the server is away, and goes on once it is back. */
  async restart(browser, value, ready) {
    const page = await open(browser);
    console.log(ready);
    await shows(page, "health", (text) => text.startsWith("Not connected since"), 60000);
    console.log("away");
    await shows(page, "health", (text) => !text.startsWith("Not connected"), 90000);
    await shows(page, "newest", (text) => text.startsWith(value), 60000);
    complaints.length = 0;
  },

  /** A series of any name is shown as text. */
  async hostile(browser, ...names) {
    const page = await open(browser);
    for (const name of names) {
      await page.locator("#search").fill(name.slice(0, 8));
      await page.locator('[data-test="series"]', { hasText: name.slice(0, 8) }).first().click();
      await page.waitForFunction((begin) => document.getElementById("series-name").textContent.startsWith(begin), name.slice(0, 8));
    }
    const added = await page.evaluate(() => document.querySelectorAll("main script, main img, main iframe").length);
    require_(added === 0, "a name became an element");
  },

  /** Nothing that a person who cannot see or point would miss; as far as axe knows. */
  async axe(browser) {
    const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    for (const options of [{}, { colorScheme: "dark" }, { viewport: PHONE }, { viewport: SMALLEST, colorScheme: "dark" }]) {
      const page = await open(browser, { ...options, bypassCSP: true });
      await page.locator("summary", { hasText: "As a table" }).click();
      await page.evaluate(source);
      const { violations } = await page.evaluate(() => globalThis.axe.run());
      const words = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
      require_(violations.length === 0, `${JSON.stringify(options)}: ${words.join("\n")}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      require_(overflow <= 0, `${JSON.stringify(options)}: it is ${overflow} px too wide`);
    }
  },

  /** Zooming, panning and going back to now. */
  async moves(browser) {
    const page = await open(browser);
    const follow = page.locator("#follow");
    await page.locator("#plot .u-over").hover();
    await page.mouse.wheel(0, -300);
    require_(await follow.getAttribute("aria-pressed") === "true", "zooming stops to follow");
    await page.keyboard.press("Shift+ArrowLeft");
    require_(await follow.getAttribute("aria-pressed") === "false", "panning does not stop to follow");
    await page.keyboard.press("0");
    require_(await follow.getAttribute("aria-pressed") === "true", "it does not go back to now");
    await page.keyboard.press("?");
    await page.locator("#help-dialog[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#open-health").click();
    await page.locator("#health-dialog", { hasText: "Records that are no readings" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("n");
    await page.locator(".episode.chosen").waitFor();
  },

  /** Pictures of the page, into a folder. */
  async pictures(browser, folder) {
    const views = { "live-light": {}, "live-dark": { colorScheme: "dark" }, "live-phone": { viewport: PHONE } };
    for (const [name, options] of Object.entries(views)) {
      const page = await open(browser, options);
      await page.waitForTimeout(1500);
      await page.screenshot({ path: join(folder, `${name}.png`) });
    }
  },
};

const browser = await chromium.launch({ executablePath: program, args: FLAGS });
try {
  await CHECKS[check](browser, ...rest);
  require_(complaints.length === 0, `the browser complains: ${complaints.join("\n")}`);
  console.log("ok");
} catch (error) {
  console.error(`${check}: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
