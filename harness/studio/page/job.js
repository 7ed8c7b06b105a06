// What takes long: search all ways, measure the best few, compare machines. It goes on beside the writing.

import { ask, onConnection } from "./api.js";
import { currentVersion, design, on } from "./design.js";
import { byId, fill, make, seconds } from "./dom.js";
import { finalFigures } from "./figures.js";

const POLL_MS = 500;
const MOST_MEASURED = 3;
const MOST_COMPARED = 4;

const says = { recommend: "The search", measure: "The measurement", compare: "The comparison" };
const progress = make("progress", { id: "job-progress", hidden: true, "aria-label": "How far it is" });
const said = make("p", { id: "job-said", role: "status" });
const stop = make("button", { type: "button", id: "job-stop", hidden: true, onclick: stopped }, "Stop");
const answered = make("div", { id: "job-answer" });
const machines = make("fieldset", { id: "machines-compared", hidden: true });
const starts = [
  make("button", { type: "button", id: "job-recommend", onclick: () => begin("recommend", {}) }, "Search all ways"),
  make("button", { type: "button", id: "job-measure", onclick: () => begin("measure", { candidates: best() }) }, "Measure the best"),
  make("button", { type: "button", id: "job-compare", "aria-expanded": "false", "aria-controls": "machines-compared", onclick: toggled }, "Compare machines"),
];
const compare = make("button", { type: "button", id: "job-compare-start", hidden: true, onclick: () => begin("compare", { machines: chosen() }) }, "Compare these");
let timer = 0;
let watched = null; // the version that the answer is about

byId("panels").append(
  make(
    "section",
    { id: "job", "aria-labelledby": "job-title" },
    make("h3", { id: "job-title" }, "Search, measure, compare"),
    make("p", { class: "remark" }, "A search tries hundreds of ways by simulation. A measurement starts servers on this machine and runs the best candidates."),
    make("div", { class: "line" }, ...starts, stop, progress),
    machines, compare, said, answered,
  ),
);

/** The recommended candidate and the two next best on the first pipeline. */
function best() {
  const final = finalFigures();
  const known = (final?.candidates ?? []).filter((one) => !one.why_not && one.pipelines.length);
  const time = (one) => one.pipelines[0].time?.value ?? Infinity;
  return known.sort((a, b) => b.recommended - a.recommended || time(a) - time(b)).slice(0, MOST_MEASURED).map((one) => one.name);
}

async function toggled() {
  const open = machines.hidden;
  machines.hidden = compare.hidden = !open;
  byId("job-compare").setAttribute("aria-expanded", String(open));
  if (!open || machines.childElementCount) return;
  const known = await ask("machines", currentVersion(), {});
  if (!known || known.state !== "ok") return;
  const box = (value, text) => make("label", {}, make("input", { type: "checkbox", value, onchange: limited }), ` ${text}`);
  const model = known.models[0]?.name;
  fill(
    machines,
    make("legend", {}, `Two to ${MOST_COMPARED} machines; devices are estimated with the model that is chosen above, else with ${model}.`),
    ...known.profiles.filter((one) => !one.mistake).map((one) => box(JSON.stringify({ profiles: [one.name] }), `${one.name} (${one.origin})`)),
    ...known.devices.map((one) => box(JSON.stringify({ device: one.name }), one.name)),
  );
  machines.dataset.model = model ?? "";
  limited();
}

function chosen() {
  const model = design.machine.model ?? machines.dataset.model;
  return [...machines.querySelectorAll("input:checked")].map((one) => JSON.parse(one.value)).map((one) => (one.device ? { ...one, model } : one));
}

function limited() {
  const boxes = [...machines.querySelectorAll("input")];
  const many = boxes.filter((one) => one.checked).length;
  for (const one of boxes) one.disabled = many >= MOST_COMPARED && !one.checked;
  compare.disabled = many < 2;
}

async function begin(kind, more) {
  const version = currentVersion();
  const body = { text: design.text, machine: design.machine, turned: design.turned, extrapolate: design.extrapolate };
  fill(answered);
  show(await ask("job", version, { kind, ...body, ...more }));
}

async function stopped() {
  stop.disabled = true;
  said.textContent = "It is being stopped; servers that it started are ended.";
  show(await ask("job-stop", currentVersion(), {}));
}

async function watch() {
  show(await ask("job-state", currentVersion(), {}));
}

