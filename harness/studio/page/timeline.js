// What happens in one repeat of the chosen candidate: asked of the server, played, zoomed, moved through, and said as text.

import { ask } from "./api.js";
import { chosen as candidate, onChosen } from "./choice.js";
import { currentVersion, design, on } from "./design.js";
import { byId, fill, make, seconds } from "./dom.js";
import { showMemory } from "./memory.js";
import { showSplit } from "./split.js";
import { callAt, coloursOf, drawTimes, layoutOf, paint, secondsOf, timeAt } from "./timeline_drawing.js";
import { at, firstAt, jobKey, labelOf, modelOf } from "./timeline_model.js";

const REPEATS = 200; // that the final figures are of
const PLAY_S = 20; // at most, at the speed that is chosen first
const SPEEDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 20000, 100000];
const PATIENCE_MS = 3000; // a repeat that takes longer is replaced
const SCRUB = 1000; // steps of the slider

let model = null;
let answer = null;
let figures = null; // the last that came, for the split over all repeats
let order = []; // calls in the order of their beginning
let asked = 0;
let shownOf = ""; // candidate, repeat and version of what is shown
let waiting = ""; // the same of what was asked for and has not come
let since = 0; // when that was asked, in milliseconds
let next = false; // something else is to be asked then
let playing = 0; // the frame that is asked for
let last = 0;
let pending = false;
let drag = null;
const view = { from: 0, to: 1, width: 0, layout: null, colours: null, cursor: null, chosen: null, focused: false, font: "", bold: "" };

// --- the panel ---

const canvas = make("canvas", {
  id: "timeline-view", tabindex: 0, role: "application", "aria-roledescription": "timeline",
  "aria-labelledby": "timeline-title", "aria-describedby": "timeline-help",
});
const button = (id, text, onclick, label) => make("button", { type: "button", id, onclick, "aria-label": label ?? false }, text);

byId("panels").append(
  make(
    "section",
    { id: "timeline", "aria-labelledby": "timeline-title", hidden: true },
    make("h3", { id: "timeline-title" }, "Slots over time"),
    make("p", { id: "timeline-about", role: "status" }),
    make(
      "div",
      { class: "tools" },
      make("div", {}, make("label", { for: "repeat" }, "Repeat"), make("input", { type: "number", id: "repeat", min: 1, max: REPEATS, value: 1, onchange: request })),
      button("play", "Play", toggle),
      make("div", {}, make("label", { for: "speed" }, "Speed"), make("select", { id: "speed" }, ...SPEEDS.map((value) => make("option", { value }, `× ${value}`)))),
      make("div", { class: "scrub" }, make("label", { for: "cursor" }, "Time"), make("input", { type: "range", id: "cursor", min: 0, max: SCRUB, value: SCRUB, oninput: scrub })),
      make("div", { role: "group", "aria-label": "Zoom" }, button("zoom-in", "+", () => zoom(0.5), "Zoom in"), button("zoom-out", "−", () => zoom(2), "Zoom out"), button("zoom-all", "whole repeat", all)),
    ),
    make("p", { id: "timeline-now" }),
    canvas,
    make("ul", { id: "timeline-legend", class: "legend" }),
    make(
      "p",
      { id: "timeline-help" },
      "Click a bar, or press Tab to get to the timeline: ← and → go from call to call, ↑ and ↓ from slot to slot, + and − zoom, 0 shows all, Shift with ← and → " +
        "moves along, P plays. Drag to move. The wheel zooms with Ctrl, or once the timeline has been clicked.",
    ),
    make("div", { id: "timeline-call", role: "status" }),
  ),
  make("section", { id: "split", "aria-labelledby": "split-title", hidden: true }, make("h3", { id: "split-title" }, "Where the time goes"), make("div", { id: "split-of" })),
  make("section", { id: "memory", "aria-labelledby": "memory-title", hidden: true }, make("h3", { id: "memory-title" }, "Memory"), make("div", { id: "memory-of" })),
);

// --- asking ---

