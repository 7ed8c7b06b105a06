// Draw a repeat on a canvas: a row for each slot, a bar for each call, who waits below. Calls thinner than a pixel are one.

import { firstAt, jobKey, labelOf } from "./timeline_model.js";

const HEAD = 24;
const AXIS = 22;
const QUEUE = 34;
const BETWEEN = 14;
const LEFT = 58;
const RIGHT = 8;
const COLOURS = ["ink", "muted", "paper", "soft", "line", "accent", "router", "queue", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7"];

/** How long each of the last drawings took, in milliseconds. */
export const drawTimes = [];
const MOST_TIMES = 2000;

/** Where everything lies for a model: the height of a row, and what is below what, in pixels. */
export function layoutOf(model) {
  const rows = model.servers.reduce((sum, server) => sum + server.rows.length, 0);
  const row = rows > 96 ? 5 : rows > 48 ? 9 : rows > 24 ? 14 : 20;
  const gap = row > 9 ? 3 : 1;
  let y = 0;
  const places = model.servers.map((server) => {
    const top = y + HEAD;
    const queue = top + server.rows.length * (row + gap) + 4;
    y = queue + QUEUE - 4 + BETWEEN;
    return { top, queue };
  });
  return { row, gap, places, height: Math.max(HEAD, y - BETWEEN) + AXIS };
}

/** Resolve the colours of the page; again when the colour scheme changes. */
export function coloursOf(canvas) {
  const found = {};
  for (const name of COLOURS) {
    canvas.style.color = `var(--${name})`;
    found[name] = getComputedStyle(canvas).color;
  }
  canvas.style.color = "";
  return found;
}

const plot = (width) => width - LEFT - RIGHT;

/** The second at a place of the drawing. */
export function timeAt(view, x) {
  return view.from + ((x - LEFT) / plot(view.width)) * (view.to - view.from);
}

/** Seconds in view for so many pixels. */
export const secondsOf = (view, pixels) => (pixels / plot(view.width)) * (view.to - view.from);

/** The call at a place, or within a few pixels of it in the same row; null where there is none. */
export function callAt(model, view, x, y) {
  const { row, gap, places } = view.layout;
  for (const [number, server] of model.servers.entries()) {
    const at = Math.floor((y - places[number].top) / (row + gap));
    if (at < 0 || at >= server.rows.length) continue;
    const time = timeAt(view, x);
    const near = secondsOf(view, 3);
    const { calls } = server.rows[at];
    let best = null;
    let least = near;
    for (let i = firstAt(server.rows[at], time - near); i < calls.length && calls[i].begin_s <= time + near; i += 1) {
      const off = Math.max(0, calls[i].begin_s - time, time - calls[i].end_s);
      if (off <= least && (best === null || off < least)) [best, least] = [calls[i], off];
    }
    return best;
  }
  return null;
}

/** Draw all of it: `view` has from, to, width, layout, colours, cursor (or null) and chosen (a call or null). */
export function paint(canvas, model, view) {
  const began = performance.now();
  const scale = window.devicePixelRatio || 1;
  const { width, layout, colours } = view;
  const [w, h] = [Math.round(width * scale), Math.round(layout.height * scale)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const to = canvas.getContext("2d", { alpha: false });
  to.setTransform(scale, 0, 0, scale, 0, 0);
  to.fillStyle = colours.paper;
  to.fillRect(0, 0, width, layout.height);
  const x = (time) => LEFT + ((time - view.from) / (view.to - view.from)) * plot(width);
  ticks(to, view, x);
  model.servers.forEach((server, number) => drawServer(to, server, layout.places[number], view, x));
  if (view.chosen) drawChosen(to, model, view, x);
  if (view.cursor !== null) drawCursor(to, view, x);
  drawTimes.push(performance.now() - began);
  if (drawTimes.length > MOST_TIMES) drawTimes.shift();
}

function ticks(to, view, x) {
  const { colours, layout, width } = view;
  const raw = (view.to - view.from) / Math.max(2, Math.floor((width - LEFT) / 110));
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw) ?? 10 * power;
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  to.font = view.font;
  for (let n = Math.ceil(view.from / step - 1e-9); n * step <= view.to + step * 1e-6; n += 1) {
    const at = x(n * step);
    to.fillStyle = colours.line;
    to.fillRect(Math.round(at), HEAD - 4, 1, layout.height - AXIS - HEAD + 8);
    to.fillStyle = colours.muted;
    to.textAlign = at > width - 40 ? "end" : "center";
    to.fillText(`${(n * step).toFixed(digits)} s`, at, layout.height - 6);
  }
  to.textAlign = "start";
}

function drawServer(to, server, place, view, x) {
  const { colours, layout, width } = view;
  const slots = server.slots === null ? "slots not known" : server.slots === 1 ? "1 slot" : `${server.slots} slots`;
  to.fillStyle = colours.ink;
  to.font = view.bold;
  to.fillText(`${server.name}: ${slots}`, 0, place.top - 7);
  to.font = view.font;
  server.rows.forEach((row, at) => {
    const y = place.top + at * (layout.row + layout.gap);
    to.fillStyle = colours.soft;
    to.fillRect(LEFT, y, plot(width), layout.row);
    if (layout.row >= 14 || at === 0) {
      to.fillStyle = colours.muted;
      to.fillText(row.name, 0, y + Math.min(14, layout.row - 1));
    }
    bars(to, row, y, view, x);
  });
  queue(to, server, place, view, x);
}

function bars(to, row, y, view, x) {
  const { colours, layout, width } = view;
  const [left, right] = [LEFT, width - RIGHT];
  let drawn = -1; // up to this pixel there is something already
  for (let i = firstAt(row, view.from); i < row.calls.length; i += 1) {
    const call = row.calls[i];
    if (call.begin_s > view.to) break;
    const a = Math.max(left, x(call.begin_s));
    const b = Math.min(right, x(call.end_s));
    if (b < left) continue;
    if (b - a < 1) {
      if (Math.floor(b) <= drawn) continue;
      drawn = Math.floor(b);
      to.fillStyle = row.failed ? colours.queue : colours[`p${call.colour}`];
      to.fillRect(drawn, y, 1, layout.row);
      continue;
    }
    drawn = Math.floor(b) - 1;
    if (row.failed) {
      to.strokeStyle = colours.queue;
      to.setLineDash([2, 2]);
      to.strokeRect(a + 0.5, y + 2.5, Math.max(1, b - a - 1), layout.row - 5);
      to.setLineDash([]);
      continue;
    }
    bar(to, call, a, b, y, view, x);
  }
}

function bar(to, call, a, b, y, view, x) {
  const { colours, layout, width } = view;
  to.fillStyle = colours[`p${call.colour}`];
  to.globalAlpha = 0.45;
  to.fillRect(a, y, b - a, layout.row);
  to.globalAlpha = 1;
  const decode = Math.min(b, Math.max(a, x(call.decode_s)));
  to.fillRect(decode, y, b - decode, layout.row);
  if (b - a > 3) {
    to.fillStyle = colours.paper;
    to.fillRect(b - 1, y, 1, layout.row);
  }
  if (call.critical && layout.row > 8) {
    to.fillStyle = colours.ink;
    to.fillRect(a, y + layout.row - 3, Math.max(1, b - a - 1), 3);
  }
  if (layout.row < 14 || b - a < 24) return;
  const name = labelOf(call);
  const room = 6.2 * name.length + 8;
  if (b - decode > room) {
    to.fillStyle = colours.paper;
    to.fillText(name, decode + 5, y + layout.row - 7);
  } else if (decode - a > room) {
    to.fillStyle = colours.ink;
    to.fillText(name, Math.max(a, LEFT) + 5, y + layout.row - 7);
  }
}

function queue(to, server, place, view, x) {
  const { colours, width } = view;
  const base = place.queue + QUEUE - 6;
  const steps = server.waiting;
  const { most } = server;
  to.fillStyle = colours.muted;
  to.fillText("waiting", 0, base - 10);
  to.fillText(most ? `up to ${Math.ceil(most)}` : "none", 0, base + 3);
  to.fillStyle = colours.line;
  to.fillRect(LEFT, base, plot(width), 1);
  if (!most) return;
  const high = (n) => base - ((QUEUE - 8) * Math.min(n, most)) / most;
  const area = (value, colour) => {
    to.fillStyle = colour;
    to.beginPath();
    to.moveTo(LEFT, base);
    let y = base;
    for (const step of steps) {
      const at = Math.min(Math.max(x(step[0]), LEFT), width - RIGHT);
      to.lineTo(at, y);
      y = high(value(step));
      to.lineTo(at, y);
    }
    to.lineTo(width - RIGHT, y);
    to.lineTo(width - RIGHT, base);
    to.fill();
  };
  area((step) => step[1] + step[2], colours.router);
  area((step) => step[2], colours.queue);
}

function yOf(model, view, call) {
  const { row, gap, places } = view.layout;
  const at = call.lane === null ? model.servers[call.server].rows.length - 1 : call.lane;
  return places[call.server].top + at * (row + gap);
}

function drawChosen(to, model, view, x) {
  const { chosen, colours, layout, width } = view;
  to.save();
  to.beginPath();
  to.rect(LEFT - 2, 0, plot(width) + 4, layout.height);
  to.clip();
  const middle = layout.row / 2;
  const line = (from, until, y, colour, thick) => {
    if (!(until > from)) return;
    to.fillStyle = colour;
    to.fillRect(x(from), y + middle - thick / 2, x(until) - x(from), thick);
  };
  const y = yOf(model, view, chosen);
  const sent = chosen.sent_s ?? chosen.end_s;
  line(chosen.ready_s, sent, y, colours.router, 3);
  line(sent, chosen.begin_s, y, colours.queue, 3);
  const steps = (model.jobs.get(jobKey(chosen))?.steps ?? []).filter((step) => !step.delay);
  to.strokeStyle = colours.ink;
  to.lineWidth = 1.5;
  to.beginPath();
  steps.forEach((step, i) => {
    const at = yOf(model, view, step) + middle;
    to[i ? "lineTo" : "moveTo"](x(step.begin_s), at);
    to.lineTo(x(step.end_s), at);
  });
  if (steps.length > 1) to.stroke();
  to.lineWidth = 2;
  const a = x(chosen.begin_s);
  to.strokeRect(a, y - 1, Math.max(2, x(chosen.end_s) - a), layout.row + 2);
  if (view.focused) {
    to.strokeStyle = colours.accent;
    to.strokeRect(a - 3, y - 4, Math.max(2, x(chosen.end_s) - a) + 6, layout.row + 8);
  }
  to.restore();
}

function drawCursor(to, view, x) {
  const { colours, layout, width } = view;
  const at = Math.min(width - RIGHT, Math.max(LEFT, x(view.cursor)));
  to.fillStyle = colours.paper; // what has not happened yet is pale
  to.globalAlpha = 0.72;
  to.fillRect(at, HEAD - 4, width - RIGHT - at, layout.height - HEAD - AXIS + 4);
  to.globalAlpha = 1;
  if (view.cursor < view.from || view.cursor > view.to) return;
  to.fillStyle = colours.accent;
  to.fillRect(at - 1, HEAD - 8, 2, layout.height - HEAD - AXIS + 12);
}
