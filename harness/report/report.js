"use strict";
// The page's only script: theme, tooltips of charts, printing, and the timeline. All text is set with textContent.
(() => {
  const byId = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";

  function element(name, attributes = {}, text = null) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    return made;
  }

  function shape(name, attributes, parent, text = null) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== null) made.textContent = text;
    if (parent) parent.appendChild(made);
    return made;
  }

  // --- theme ---------------------------------------------------------------------------------------------------------

  const themes = ["system", "light", "dark"];
  const themeButton = byId("theme");
  function setTheme(name) {
    if (name === "system") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", name);
    themeButton.textContent = `Theme: ${name}`;
  }
  function remembered() {
    try { return localStorage.getItem("slotwise-theme"); } catch { return null; } // a file may have no storage
  }
  let theme = themes.includes(remembered()) ? remembered() : "system";
  setTheme(theme);
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    setTheme(theme);
    try { localStorage.setItem("slotwise-theme", theme); } catch { /* then it is not remembered */ }
  });

  // --- tooltips of charts: what Vega wrote for screen readers ---------------------------------------------------------

  const tip = element("div", { id: "tip", hidden: "", "aria-hidden": "true" });
  document.body.appendChild(tip);
  document.addEventListener("pointermove", (event) => {
    const mark = event.target instanceof Element ? event.target.closest(".chart [aria-roledescription][aria-label]") : null;
    const about = mark && /symbol|bar|tick|point|circle|rule/.test(mark.getAttribute("aria-roledescription"))
      ? mark.getAttribute("aria-label") : null;
    tip.hidden = !about;
    if (!about) return;
    tip.textContent = about.split("; ").map(shorter).join("\n");
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 8))}px`;
    tip.style.top = `${event.clientY + 16 + box.height > innerHeight ? event.clientY - box.height - 8 : event.clientY + 16}px`;
  });
  function shorter(line) {
    const [, name, value] = /^(.*): (.*)$/.exec(line) || [null, "", line];
    return name && value !== "" && isFinite(value) ? `${name}: ${+(+value).toPrecision(4)}` : line;
  }

  // --- printing: what is folded is shown -------------------------------------------------------------------------------

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const each of opened) each.open = true;
  });
  addEventListener("afterprint", () => { for (const each of opened) each.open = false; });

  // --- timeline --------------------------------------------------------------------------------------------------------

  const app = byId("timeline-app");
  if (!app) return;
  const data = JSON.parse(byId("timeline-data").textContent);
  const text = (number) => (number === null ? "" : data.texts[number]);
  const timelines = data.timelines.map((of) => ({
    ...of,
    calls: of.calls.map((row) => Object.fromEntries(row.map((value, i) => [data.fields[i], value]))),
  }));
  const pipelines = [...new Set(timelines.flatMap((of) => of.calls.map((call) => call.pipeline_text)))].sort((a, b) => a - b);
  const colour = (call) => `var(--p${pipelines.indexOf(call.pipeline_text) % 8})`;

  const view = byId("timeline-view");
  const LANE = 20, GAP = 3, QUEUE = 34, HEAD = 24, AXIS = 22, LEFT = 58, RIGHT = 8;
  let shown = 0;        // which trial
  let from = 0, to = 1; // seconds in view
  let chosen = -1;      // index into the calls of the trial
  let width = 0;

  const current = () => timelines[shown];
  const endOf = (of) => (of.until_s !== null ? Math.max(1e-6, of.until_s)
    : of.calls.reduce((end, call) => Math.max(end, call.end_s), Math.max(1e-6, of.makespan_s)));

  function seconds(value) {
    const size = Math.abs(value);
    if (size === 0) return "0 s";
    if (size < 0.01) return `${(value * 1000).toFixed(1)} ms`;
    if (size < 0.9995) return `${(value * 1000).toFixed(0)} ms`;
    if (size < 9.995) return `${value.toFixed(2)} s`;
    if (size < 119.95) return `${value.toFixed(1)} s`;
    const whole = Math.round(size);
    return `${value < 0 ? "−" : ""}${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  }

  function lanesOf(server, number) {
    const failed = current().calls.some((call) => call.server === number && call.lane === null);
    return server.lanes + (failed ? 1 : 0); // those that failed have a line of their own
  }

  function laneY(number, lane) {
    let y = 0;
    current().servers.slice(0, number).forEach((server, i) => { y += HEAD + lanesOf(server, i) * (LANE + GAP) + QUEUE + 14; });
    return y + HEAD + (lane === null ? current().servers[number].lanes : lane) * (LANE + GAP);
  }

  const x = (time) => LEFT + ((time - from) / (to - from)) * (width - LEFT - RIGHT);

  function clip(start, end) {
    const a = Math.max(LEFT, x(start)), b = Math.min(width - RIGHT, x(end));
    return b < LEFT || a > width - RIGHT ? null : [a, Math.max(b - a, 0.75)];
  }

  function draw() {
    const of = current();
    width = Math.max(280, Math.round(view.getBoundingClientRect().width));
    const last = of.servers.length - 1;
    const height = last < 0 ? AXIS : laneY(last, 0) + lanesOf(of.servers[last], last) * (LANE + GAP) + QUEUE + AXIS;
    view.setAttribute("viewBox", `0 0 ${width} ${height}`);
    view.style.height = `${height}px`;
    view.replaceChildren();
    ticks(height);
    of.servers.forEach((server, number) => {
      const slots = server.slots === null ? "slots not known" : server.slots === 1 ? "1 slot" : `${server.slots} slots`;
      shape("text", { x: 0, y: laneY(number, 0) - 7, class: "server" }, view, `${text(server.name)}: ${slots}`);
      for (let lane = 0; lane < server.lanes; lane++) {
        const y = laneY(number, lane);
        shape("rect", { x: LEFT, y, width: width - LEFT - RIGHT, height: LANE, class: "lane" }, view);
        shape("text", { x: 0, y: y + 14 }, view, `slot ${lane + 1}`);
      }
      if (lanesOf(server, number) > server.lanes) shape("text", { x: 0, y: laneY(number, null) + 14 }, view, "failed");
      queue(server, number);
    });
    of.calls.forEach((call, i) => bar(call, i));
    mark();
  }

  function ticks(height) {
    const raw = (to - from) / Math.max(2, Math.floor((width - LEFT) / 110));
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    for (let n = Math.ceil(from / step - 1e-9); n * step <= to + step * 1e-6; n++) {
      const at = x(n * step);
      shape("line", { x1: at, x2: at, y1: HEAD - 4, y2: height - AXIS + 4, class: "tick" }, view);
      const anchor = at > width - 40 ? "end" : "middle";
      shape("text", { x: at, y: height - 6, "text-anchor": anchor }, view, `${(n * step).toFixed(digits)} s`);
    }
  }

  function bar(call, i) {
    const whole = clip(call.lane === null ? call.sent_s ?? call.ready_s : call.slot_s, call.end_s);
    if (!whole) return;
    const y = laneY(call.server, call.lane);
    const group = shape("g", { class: "call", "data-call": i }, view);
    if (call.lane === null) {
      shape("rect", { x: whole[0], y: y + 2, width: whole[1], height: LANE - 4, class: "failed", "pointer-events": "all" }, group);
      return;
    }
    const decode = clip(call.decode_s, call.end_s);
    shape("rect", { x: whole[0], y, width: whole[1], height: LANE, fill: colour(call), opacity: 0.45 }, group);
    if (decode) {
      shape("rect", { x: decode[0], y, width: decode[1], height: LANE, fill: colour(call) }, group);
      const name = label(call);
      const room = 6.2 * name.length + 8;
      if (decode[1] > room) shape("text", { x: decode[0] + 5, y: y + 14 }, group, name);
      else if (decode[0] - whole[0] > room) shape("text", { x: whole[0] + 5, y: y + 14, class: "on-pale" }, group, name);
    }
    if (whole[1] > 2) shape("rect", { x: whole[0] + whole[1] - 1, y, width: 1, height: LANE, fill: "var(--paper)" }, group);
  }

  const label = (call) => text(call.node_text) + (call.item ? `[${call.item}]` : "");

  function queue(server, number) {
    const top = laneY(number, 0) + lanesOf(server, number) * (LANE + GAP) + 4;
    const base = top + QUEUE - 6;
    const steps = server.waiting;
    let most = 0;
    const least = endOf(current()) / 500; // an instant between two events is no queue
    steps.forEach((step, i) => {
      if ((i + 1 < steps.length ? steps[i + 1][0] : Infinity) - step[0] > least) most = Math.max(most, step[1] + step[2]);
    });
    shape("text", { x: 0, y: base - 10 }, view, "waiting");
    shape("text", { x: 0, y: base + 3 }, view, most ? `up to ${Math.ceil(most)}` : "none");
    shape("line", { x1: LEFT, x2: width - RIGHT, y1: base, y2: base, class: "tick" }, view);
    if (!most) return;
    const high = (n) => base - ((QUEUE - 8) * Math.min(n, most)) / most;
    const area = (value, name) => {
      let path = "";
      for (const step of steps) {
        const at = Math.min(Math.max(x(step[0]), LEFT), width - RIGHT).toFixed(1);
        const y = high(value(step)).toFixed(1);
        path += path ? `H${at}V${y}` : `M${at} ${base}V${y}`;
      }
      shape("path", { d: `${path}H${width - RIGHT}V${base}Z`, class: name }, view);
    };
    area((step) => step[1] + step[2], "waiting-router");
    area((step) => step[2], "waiting-server");
  }

  function mark() {
    view.querySelectorAll(".chosen-call, .wait").forEach((old) => old.remove());
    const call = current().calls[chosen];
    if (!call) return;
    const y = laneY(call.server, call.lane);
    const sent = call.sent_s ?? call.end_s;
    for (const [start, end, name] of [[call.ready_s, sent, "--router"], [sent, call.slot_s, "--queue"]]) {
      const wait = end > start ? clip(start, end) : null;
      if (wait) shape("line", { x1: wait[0], x2: wait[0] + wait[1], y1: y + LANE / 2, y2: y + LANE / 2, stroke: `var(${name})`, class: "wait" }, view);
    }
    const box = clip(call.lane === null ? sent : call.slot_s, call.end_s);
    if (box) shape("rect", { x: box[0], y: y - 1, width: box[1], height: LANE + 2, class: "chosen-call" }, view);
  }

  function choose(i) {
    chosen = i;
    const call = current().calls[i];
    const panel = byId("timeline-call");
    if (!call) { panel.replaceChildren(element("p", { class: "facts" }, "No call is chosen.")); mark(); return; }
    const start = call.lane === null ? call.sent_s ?? call.ready_s : call.slot_s;
    if (call.end_s < from || start > to) { // bring it into view
      const span = to - from;
      setView(start - span / 4, start + span * 3 / 4);
    }
    mark();
    const sent = call.sent_s ?? null;
    const rows = [
      ["pipeline, job", `${text(call.pipeline_text)}, ${call.job + 1}`],
      ["server", text(current().servers[call.server].name)],
      ["agent", text(call.agent_text)],
      ["model", text(call.model_text)],
      ["outcome", text(call.outcome_text)],
      ["ready at", seconds(call.ready_s)],
      ["waits for the router", call.started_s === null ? "never sent" : seconds(call.started_s - call.ready_s)],
      ...(sent !== null && call.started_s !== null && sent - call.started_s > 5e-4 ? [["until sent", seconds(sent - call.started_s)]] : []),
      ...(call.lane === null ? [] : [
        ["waits in the server", seconds(call.slot_s - sent)],
        ["load and slot set-up", seconds(call.prefill_s - call.slot_s)],
        ["prefill", seconds(call.decode_s - call.prefill_s)],
        ["decode", seconds(call.end_s - call.decode_s)],
      ]),
      ["ended at", seconds(call.end_s)],
      ["whole", seconds(call.end_s - call.ready_s)],
      ...(call.prompt_tokens === null ? [] : [["prompt tokens", String(call.prompt_tokens)]]),
      ...(call.output_tokens === null ? [] : [["output tokens", String(call.output_tokens)]]),
      ...(call.thinking_tokens === null ? [] : [["thinking tokens", String(call.thinking_tokens)]]),
      ...(call.iteration ? [["pass of the loop", String(call.iteration + 1)]] : []),
      ...(call.attempt ? [["attempt", String(call.attempt + 1)]] : []),
    ];
    const list = element("dl");
    for (const [name, value] of rows) {
      if (value === "") continue;
      const row = element("div");
      row.append(element("dt", {}, name), element("dd", {}, value));
      list.appendChild(row);
    }
    panel.replaceChildren(element("h3", {}, label(call)), list);
    if (call.error_text !== null) panel.appendChild(element("p", {}, text(call.error_text)));
  }

  let pending = false;
  function redraw() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; draw(); });
  }

  function setView(start, end) {
    const whole = endOf(current());
    const span = Math.min(Math.max(end - start, whole / 2000), whole);
    from = Math.min(Math.max(0, start), whole - span);
    to = from + span;
    redraw();
  }

  function zoom(factor, at = (from + to) / 2) {
    setView(at - (at - from) * factor, at + (to - at) * factor);
  }

  function show(number) {
    shown = number;
    const of = current();
    from = 0; to = endOf(of);
    const part = of.until_s === null
      ? `${of.calls_of_trial} calls`
      : `the first ${of.calls.length} of ${of.calls_of_trial} calls, all that began within ${seconds(of.until_s)}`;
    byId("timeline-about").textContent = `${text(of.candidate)}, repeat ${of.repeat + 1}: ${part}; makespan ${seconds(of.makespan_s)}`;
    choose(-1);
    draw();
  }

  const candidates = [...new Set(timelines.map((of) => of.candidate))];
  const trialsOf = (candidate) => timelines.map((of, i) => [of, i]).filter(([of]) => of.candidate === candidate);
  const candidateChooser = byId("timeline-candidate"), repeatChooser = byId("timeline-repeat");

  function option(value, words) {
    return element("option", { value: String(value) }, words);
  }

  function chooseCandidate(candidate, repeat) { // the same repeat of another candidate is the same work
    const trials = trialsOf(candidate);
    repeatChooser.replaceChildren(...trials.map(([of, i]) =>
      option(i, `${of.repeat + 1}: ${seconds(of.makespan_s)}${of.median && trials.length > 1 ? ", the median" : ""}`)));
    const [, number] = trials.find(([of]) => of.repeat === repeat) || trials.find(([of]) => of.median) || trials[0];
    candidateChooser.value = String(candidate);
    repeatChooser.value = String(number);
    show(number);
  }

  const startOf = (call) => (call.lane === null ? call.sent_s ?? call.ready_s : call.slot_s);

  function along(step) { // the next call in time
    const order = current().calls.map((_, i) => i).sort((a, b) => startOf(current().calls[a]) - startOf(current().calls[b]) || a - b);
    if (!order.length) return;
    const at = order.indexOf(chosen);
    choose(order[at < 0 ? (step > 0 ? 0 : order.length - 1) : Math.min(order.length - 1, Math.max(0, at + step))]);
  }

  function across(step) { // the call at the same time on the next slot
    const calls = current().calls;
    const call = calls[chosen];
    if (!call) { along(1); return; }
    const here = laneY(call.server, call.lane);
    const middle = (startOf(call) + call.end_s) / 2;
    const beyond = calls.map((other, i) => [i, laneY(other.server, other.lane), other]).filter(([, y]) => (step > 0 ? y > here : y < here));
    if (!beyond.length) return;
    const next = step > 0 ? Math.min(...beyond.map(([, y]) => y)) : Math.max(...beyond.map(([, y]) => y));
    const off = ([, , other]) => Math.max(0, startOf(other) - middle, middle - other.end_s);
    choose(beyond.filter(([, y]) => y === next).reduce((best, one) => (off(one) < off(best) ? one : best))[0]);
  }

  view.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const span = to - from;
    const keys = {
      ArrowRight: () => (event.shiftKey ? setView(from + span / 4, to + span / 4) : along(1)),
      ArrowLeft: () => (event.shiftKey ? setView(from - span / 4, to - span / 4) : along(-1)),
      ArrowDown: () => across(1),
      ArrowUp: () => across(-1),
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => setView(0, endOf(current())),
      Home: () => { chosen = -1; along(1); }, End: () => { chosen = -1; along(-1); },
      Enter: () => (chosen < 0 ? along(1) : choose(chosen)), " ": () => (chosen < 0 ? along(1) : choose(chosen)),
      Escape: () => choose(-1),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });

  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    const at = from + ((event.clientX - view.getBoundingClientRect().left - LEFT) / (width - LEFT - RIGHT)) * (to - from);
    zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.min(Math.max(at, from), to));
  }, { passive: false });

  let drag = null;
  view.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, from, to, moved: false }; });
  view.addEventListener("pointermove", (event) => {
    if (!drag || !event.buttons) return;
    const by = event.clientX - drag.x;
    if (Math.abs(by) > 4) drag.moved = true;
    if (!drag.moved) return;
    const shift = (by / (width - LEFT - RIGHT)) * (drag.to - drag.from);
    setView(drag.from - shift, drag.to - shift);
  });
  view.addEventListener("click", (event) => {
    if (drag && drag.moved) { drag = null; return; }
    drag = null;
    const group = event.target.closest(".call");
    if (group) choose(Number(group.dataset.call));
  });
  byId("zoom-in").addEventListener("click", () => zoom(0.5));
  byId("zoom-out").addEventListener("click", () => zoom(2));
  byId("zoom-all").addEventListener("click", () => setView(0, endOf(current())));

  function legend(fill, opacity, words) {
    const item = element("li");
    const swatch = shape("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" });
    shape("rect", { width: 12, height: 12, fill, opacity }, swatch);
    item.append(swatch, document.createTextNode(words));
    byId("timeline-legend").appendChild(item);
  }
  pipelines.forEach((name, i) => legend(`var(--p${i % 8})`, 1, text(name)));
  legend("var(--muted)", 0.45, "pale: prompt");
  legend("var(--router)", 0.75, "waiting, not sent yet");
  legend("var(--queue)", 0.85, "waiting in the server");

  candidateChooser.append(...candidates.map((candidate) => option(candidate, text(candidate))));
  candidateChooser.addEventListener("change", () => chooseCandidate(Number(candidateChooser.value), current().repeat));
  repeatChooser.addEventListener("change", () => show(Number(repeatChooser.value)));
  app.hidden = false;
  const first = timelines[Number(candidateChooser.dataset.first)];
  chooseCandidate(first.candidate, first.repeat);
  new ResizeObserver(() => { if (Math.round(view.getBoundingClientRect().width) !== width) redraw(); }).observe(view);
})();
