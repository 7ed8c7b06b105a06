// Machines side by side: two to four profiles or devices, and what the candidate takes that is recommended for each.

import { design } from "./design.js";
import { byId, fill, make } from "./dom.js";
import { Task, aboutLine, scrolled } from "./tasks.js";

const MOST = 4;
const task = new Task("compare", shown);
const about = aboutLine();
const found = make("div", { id: "beside" });
const choices = make("div", { id: "beside-machines" });
const more = make("button", { type: "button", onclick: () => add() }, "Add a machine");
const compare = make("button", { type: "button", id: "compare", disabled: true, onclick: side }, "Compare machines");
let known = { profiles: [], devices: [], models: [] };
let count = 0;

byId("panels").append(
  make(
    "section", { id: "comparing", "aria-labelledby": "comparing-title" },
    make("h3", { id: "comparing-title" }, "Compare machines"),
    choices,
    make("div", { class: "line" }, more, compare, task.stopButton),
    task.bar, task.said, task.live, about.node, found,
  ),
);

/** Fill the lists, with two machines to begin with. */
export function begin(machines) {
  known = machines;
  fill(choices);
  const usable = known.profiles.filter((one) => !one.mistake);
  add(usable[0]?.name);
  add(usable[1]?.name);
  compare.disabled = false;
}

function add(value) {
  if (choices.children.length >= MOST) return;
  count += 1;
  const id = `beside-${count}`;
  const usable = known.profiles.filter((one) => !one.mistake);
  const model = make("select", { id: `${id}-model` }, ...known.models.map((one) => make("option", { value: one.name }, `${one.name} (${one.quant})`)));
  const ofModel = make("div", { hidden: true }, make("label", { for: `${id}-model` }, "its model"), model);
  const origin = make("span", { class: "badge" });
  const where = make(
    "select", { id, onchange: say },
    make("optgroup", { label: "profiles" }, ...usable.map((one) => make("option", { value: `profile ${one.name}` }, `${one.name} (${one.model})`))),
    make("optgroup", { label: "devices" }, ...known.devices.map((one) => make("option", { value: `device ${one.name}` }, one.name))),
  );
  const box = make("div", { class: "line" }, make("div", {}, make("label", { for: id }, `machine ${choices.children.length + 1}`), where), ofModel, origin);
  const away = make("button", { type: "button", class: "away", onclick: () => { box.remove(); numbers(); compare.focus(); } });
  box.append(away);
  if (value) where.value = `profile ${value}`;
  function say() {
    const [sort, name] = chosen(where);
    ofModel.hidden = sort !== "device";
    const text = sort === "device" ? "estimated" : (usable.find((one) => one.name === name)?.origin ?? "");
    origin.textContent = text;
    origin.hidden = !text;
    origin.className = `badge ${text}`;
  }
  say();
  choices.append(box);
  numbers();
}

function numbers() {
  [...choices.children].forEach((box, at) => {
    box.querySelector("label").textContent = `machine ${at + 1}`;
    box.querySelector(".away").textContent = `Leave out machine ${at + 1}`;
    box.querySelector(".away").disabled = choices.children.length <= 2;
  });
  more.disabled = choices.children.length >= MOST;
}

function chosen(select) {
  const at = select.value.indexOf(" ");
  return [select.value.slice(0, at), select.value.slice(at + 1)];
}

async function side() {
  compare.disabled = true;
  const machines = [...choices.children].map((box) => {
    const [where, model] = box.querySelectorAll("select");
    const [sort, name] = chosen(where);
    return sort === "device" ? { device: name, model: model.value } : { profiles: [name] };
  });
  await task.begin("compare", { text: design.text, machines, turned: design.turned, extrapolate: design.extrapolate });
}

function shown(answer) {
  if (answer.at_work) return;
  compare.disabled = false;
  if (!answer.beside) return;
  about.set(answer.about);
  const { answer: said, machines } = answer.beside;
  fill(
    found,
    ...said.warnings.map((text) => make("p", { class: "warning" }, text)),
    make("p", { class: "answer-headline" }, said.headline),
    scrolled("Machines side by side", table(machines)),
    ...said.parts.flatMap((part) => [make("h4", {}, part.title), ...part.lines.map((line) => make("p", {}, line.text))]),
  );
}

const gigabytes = (bytes) => (bytes === null ? "not known" : `${(bytes / 1e9).toFixed(1)} GB`);
const goalClass = (text) => (text === "met" || text === "missed" ? text : false);

function table(machines) {
  const pipelines = [...new Set(machines.flatMap((one) => one.times.map((time) => time.pipeline)))];
  const row = (name, cell) => make("tr", {}, make("th", { scope: "row" }, name), ...machines.map((one) => (one.why_not ? make("td", {}, "–") : make("td", {}, cell(one)))));
  const whyNot = machines.some((one) => one.why_not);
  return make(
    "table", { id: "beside-table" },
    make("thead", {}, make("tr", {}, make("td", {}), ...machines.map((one) => make("th", { scope: "col" }, one.name, " ", make("span", { class: `badge ${one.origin}` }, one.origin))))),
    make(
      "tbody", {},
      row("model", (one) => one.model),
      row("recommended", (one) => one.candidate || "none"),
      ...pipelines.map((name) => row(name, (one) => {
        const time = one.times.find((each) => each.pipeline === name);
        return time ? `${time.what} ${time.text}` : "–";
      })),
      row("goals", (one) => make("span", { class: goalClass(one.goals) }, one.goals)),
      row("slots", (one) => one.slots),
      row("memory needed", (one) => gigabytes(one.needed_bytes)),
      row("memory there", (one) => gigabytes(one.there_bytes)),
      whyNot ? make("tr", {}, make("th", { scope: "row" }, "why not"), ...machines.map((one) => make("td", {}, one.why_not))) : null,
    ),
  );
}
