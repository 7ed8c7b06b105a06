// The table of candidates: times with intervals, goals, and how they changed. A row chooses what the panels below show.

import { canKeep, came, changed, earlier, forget, goalChanged, isKept, keep, left, says } from "./changes.js";
import { choose, chosen, known, onChosen } from "./choice.js";
import { on } from "./design.js";
import { byId, draw, fill, make, seconds } from "./dom.js";

let now = null; // what is shown
let final = null; // the last final figures

on("changed", () => {
  left();
  byId("table").classList.add("stale");
});

on("look", (answer) => {
  if (answer.state === "ok" && !now) known(answer.candidates);
});

onChosen(mark);

on("figures", (answer) => {
  if (answer.state !== "ok") {
    byId("table").classList.add("stale"); // what is there is of the design before
    const [first] = answer.mistakes;
    byId("stage").textContent = first ? `Not simulated: ${first.line ? "the workload has mistakes." : first.whole}` : answer.message;
    return;
  }
  byId("table").classList.remove("stale");
  now = answer;
  came(answer);
  if (answer.stage === "final") final = answer;
  known(answer.candidates.filter((one) => !one.why_not).map((one) => one.name), answer.candidates.find((one) => one.recommended)?.name);
  const stage = answer.stage === "preliminary" ? "preliminary" : "final";
  fill(
    byId("stage"),
    make("span", { class: "badge" }, stage),
    `${answer.repeats} repeats, ${answer.origin} on ${answer.profiles.map(([name, origin]) => `${name} (${origin})`).join(", ")}`,
  );
  byId("headline").textContent = answer.headline;
  show(answer);
  fill(byId("notices"), ...answer.notices.map((text) => make("li", {}, text)));
});

function show(answer) {
  const { id, dataset } = document.activeElement ?? {};
  fill(byId("table"), table(answer));
  fill(
    byId("compared"),
    `${says()} `,
    isKept() && !canKeep() && answer.stage === "final" ? null
      : make("button", { type: "button", id: "keep", "aria-disabled": String(!canKeep()), onclick: () => comparing(keep) }, "Keep this as the comparison"),
    isKept() ? make("button", { type: "button", id: "forget", onclick: () => comparing(forget) }, "Compare with the state before") : null,
  );
  mark();
  if (dataset?.candidate) document.querySelector(`[data-candidate="${CSS.escape(dataset.candidate)}"]`)?.focus();
  else if (id === "keep" || id === "forget") (byId(id) ?? byId("compared").querySelector("button"))?.focus();
}

function comparing(what) {
  what();
  show(now);
}

function mark() {
  for (const button of byId("table").querySelectorAll("[data-candidate]")) {
    button.setAttribute("aria-pressed", String(button.dataset.candidate === chosen()));
  }
  for (const row of byId("table").querySelectorAll("tr[data-of]")) row.classList.toggle("chosen", row.dataset.of === chosen());
}

function table(answer) {
  const times = answer.candidates.flatMap((one) => one.pipelines.map((each) => each.time?.high ?? each.time?.value ?? 0));
  const goals = answer.candidates.flatMap((one) => one.pipelines.flatMap((each) => each.goals.filter((goal) => goal.goal === "p50_s").map((goal) => goal.wanted_s)));
  const most = Math.max(...times, ...goals, 1e-9);
  return make(
    "table",
    {},
    make("caption", {}, "Pipeline time, or reply time where somebody waits; below it the 95 % interval. A row chooses what is shown below."),
    make("thead", {}, make("tr", {}, ...["candidate", "pipeline", "time", "", "first token", "goal"].map((name) => (name ? make("th", { scope: "col" }, name) : make("td"))))),
    make("tbody", {}, ...answer.candidates.flatMap((one) => rows(one, most))),
  );
}

function rows(one, most) {
  const badge = one.recommended ? make("span", { class: "badge" }, "recommended") : null;
  const name = one.why_not ? one.name : make("button", { type: "button", "data-candidate": one.name }, one.name);
  const head = make("th", { scope: "rowgroup", rowspan: Math.max(1, one.pipelines.length) }, name, " ", badge);
  if (one.why_not) return [make("tr", {}, head, make("td", { colspan: 5 }, one.why_not))];
  const pick = () => choose(one.name);
  return one.pipelines.map((each, row) =>
    make("tr", { "data-of": one.name, onclick: pick }, row ? null : head, ...cells(one.name, each, most)),
  );
}

function cells(candidate, each, most) {
  const was = earlier(candidate, each.pipeline);
  return [
    make("td", {}, each.pipeline),
    make("td", { class: "n" }, quantity(each.time), changed(was?.time, each.time)),
    make("td", {}, each.time ? bar(each, most) : null),
    make("td", { class: "n" }, quantity(each.first_token), changed(was?.first_token, each.first_token)),
    make("td", {}, ...goals(each, was), each.jobs_failed ? make("div", { class: "missed" }, `${each.jobs_failed} jobs fail`) : null),
  ];
}

function quantity(found) {
  const node = make("span", {}, found ? seconds(found.value) : "–");
  if (found && found.low !== null) node.append(make("span", { class: "interval" }, `${seconds(found.low)} to ${seconds(found.high)}`));
  return node;
}

function goals(each, was) {
  const named = { first_token_s: "first token", p50_s: "median", p95_s: "95 %" };
  return each.goals.map((goal) =>
    make("div", { class: goal.state === "not judged" ? false : goal.state }, `${named[goal.goal]} ${seconds(goal.wanted_s)}: ${goal.state}`, goalChanged(was, goal)),
  );
}

function bar(each, most) {
  const x = (value) => (Math.min(value, most) / most) * 120;
  const { value, low, high } = each.time;
  return draw(
    "svg",
    { width: 124, height: 16, viewBox: "0 0 124 16", "aria-hidden": true },
    draw("rect", { class: "track", x: 0, y: 7, width: 120, height: 2 }),
    draw("rect", { class: "bar", x: 0, y: 4, width: x(value), height: 8 }),
    low === null ? null : draw("line", { class: "whisker", x1: x(low), x2: x(high), y1: 8, y2: 8 }),
    ...each.goals.filter((goal) => goal.goal === "p50_s").map((goal) => draw("line", { class: "goal", x1: x(goal.wanted_s), x2: x(goal.wanted_s), y1: 0, y2: 16 })),
  );
}

/** The last final figures, for panels that show more of them. */
export const finalFigures = () => final;
