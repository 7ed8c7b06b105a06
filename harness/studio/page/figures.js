// The table of candidates: times with intervals, goals, and what they were before the last change.

import { on } from "./design.js";
import { byId, draw, fill, make, seconds } from "./dom.js";

let now = null; // what is shown
let final = null; // the last final figures
let before = null; // final figures before the change that is looked at

on("changed", () => {
  if (now?.stage === "final") before = now;
  byId("table").classList.add("stale");
});

on("figures", (answer) => {
  if (answer.state !== "ok") {
    byId("table").classList.add("stale"); // what is there is of the design before
    const [first] = answer.mistakes;
    byId("stage").textContent = first ? `Not simulated: ${first.line ? "the workload has mistakes." : first.whole}` : answer.message;
    return;
  }
  byId("table").classList.remove("stale");
  now = answer;
  if (answer.stage === "final") final = answer;
  const stage = answer.stage === "preliminary" ? "preliminary" : "final";
  fill(
    byId("stage"),
    make("span", { class: "badge" }, stage),
    `${answer.repeats} repeats, ${answer.origin} on ${answer.profiles.map(([name, origin]) => `${name} (${origin})`).join(", ")}`,
  );
  byId("headline").textContent = answer.headline;
  fill(byId("table"), table(answer));
  fill(byId("notices"), ...answer.notices.map((text) => make("li", {}, text)));
});

function table(answer) {
  const times = answer.candidates.flatMap((one) => one.pipelines.map((each) => each.time?.high ?? each.time?.value ?? 0));
  const goals = answer.candidates.flatMap((one) => one.pipelines.flatMap((each) => each.goals.filter((goal) => goal.goal === "p50_s").map((goal) => goal.wanted_s)));
  const most = Math.max(...times, ...goals, 1e-9);
  return make(
    "table",
    {},
    make("caption", {}, "Pipeline time, or reply time where somebody waits; below it the 95 % interval."),
    make("thead", {}, make("tr", {}, ...["candidate", "pipeline", "time", "", "first token", "goal"].map((name) => (name ? make("th", { scope: "col" }, name) : make("td"))))),
    make("tbody", {}, ...answer.candidates.flatMap((one) => rows(one, most))),
  );
}

function rows(one, most) {
  const name = make("th", { scope: "rowgroup", rowspan: Math.max(1, one.pipelines.length) }, one.name, " ", one.recommended ? make("span", { class: "badge" }, "recommended") : null);
  if (one.why_not) return [make("tr", {}, name, make("td", { colspan: 5 }, one.why_not))];
  return one.pipelines.map((each, row) => make("tr", {}, row ? null : name, ...cells(one.name, each, most)));
}

function cells(candidate, each, most) {
  const was = earlier(candidate, each.pipeline);
  return [
    make("td", {}, each.pipeline),
    make("td", { class: "n" }, quantity(each.time), was && each.time ? make("span", { class: "was" }, changed(was.value, each.time.value)) : null),
    make("td", {}, each.time ? bar(each, most) : null),
    make("td", { class: "n" }, quantity(each.first_token)),
    make("td", {}, ...goals(each), each.jobs_failed ? make("div", { class: "missed" }, `${each.jobs_failed} jobs fail`) : null),
  ];
}

function quantity(found) {
  const node = make("span", {}, found ? seconds(found.value) : "–");
  if (found && found.low !== null) node.append(make("span", { class: "interval" }, `${seconds(found.low)} to ${seconds(found.high)}`));
  return node;
}

function goals(each) {
  const named = { first_token_s: "first token", p50_s: "median", p95_s: "95 %" };
  return each.goals.map((goal) =>
    make("div", { class: goal.state === "not judged" ? false : goal.state }, `${named[goal.goal]} ${seconds(goal.wanted_s)}: ${goal.state}`),
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

function earlier(candidate, pipeline) {
  return before?.candidates.find((one) => one.name === candidate)?.pipelines.find((one) => one.pipeline === pipeline)?.time ?? null;
}

function changed(was, is) {
  const share = is / was - 1;
  if (Math.abs(share) < 0.005) return `as before`;
  return `${share > 0 ? "+" : "−"}${Math.abs(share * 100).toFixed(0)} %, was ${seconds(was)}`;
}

/** The last final figures, for panels that show more of them. */
export const finalFigures = () => final;