async function request() {
  const name = candidate();
  if (name === null) return;
  const repeat = Math.min(REPEATS, Math.max(1, Math.round(Number(byId("repeat").value)) || 1));
  byId("repeat").value = String(repeat);
  const version = currentVersion();
  const wanted = JSON.stringify([name, repeat, version]);
  if (wanted === shownOf) {
    asked += 1; // what is still to come is not looked for any more
    [waiting, next] = ["", false];
    byId("timeline").classList.remove("stale");
    showFacts();
    return;
  }
  byId("timeline").classList.add("stale");
  if (waiting && performance.now() - since < PATIENCE_MS) {
    next = wanted !== waiting; // one after the other: what is interrupted has to be started again
    return;
  }
  asked += 1;
  const mine = asked;
  [waiting, since, next] = [wanted, performance.now(), false];
  const { text, machine, turned, extrapolate } = design;
  const found = await ask("timeline", version, { text, machine, turned, extrapolate, candidate: name, repeat: repeat - 1 });
  if (mine === asked) waiting = "";
  if (next) {
    next = false;
    request();
  }
  if (!found || mine !== asked || found.version !== currentVersion() || found.state === "replaced") return;
  byId("timeline").hidden = false;
  if (found.state !== "ok") {
    byId("timeline-about").textContent = `Not shown: ${found.mistakes[0]?.message ?? found.message}`;
    return;
  }
  shownOf = wanted;
  byId("timeline").classList.remove("stale");
  show(found);
}

on("changed", () => {
  byId("timeline").classList.add("stale");
});
on("figures", (found) => {
  if (found.state === "mistake") return;
  figures = found.state === "ok" ? found : null;
  request();
});
onChosen(() => {
  if (figures) request();
});

function show(found) {
  stop();
  answer = found;
  model = modelOf(found);
  order = [...model.calls].sort((a, b) => a.begin_s - b.begin_s || a.number - b.number);
  Object.assign(view, { from: 0, to: model.end_s, chosen: null, cursor: null, layout: layoutOf(model) });
  const part = found.until_s === null ? `${found.calls_of_trial} calls` : `the first ${model.calls.length} of ${found.calls_of_trial} calls`;
  byId("timeline-about").textContent = `${found.candidate}, repeat ${found.repeat + 1} (${found.origin}): ${part}, ${seconds(found.makespan_s)} in all.`;
  byId("speed").value = String(SPEEDS.find((speed) => model.end_s / speed <= PLAY_S) ?? SPEEDS.at(-1));
  byId("cursor").value = String(SCRUB);
  fill(
    byId("timeline-legend"),
    ...model.pipelines.map((name, i) => make("li", {}, make("span", { class: `swatch p${i % 8}` }), name)),
    make("li", {}, make("span", { class: "swatch pale" }), "pale: reading the prompt; full: generating"),
    make("li", {}, make("span", { class: "swatch path" }), "line below: on the critical path of its job"),
    make("li", {}, make("span", { class: "swatch router" }), "waiting, not sent yet"),
    make("li", {}, make("span", { class: "swatch queue" }), "waiting in the server"),
  );
  tellNow();
  choose(null);
  draw();
  showFacts();
}

function showFacts() {
  showSplit(answer, figures);
  showMemory(answer);
}

// --- drawing and moving ---

function draw() {
  pending = false;
  if (!model) return;
  view.width = Math.max(280, Math.round(canvas.parentElement.clientWidth));
  view.colours ??= coloursOf(canvas);
  if (!view.font) {
    const { fontFamily } = getComputedStyle(document.body);
    view.font = `11px ${fontFamily}`;
    view.bold = `600 12px ${fontFamily}`;
  }
  canvas.style.height = `${view.layout.height}px`;
  canvas.style.width = `${view.width}px`;
  paint(canvas, model, view);
}

function redraw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(draw);
}

function setView(start, end) {
  const span = Math.min(Math.max(end - start, model.end_s / 20000), model.end_s);
  view.from = Math.min(Math.max(0, start), model.end_s - span);
  view.to = view.from + span;
  redraw();
}

