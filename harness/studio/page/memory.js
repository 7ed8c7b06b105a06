// What the servers of the chosen candidate take of memory, beside what there is. What is not known is said.

import { byId, draw, fill, make } from "./dom.js";

const WIDTH = 600;

/** Bytes as the reports write them. */
export function size(bytes) {
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (Math.abs(value) < 1000) return unit === "B" ? `${value.toFixed(0)} B` : `${value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

/** Show it, machine by machine. */
export function showMemory(answer) {
  byId("memory").hidden = false;
  fill(byId("memory-of"), ...answer.memory.map((one) => make("div", {}, one.machine ? make("h4", {}, one.machine) : null, ...machine(one))));
}

function machine(one) {
  const needs = one.needed_bytes === null ? "What the servers take together is not known" : `The servers take ${size(one.needed_bytes)}, a tenth for buffers in it`;
  const room = one.room_text[0].toUpperCase() + one.room_text.slice(1);
  const there = one.room_bytes === null ? `. ${room}.` : `; ${size(one.room_bytes)} ${one.room_text}.`;
  const fits = one.fits === null ? null : make("strong", { class: one.fits ? "met" : "missed" }, one.fits ? " It fits." : " It does not fit.");
  return [
    make("p", {}, needs, there, fits),
    one.needed_bytes !== null && one.room_bytes !== null ? bar(one) : null,
    one.runners.length ? table(one.runners) : null,
    one.notes.length ? make("ul", {}, ...one.notes.map((note) => make("li", {}, note))) : null,
  ].filter((node) => node !== null);
}

function bar(one) {
  const most = Math.max(one.needed_bytes, one.room_bytes, 1);
  const x = (bytes) => (bytes / most) * WIDTH;
  return draw(
    "svg",
    { class: "parts", viewBox: `0 0 ${WIDTH} 16`, preserveAspectRatio: "none", "aria-hidden": true },
    draw("rect", { class: "track", x: 0, y: 0, width: x(one.room_bytes), height: 16 }),
    draw("rect", { class: one.fits === false ? "over" : "used", x: 0, y: 3, width: x(one.needed_bytes), height: 10 }),
  );
}

function table(runners) {
  const known = (bytes) => (bytes === null ? "not known" : size(bytes));
  const context = (one) => (one.context_tokens === null ? "its own" : String(one.context_tokens));
  return make(
    "div",
    { class: "wide", role: "region", "aria-label": "Memory of each server", tabindex: 0 },
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, ...["server", "model", "weights", "slots × context", "cache of the slots"].map((name) => make("th", { scope: "col" }, name)))),
      make(
        "tbody",
        {},
        ...runners.map((one) =>
          make("tr", {}, make("th", { scope: "row" }, one.server), make("td", {}, one.model), make("td", {}, known(one.weights_bytes)), make("td", {}, `${one.slots} × ${context(one)}`), make("td", {}, known(one.cache_bytes))),
        ),
      ),
    ),
  );
}
