// Tests of what the live page's parts compute, without a browser: node --test

import assert from "node:assert/strict";
import test from "node:test";
import { bandText, dateField, endOfDay, moment, number, setTimeZone } from "../../src/live/page/format.js";
import { History } from "../../src/live/page/history.js";
import { episodeLink, parseLink, seriesLink } from "../../src/live/page/link.js";
import { visible } from "../../src/live/page/names.js";
import { View } from "../../src/live/page/view.js";

const range = (first, end) => Array.from({ length: end - first }, (_, index) => first + index);

function points(time, more = {}) {
  const none = time.map(() => null);
  const columns = {
    time,
    value: time,
    lower: none,
    upper: none,
    expected: none,
    score: none,
    is_anomaly: time.map(() => 0),
  };
  return { ...columns, first: 0, cursor: time.length, is_thinned: false, to_ms: time.at(-1) ?? null, ...more };
}

const readings = (history) => history.columns.time.filter((_, index) => !history.isGap(index));

test("changes that are known already are not added twice", () => {
  const history = new History(points(range(0, 10)));
  assert.ok(history.append(points(range(8, 12), { first: 8, cursor: 12 })));
  assert.deepEqual(readings(history), range(0, 12));
});

test("changes that do not follow on are refused", () => {
  const history = new History(points(range(0, 10)));
  assert.equal(history.append(points([11], { first: 11, cursor: 12 })), false);
  assert.deepEqual(readings(history), range(0, 10));
});

test("a range that was loaded keeps what came meanwhile, and the newest that thinning left out", () => {
  const history = new History(points([0, 3, 7, 12, 14, 19], { is_thinned: true, cursor: 25, to_ms: 24 }));
  assert.ok(history.append(points(range(25, 30), { first: 25, cursor: 30 })));
  history.replace(points(range(5, 28), { to_ms: 27 }), 5, 40);
  assert.deepEqual(readings(history), [0, 3, ...range(5, 30)]);
});

test("a range beyond the newest reading changes nothing", () => {
  const history = new History(points(range(0, 10)));
  history.replace(points([]), 20, 30);
  assert.deepEqual(readings(history), range(0, 10));
});

test("late readings go where they belong", () => {
  const history = new History(points(range(0, 10)));
  assert.ok(history.append(points([12, 11], { first: 10, cursor: 12 })));
  assert.deepEqual(readings(history), [...range(0, 10), 11, 12]);
});

test("a gap is one empty row, and nothing is nearest to it but readings", () => {
  const history = new History(points([...range(0, 10), ...range(50, 60)]));
  assert.equal(history.columns.value.filter((value) => value === null).length, 1);
  assert.equal(history.columns.time[history.nearest(20)], 9);
  assert.equal(history.columns.time[history.neighbor(9, 1)], 50);
});

test("a view follows until it is panned, and again when told to", () => {
  const view = new View();
  view.limit({ oldest: 0, newest: 1000, least: 10 });
  view.follow(100);
  view.limit({ oldest: 0, newest: 2000, least: 10 });
  assert.equal(view.to, 2003);
  view.pan(-1);
  const { from } = view;
  view.limit({ oldest: 0, newest: 3000, least: 10 });
  assert.equal(view.from, from);
  assert.equal(view.isFollowing, false);
  view.follow();
  assert.equal(view.to, 3003);
});

test("a view wider than the history grows with it", () => {
  const view = new View();
  view.follow(1000);
  view.limit({ oldest: 0, newest: 100, least: 10 });
  assert.ok(view.width < 120);
  view.limit({ oldest: 0, newest: 5000, least: 10 });
  assert.equal(view.width, 1000);
});

test("links lead back to what they were made from", () => {
  assert.deepEqual(parseLink(episodeLink("usage/3/1234/0")), { kind: "episode", id: "usage/3/1234/0" });
  for (const series of [
    { key: null, measure: null },
    { key: "", measure: "kW" },
    { key: "a&b=c#/%", measure: null },
  ]) {
    assert.deepEqual(parseLink(seriesLink(series)), { kind: "series", ...series });
  }
  assert.equal(parseLink("#/e/%ff"), null);
  assert.equal(parseLink(""), null);
});

test("controls and marks of direction are shown", () => {
  assert.equal(visible("a\nb\u0000\u007f\u0085\u202e"), "a␊b␀␡‹U+0085›‹U+202E›");
});

test("times and days are those of the zone", () => {
  setTimeZone("America/New_York");
  assert.equal(moment(Date.UTC(2024, 2, 5, 19)), "Tue 2024-03-05 14:00");
  assert.equal(endOfDay("2024-03-10"), Date.UTC(2024, 2, 11, 4));
  assert.equal(dateField(Date.UTC(2024, 2, 11, 3, 59)), "2024-03-10");
  assert.equal(setTimeZone("Nowhere/Land"), "UTC");
});

test("numbers and bands are short", () => {
  assert.equal(number(0.1 + 0.2), "0.3");
  assert.equal(number(null), "–");
  assert.equal(bandText({ lower: null, upper: 80 }), "at most 80");
});

test("zooming in elsewhere than at the newest reading stops following", () => {
  const view = new View();
  view.limit({ oldest: 0, newest: 1000, least: 10 });
  view.follow(100);
  view.zoom(0.5, view.to);
  assert.ok(view.isFollowing);
  const at = view.from + 10;
  view.zoom(0.5, at);
  assert.equal(view.isFollowing, false);
  assert.ok(view.from < at && at < view.to && view.to < 1000);
});