function all() {
  setView(0, model.end_s);
}

function zoom(factor, around = middle()) {
  setView(around - (around - view.from) * factor, around + (view.to - around) * factor);
}

/** What is zoomed in on: the chosen call where it is in view. */
function middle() {
  const call = view.chosen;
  const isSeen = call && call.end_s >= view.from && call.begin_s <= view.to;
  return isSeen ? Math.min(view.to, Math.max(view.from, (call.begin_s + call.end_s) / 2)) : (view.from + view.to) / 2;
}

// --- playing ---

function toggle() {
  if (playing) {
    stop();
    return;
  }
  if (view.cursor === null || view.cursor >= model.end_s) view.cursor = 0;
  byId("play").textContent = "Pause";
  last = performance.now();
  playing = requestAnimationFrame(frame);
}

function stop() {
  cancelAnimationFrame(playing);
  playing = 0;
  byId("play").textContent = "Play";
}

function frame(now) {
  setCursor(view.cursor + (Math.max(0, now - last) / 1000) * Number(byId("speed").value));
  last = now;
  draw();
  if (view.cursor >= model.end_s) stop();
  else playing = requestAnimationFrame(frame);
}

function setCursor(time_s) {
  view.cursor = Math.min(time_s, model.end_s);
  byId("cursor").value = String(Math.round((view.cursor / model.end_s) * SCRUB));
  byId("cursor").setAttribute("aria-valuetext", seconds(view.cursor));
  const span = view.to - view.from;
  if (playing && (view.cursor > view.to || view.cursor < view.from)) setView(view.cursor - span * 0.05, view.cursor + span * 0.95);
  tellNow();
}

function scrub(event) {
  stop();
  setCursor((Number(event.target.value) / SCRUB) * model.end_s);
  redraw();
}

function tellNow() {
  if (view.cursor === null) {
    byId("timeline-now").textContent = "Play, or move the time, to see who runs and who waits.";
    return;
  }
  const { busy, router, queued } = at(model, view.cursor);
  byId("timeline-now").textContent = `At ${seconds(view.cursor)}: ${busy} in slots, ${router} waiting to be sent, ${queued} waiting in the server.`;
}

// --- a call as text ---