function show(answer) {
  clearTimeout(timer);
  const running = answer?.running ?? false;
  for (const one of [...starts, compare]) one.disabled = running;
  if (!running) limited();
  stop.hidden = progress.hidden = !running;
  stop.disabled = answer?.stopping ?? false;
  if (!answer || (answer.state === "ok" && answer.kind === null)) return;
  if (running) {
    if (answer.total > 0) {
      progress.max = answer.total;
      progress.value = answer.done;
    } else progress.removeAttribute("value");
    said.textContent = `${answer.said.at(-1) ?? "It begins."} (${seconds(Math.round(answer.seconds))})`;
    timer = setTimeout(watch, POLL_MS);
    return;
  }
  if (answer.state !== "ok") {
    said.textContent = answer.message || answer.mistakes.map((one) => one.whole).join("\n");
    return;
  }
  watched = answer.version;
  said.textContent = `${says[answer.kind]} took ${seconds(answer.seconds)}${answer.interrupted ? " and was stopped early" : ""}.`;
  fill(answered, ...result(answer));
  outdated();
}

function result(answer) {
  const { warnings, headline, basis, table, parts } = answer.result;
  return [
    make("p", { id: "job-outdated", class: "warning", hidden: true }, "The design has changed since: this answer is about the one before."),
    ...warnings.map((text) => make("p", { class: "warning" }, text)),
    make("p", { class: "headline" }, headline),
    make("p", { class: "remark" }, basis.join(" · ")),
    table ? make("div", { id: "job-table", role: "region", "aria-label": "The candidates of the answer", tabindex: 0 }, grid(table)) : null,
    make("dl", {}, ...parts.filter((one) => one.title !== "Details").flatMap((one) => one.lines.map((line, at) => [
      make("dt", {}, at ? "" : one.title), make("dd", {}, line.code ? make("code", {}, line.text) : line.text),
    ]).flat())),
    answer.beside.length ? beside(answer.beside) : null,
    answer.folder ? make("p", { class: "remark" }, `Everything that was measured, with its report: ${answer.folder}`) : null,
    answer.settings.length ? settings(answer.settings) : null,
  ].filter((one) => one !== null);
}

function grid(table) {
  return make(
    "table",
    {},
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "candidate"), ...table.columns.map(([above, below]) => make("th", { scope: "col" }, `${above} ${below}`)))),
    make("tbody", {}, ...table.rows.map((row) =>
      make("tr", { class: row.recommended ? "recommended" : false }, make("th", { scope: "row" }, row.label, row.recommended ? make("span", { class: "badge" }, "recommended") : null), ...row.cells.map((cell) => make("td", { class: "n" }, cell))),
    )),
  );
}

function beside(rows) {
  const percent = (error) => `${error < 0 ? "−" : "+"}${Math.abs(error * 100).toFixed(1)} %`;
  return make(
    "table",
    { id: "job-beside" },
    make("caption", {}, "Measured beside predicted on the chosen machine; the error is of the prediction."),
    make("thead", {}, make("tr", {}, ...["candidate", "pipeline", "measured", "predicted", "error"].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, make("th", { scope: "row" }, row.candidate), make("td", {}, row.pipeline), make("td", { class: "n" }, seconds(row.measured_s)), make("td", { class: "n" }, seconds(row.predicted_s)), make("td", { class: "n" }, row.error === null ? "not predicted" : percent(row.error))))),
  );
}

function settings(kinds) {
  const text = make("pre", { tabindex: 0, "aria-label": "Settings of the answer" }, kinds[0][1]);
  const told = make("span", { role: "status" });
  const kind = make("select", { id: "job-settings", onchange: () => { text.textContent = kinds[kind.selectedIndex][1]; told.textContent = ""; } }, ...kinds.map(([name]) => make("option", { value: name }, name)));
  const copy = make("button", { type: "button", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      told.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(text);
      told.textContent = "The browser does not let this page copy. The text is selected: press Ctrl and C.";
    }
  } }, "Copy");
  return make("div", {}, make("div", { class: "line" }, make("div", {}, make("label", { for: "job-settings" }, "Settings of the answer"), kind), copy, told), text);
}

function outdated() {
  const note = byId("job-outdated");
  if (note) note.hidden = watched === currentVersion();
}

on("changed", outdated);
onConnection((message) => {
  if (!message) watch();
});
limited();
