// The best way to run the design: a search in the background, its answer, and a measurement of it on servers.

import { design } from "./design.js";
import { byId, fill, make, seconds } from "./dom.js";
import { Task, aboutLine, answerShown, copied, scrolled } from "./tasks.js";

const task = new Task("recommend", shown);
const about = aboutLine();
const found = make("div", { id: "advice" });
const search = make("button", { type: "button", id: "recommend", onclick: begin }, "Recommend");
const measure = make("button", { type: "button", id: "measure", disabled: true, onclick: confirm }, "Measure it");
const budget = make("select", { id: "budget" }, ...[["60", "1 minute"], ["300", "5 minutes"], ["900", "15 minutes"], ["3600", "1 hour"]].map(([value, text]) => make("option", { value, selected: value === "300" }, text)));
const hint = make("p", { id: "measure-why", class: "remark" }, "Search first: what it finds can be measured.");
measure.setAttribute("aria-describedby", hint.id);

byId("panels").append(
  make(
    "section", { id: "recommending", "aria-labelledby": "recommending-title" },
    make("h3", { id: "recommending-title" }, "Recommend"),
    make("p", { class: "remark" }, "Searches all ways to run this design on the machine above, by simulation."),
    make("div", { class: "line" }, search, measure, make("div", {}, make("label", { for: "budget" }, "at most"), budget), task.stopButton),
    hint, task.bar, task.said, task.live, about.node, found,
  ),
);

async function begin() {
  search.disabled = measure.disabled = true;
  await task.begin("recommend", { text: design.text, machine: design.machine, turned: design.turned, extrapolate: design.extrapolate });
}

async function confirm() {
  search.disabled = measure.disabled = true;
  await task.begin("measure", { budget_s: Number(budget.value) });
}

function shown(answer) {
  if (answer.at_work) {
    if (answer.stage === "search") {
      fill(found);
      about.set(null);
    }
    return;
  }
  search.disabled = false;
  const { advice } = answer;
  if (!advice) {
    hint.textContent = "Search first: what it finds can be measured.";
    return;
  }
  about.set(answer.about);
  const again = answer.stage === "search" && !advice.interrupted;
  measure.disabled = Boolean(advice.why_not) || !again;
  hint.textContent = advice.why_not || (again ? "Starts servers here, and measures the recommended candidate and the two best others. The run is kept as that of slotwise run." : "Search again to measure again.");
  fill(
    found,
    advice.interrupted ? make("p", { class: "warning" }, "It was stopped: this is the best that was known then.") : null,
    answerShown(advice.answer),
    ...measured(advice),
    ...advice.settings.flatMap(settings),
  );
}

function measured(advice) {
  if (!advice.differences.length) return [];
  const cell = (text) => make("td", { class: "n" }, text);
  const percent = (error) => `${error > 0 ? "+" : error < 0 ? "−" : ""}${Math.abs(error * 100).toFixed(1)} %`;
  return [
    make("h4", {}, "Measured beside predicted"),
    scrolled("Measured beside predicted", make(
      "table", { id: "differences" },
      make("thead", {}, make("tr", {}, ...["candidate", "pipeline", "predicted", "measured", "error of the prediction"].map((name) => make("th", { scope: "col" }, name)))),
      make("tbody", {}, ...advice.differences.map((one) => make("tr", {}, make("th", { scope: "row" }, one.candidate), make("td", {}, one.pipeline), cell(seconds(one.predicted_s)), cell(seconds(one.measured_s)), cell(percent(one.error))))),
    )),
    make("p", { id: "run-folder" }, `The run is in ${advice.folder}.`),
  ];
}

function settings(one) {
  const kinds = [...new Set(one.texts.map((text) => text.kind))];
  if (!kinds.length) return [];
  const shownText = make("div", {});
  const show = (kind) => fill(shownText, ...one.texts.filter((text) => text.kind === kind).flatMap((text) => copied(text.path || `${kind} of ${one.candidate}`, text.text)));
  const id = `advice-kind-${one.candidate}`;
  const select = make("select", { id, onchange: (event) => show(event.target.value) }, ...kinds.map((kind) => make("option", { value: kind }, kind)));
  show(kinds[0]);
  return [
    make("h4", {}, `Settings of ${one.candidate} to copy`),
    make("div", {}, make("label", { for: id }, "Kind"), select),
    shownText,
    ...one.remarks.map((line) => make("p", { class: "remark" }, line)),
  ];
}