function choose(call) {
  view.chosen = call;
  const panel = byId("timeline-call");
  if (!call) {
    fill(panel, make("p", {}, "No call is chosen."));
    redraw();
    return;
  }
  if (call.end_s < view.from || call.begin_s > view.to) {
    const span = view.to - view.from;
    setView(call.begin_s - span / 4, call.begin_s + (span * 3) / 4);
  }
  const job = model.jobs.get(jobKey(call));
  const rows = [
    ["agent", call.agent],
    ["pipeline, job", `${call.pipeline}, ${call.job + 1}`],
    ["server", model.servers[call.server].name],
    ["slot", call.lane === null ? "none" : String(call.lane + 1)],
    ["model", call.model],
    ["outcome", call.outcome],
    ["ready at", seconds(call.ready_s)],
    ["waits to be sent", call.sent_s === null ? "never sent" : lasts(call.ready_s, call.sent_s)],
    ...(call.lane === null
      ? []
      : [
          ["waits in the server", lasts(call.sent_s, call.slot_s)],
          ["load and slot set-up", lasts(call.slot_s, call.prefill_s)],
          ["reads the prompt", lasts(call.prefill_s, call.decode_s)],
          ["generates", lasts(call.decode_s, call.end_s)],
        ]),
    ["ended at", seconds(call.end_s)],
    ["prompt tokens", call.prompt_tokens === null ? "" : String(call.prompt_tokens)],
    ["output tokens", call.output_tokens === null ? "" : String(call.output_tokens)],
    ["thinking tokens", call.thinking_tokens === null ? "" : String(call.thinking_tokens)],
    ["pass of the loop", call.iteration ? String(call.iteration + 1) : ""],
    ["attempt", call.attempt ? String(call.attempt + 1) : ""],
  ];
  const path = job?.steps.map((step) => (step.delay ? `${step.node} (tool)` : labelOf(step))).join(" → ");
  fill(
    panel,
    make("h4", {}, labelOf(call)),
    make("dl", {}, ...rows.filter(([, value]) => value !== "").map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    path ? make("p", {}, `Critical path of its job, ${seconds(job.end_s - job.due_s)}: ${path}.`) : null,
    call.error ? make("p", {}, call.error) : null,
  );
  redraw();
}

const lasts = (from, until) => seconds(Math.max(0, until - from) < 1e-7 ? 0 : until - from);

function along(step) {
  if (!order.length) return;
  const now = order.indexOf(view.chosen);
  choose(order[now < 0 ? (step > 0 ? 0 : order.length - 1) : Math.min(order.length - 1, Math.max(0, now + step))]);
}

function across(step) {
  if (!view.chosen) {
    along(1);
    return;
  }
  const rows = model.servers.flatMap((server) => server.rows);
  const middle = (view.chosen.begin_s + view.chosen.end_s) / 2;
  for (let row = rows.findIndex((one) => one.calls.includes(view.chosen)) + step; row >= 0 && row < rows.length; row += step) {
    const { calls } = rows[row];
    if (!calls.length) continue;
    const next = Math.min(firstAt(rows[row], middle), calls.length - 1);
    choose(calls[next].begin_s > middle && next > 0 && middle - calls[next - 1].end_s < calls[next].begin_s - middle ? calls[next - 1] : calls[next]);
    return;
  }
}

// --- keys, wheel, pointer ---

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !model) return;
  const span = view.to - view.from;
  const keys = {
    ArrowRight: () => (event.shiftKey ? setView(view.from + span / 4, view.to + span / 4) : along(1)),
    ArrowLeft: () => (event.shiftKey ? setView(view.from - span / 4, view.to - span / 4) : along(-1)),
    ArrowDown: () => across(1),
    ArrowUp: () => across(-1),
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: all,
    Home: () => choose(order[0] ?? null), End: () => choose(order.at(-1) ?? null),
    Enter: () => (view.chosen ? choose(view.chosen) : along(1)), " ": () => (view.chosen ? choose(view.chosen) : along(1)),
    Escape: () => choose(null), p: toggle, P: toggle,
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
canvas.addEventListener("focus", () => {
  view.focused = true;
  redraw();
});
canvas.addEventListener("blur", () => {
  view.focused = false;
  redraw();
});

const placeOf = (event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

canvas.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey && !event.metaKey && !view.focused) return; // the page scrolls
    event.preventDefault();
    const span = view.to - view.from;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) setView(view.from + secondsOf(view, event.deltaX), view.from + secondsOf(view, event.deltaX) + span);
    else zoom(event.deltaY > 0 ? 1.25 : 0.8, Math.min(Math.max(timeAt(view, placeOf(event)[0]), view.from), view.to));
  },
  { passive: false },
);
canvas.addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, from: view.from, to: view.to, moved: false };
});
canvas.addEventListener("pointermove", (event) => {
  if (!drag || !event.buttons) return;
  const by = event.clientX - drag.x;
  if (Math.abs(by) > 4 && !drag.moved) {
    drag.moved = true;
    canvas.setPointerCapture(event.pointerId);
  }
  if (drag.moved) setView(drag.from - secondsOf(view, by), drag.to - secondsOf(view, by));
});
canvas.addEventListener("click", (event) => {
  const moved = drag?.moved;
  drag = null;
  if (moved || !model) return;
  const call = callAt(model, view, ...placeOf(event));
  if (call) choose(call);
});

new ResizeObserver(redraw).observe(canvas.parentElement);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  view.colours = null;
  redraw();
});

/** For measurements: what is in view, and how long the last drawings took. */
export const state = () => ({ from: view.from, to: view.to, cursor: view.cursor, chosen: view.chosen, playing: playing !== 0, calls: model?.calls.length ?? 0, drawTimes });
