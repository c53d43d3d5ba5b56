"use strict";
(() => {
  const { unit, series: all } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const SHOWN_ROWS = 500;
  /** A step so many times the usual one is a gap, over which no line is drawn. */
  const GAP_STEPS = 10;
  /** The steps on view after a jump to an anomaly. */
  const JUMP_STEPS = 300;

  let current = all[0];
  let here = null;
  let plots = [];

  /** The columns of a series, with an empty point after every gap. */
  function decode(series) {
    if (series.columns) return series.columns;
    const counts = new Map();
    for (let i = 0; i < series.steps.length; i += 2) {
      const step = series.steps[i];
      counts.set(step, (counts.get(step) || 0) + series.steps[i + 1]);
    }
    const usual = [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] || 1;
    const times = [], values = [], lower = [], upper = [], scores = [];
    const push = (time, index) => {
      times.push(time);
      values.push(index < 0 ? null : series.values[index]);
      lower.push(index < 0 || !series.lower ? null : series.lower[index]);
      upper.push(index < 0 || !series.upper ? null : series.upper[index]);
      scores.push(index < 0 ? null : series.scores[index]);
    };
    let time = series.start, index = 0;
    push(time, index++);
    for (let i = 0; i < series.steps.length; i += 2) {
      const step = series.steps[i];
      for (let n = 0; n < series.steps[i + 1]; n++) {
        if (step > GAP_STEPS * usual) push(time + usual, -1);
        time += step;
        push(time, index++);
      }
    }
    const alarms = times.map(() => null);
    for (const [at, value, , severity] of series.alerts) {
      const place = nearest(times, at);
      if (severity !== "cleared") alarms[place] = value ?? values[place];
    }
    series.columns = { times, values, lower, upper, scores, alarms, usual };
    return series.columns;
  }

  function nearest(times, at) {
    let low = 0, high = times.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] < at) low = middle + 1; else high = middle;
    }
    return low;
  }

  const number = (value) =>
    value == null ? "–" : Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-3)
      ? value.toPrecision(5) : String(+value.toPrecision(6));
  const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  function moment(time) {
    if (time == null) return "–";
    const date = new Date(time);
    const text = date.toISOString().replace("T", " ").slice(0, time % 60000 ? 19 : 16);
    return DAYS[date.getUTCDay()] + " " + text;
  }

  /** The range of the values on view; the band may take up to half as much again on either side. */
  function valueRange(plot) {
    const { values, lower, upper } = decode(current);
    const [first, last] = plot.series[0].idxs || [0, values.length - 1];
    let least = Infinity, most = -Infinity, lowest = Infinity, highest = -Infinity;
    for (let i = first; i <= last; i++) {
      if (values[i] != null) { least = Math.min(least, values[i]); most = Math.max(most, values[i]); }
      if (lower[i] != null) lowest = Math.min(lowest, lower[i]);
      if (upper[i] != null) highest = Math.max(highest, upper[i]);
    }
    if (least > most) return [0, 1];
    const size = Math.max(most - least, Math.abs(most) * 1e-3, 1e-9);
    lowest = Math.max(Math.min(lowest, least), least - size / 2);
    highest = Math.min(Math.max(highest, most), most + size / 2);
    const margin = (highest - lowest || size) * 0.06;
    return [lowest - margin, highest + margin];
  }

  function drawWindows(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = color("--window");
    for (const [first, last] of current.windows) {
      const left = Math.max(plot.valToPos(first, "x", true), bbox.left);
      const right = Math.min(plot.valToPos(last, "x", true), bbox.left + bbox.width);
      if (right > left) ctx.fillRect(left, bbox.top, Math.max(right - left, 1), bbox.height);
    }
    ctx.restore();
  }

  function drawHere(plot) {
    if (here == null) return;
    const { ctx, bbox } = plot;
    const at = plot.valToPos(current.alerts[here][0], "x", true);
    if (at < bbox.left || at > bbox.left + bbox.width) return;
    ctx.save();
    ctx.strokeStyle = color("--mark");
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  }

  function drawThreshold(plot) {
    const { ctx, bbox } = plot;
    const at = plot.valToPos(current.threshold, "y", true);
    if (at < bbox.top || at > bbox.top + bbox.height) return;
    ctx.save();
    ctx.strokeStyle = color("--mark");
    ctx.beginPath();
    ctx.moveTo(bbox.left, at);
    ctx.lineTo(bbox.left + bbox.width, at);
    ctx.stroke();
    ctx.restore();
  }

  let isFollowing = false;
  function follow(plot, scale) {
    if (scale !== "x" || isFollowing) return;
    isFollowing = true;
    const { min, max } = plot.scales.x;
    for (const other of plots) if (other !== plot) other.setScale("x", { min, max });
    isFollowing = false;
  }

  /** How times are written along the axis, by the distance of its ticks: as ISO 8601 has them, the day below. */
  const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
  const AXIS_TIMES = [
    [365 * DAY, "{YYYY}", null, null, null, null, null, null, 1],
    [28 * DAY, "{YYYY}-{MM}", null, null, null, null, null, null, 1],
    [DAY, "{MM}-{DD}", "\n{YYYY}", null, null, null, null, null, 1],
    [MINUTE, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
    [SECOND, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{MM}-{DD}", null, null, null, 1],
    [1, "{ss}.{fff}", "\n{YYYY}-{MM}-{DD} {HH}:{mm}", null, "\n{MM}-{DD} {HH}:{mm}", null, "\n{HH}:{mm}", null, 1],
  ];

  function axes(label) {
    const style = { stroke: color("--muted"), grid: { stroke: color("--rule"), width: 1 }, ticks: { stroke: color("--rule") } };
    return [
      { ...style, values: AXIS_TIMES },
      { ...style, label, size: 64, labelSize: 20, values: (_, ticks) => ticks.map(number) },
    ];
  }

  function options(height, hooks, ranges, label, series) {
    return {
      width: byId("plot").clientWidth, height, ms: 1,
      tzDate: (time) => uPlot.tzDate(new Date(time), "Etc/UTC"),
      cursor: { sync: { key: "report" }, drag: { x: true, y: false }, points: { size: 7 } },
      scales: { x: { time: true }, y: { range: ranges } },
      axes: axes(label),
      hooks: { setScale: [follow], ...hooks },
      series: [{ label: "time", value: (_, time) => moment(time) }, ...series],
    };
  }

  function valueOptions() {
    const text = (_, value) => number(value);
    const height = Math.max(220, Math.min(440, window.innerHeight * 0.5));
    const bound = { stroke: "transparent", points: { show: false }, value: text };
    const opts = options(height, { drawClear: [drawWindows], draw: [drawHere] }, valueRange, unit || "value", [
      { ...bound, label: "upper" },
      { ...bound, label: "lower" },
      { label: "value", stroke: color("--line"), width: 1.2, value: text },
      {
        label: "anomaly", stroke: color("--alarm"), paths: () => null, value: text,
        points: { show: true, size: 9, fill: color("--alarm"), stroke: color("--alarm") },
      },
    ]);
    opts.bands = [{ series: [1, 2], fill: color("--band") }];
    return opts;
  }

  function scoreOptions() {
    const range = (_, least, most) => [Math.min(0, least ?? 0), Math.max(current.threshold, most ?? 1) * 1.1 || 1];
    return options(130, { draw: [drawThreshold, drawHere] }, range, "score", [
      { label: "score", stroke: color("--line"), width: 1, value: (_, value) => number(value), points: { show: false } },
    ]);
  }

  function draw(keepView) {
    const view = keepView && plots[0] ? { ...plots[0].scales.x } : null;
    plots.forEach((plot) => plot.destroy());
    const { times, values, lower, upper, scores, alarms } = decode(current);
    isFollowing = true;
    plots = [
      new uPlot(valueOptions(), [times, upper, lower, values, alarms], byId("plot")),
      new uPlot(scoreOptions(), [times, scores], byId("score")),
    ];
    isFollowing = false;
    if (view) show(view.min, view.max);
  }

  function show(min, max) {
    plots[0].setScale("x", { min, max });
  }

  function whole() {
    const { times, usual } = decode(current);
    show(times[0], Math.max(times[times.length - 1], times[0] + usual));
  }

  /** Moves the view by a part of its width, and makes it so many times as wide. */
  function move(part, zoom) {
    const { min, max } = plots[0].scales.x;
    const { times } = decode(current);
    const [first, last] = [times[0], times[times.length - 1]];
    const width = Math.min(Math.max((max - min) * zoom, 4 * decode(current).usual), last - first);
    const middle = (min + max) / 2 + part * (max - min);
    const left = Math.min(Math.max(middle - width / 2, first), last - width);
    show(left, left + width);
  }

  function jump(index) {
    if (!current.alerts.length) return;
    here = (index + current.alerts.length) % current.alerts.length;
    const { times, usual } = decode(current);
    const at = current.alerts[here][0];
    const half = (JUMP_STEPS * usual) / 2;
    show(Math.max(at - half, times[0]), Math.min(at + half, Math.max(times[times.length - 1], times[0] + usual)));
    plots.forEach((plot) => plot.redraw(false));
    document.querySelectorAll("tr.here").forEach((row) => row.classList.remove("here"));
    document.querySelector(`#alerts tr[data-jump="${here}"]`)?.classList.add("here");
  }

  function cell(row, text, name) {
    const cell = row.insertCell();
    cell.textContent = text;
    if (name) cell.className = name;
    return cell;
  }

  function list(limit) {
    const body = byId("alerts").tBodies[0];
    body.replaceChildren();
    current.alerts.slice(0, limit).forEach(([time, value, expected, severity, cause, explanation, lasted], index) => {
      const row = body.insertRow();
      row.dataset.jump = index;
      const button = document.createElement("button");
      button.className = "link";
      button.textContent = moment(time);
      cell(row, "", "time").append(button);
      cell(row, lasted, "number");
      cell(row, number(value), "number");
      cell(row, expected, "number");
      cell(row, severity, severity);
      cell(row, cause);
      cell(row, explanation);
    });
    byId("more").hidden = current.alerts.length <= limit;
    byId("more").textContent = `Show all ${current.alerts.length.toLocaleString("en")}`;
    byId("none").hidden = current.alerts.length > 0;
  }

  function select(index) {
    current = all[index];
    here = null;
    byId("series").value = index;
    byId("thinned").textContent = current.thinned || "";
    byId("title").textContent = current.name;
    byId("windows").hidden = !current.windows.length;
    byId("band").hidden = !current.upper && !current.lower;
    list(SHOWN_ROWS);
    draw(false);
  }

  all.forEach((series, index) => byId("series").add(new Option(`${series.name} (${series.alerts.length})`, index)));
  byId("choice").hidden = all.length < 2;
  byId("series").addEventListener("change", (event) => select(+event.target.value));
  byId("more").addEventListener("click", () => list(Infinity));
  byId("alerts").addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-jump]");
    if (!row) return;
    jump(+row.dataset.jump);
    byId("title").scrollIntoView({ behavior: "smooth", block: "start" });
  });
  document.querySelectorAll("[data-series]").forEach((button) =>
    button.addEventListener("click", () => { select(+button.dataset.series); byId("title").scrollIntoView(); }));
  const actions = {
    whole, in: () => move(0, 0.5), out: () => move(0, 2), left: () => move(-0.5, 1), right: () => move(0.5, 1),
    previous: () => jump((here ?? current.alerts.length) - 1), next: () => jump((here ?? -1) + 1),
  };
  document.querySelectorAll("[data-action]").forEach((button) =>
    button.addEventListener("click", actions[button.dataset.action]));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
  new ResizeObserver(() => {
    const width = byId("plot").clientWidth;
    plots.forEach((plot) => plot.width !== width && plot.setSize({ width, height: plot.height }));
  }).observe(byId("plot"));

  select(0);
})();
