// The machine and the load: a profile, or a device with a model; sliders for what is turned.

import { ask } from "./api.js";
import { change, design, on } from "./design.js";
import { byId, fill, make } from "./dom.js";

const DEVICE = "=device";
const NAMED = "=named";
const RATES = [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 8];
const ANSWERS = [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4];

let known = { profiles: [], devices: [], models: [] };
let named = [];

/** The profiles, devices and models that there are, once `begin` is over. */
export const machines = () => known;

let shape = "";

/** Fill the lists; the design begins with what was named on the command line, else with the first measured profile. */
export async function begin(profiles) {
  named = profiles;
  known = (await ask("machines", 0, {})) ?? known;
  const usable = known.profiles.filter((one) => !one.mistake);
  const first = usable.find((one) => one.origin === "measured") ?? usable[0];
  const value = named.length ? NAMED : first ? first.name : DEVICE;
  const where = make("select", { id: "profile", onchange: choose });
  if (named.length) where.append(make("option", { value: NAMED }, `as named: ${named.join(", ")}`));
  for (const one of usable) where.append(make("option", { value: one.name }, `${one.name} (${one.model})`));
  where.append(make("option", { value: DEVICE }, "a device that is estimated"));
  const device = make("select", { id: "device", onchange: choose }, ...known.devices.map((one) => make("option", { value: one.name }, one.name)));
  const model = make("select", { id: "model", onchange: choose }, ...known.models.map((one) => make("option", { value: one.name }, `${one.name} (${one.quant})`)));
  const extrapolate = make("input", { type: "checkbox", id: "extrapolate", onchange: choose });
  fill(
    byId("where"),
    make("div", {}, make("label", { for: "profile" }, "Profile"), where),
    make("div", { id: "of-device", hidden: true }, make("label", { for: "device" }, "Device"), device),
    make("div", { id: "of-model", hidden: true }, make("label", { for: "model" }, "Model"), model),
    make("span", { class: "badge", id: "origin" }),
    make("label", { for: "extrapolate" }, extrapolate, " extrapolate what the profile lacks"),
  );
  where.value = value;
  choose();
}

function choose() {
  const value = byId("profile").value;
  const isDevice = value === DEVICE;
  byId("of-device").hidden = byId("of-model").hidden = !isDevice;
  const profile = known.profiles.find((one) => one.name === value);
  const origin = isDevice ? "estimated" : (profile?.origin ?? "");
  byId("origin").textContent = origin;
  byId("origin").hidden = !origin;
  byId("origin").className = `badge ${origin}`;
  const machine = isDevice
    ? { device: byId("device").value, model: byId("model").value }
    : { profiles: value === NAMED ? named : [value] };
  change({ machine, extrapolate: byId("extrapolate").checked });
}

function turn(kind, name, value, usual) {
  const turned = structuredClone(design.turned);
  const of = { ...(turned[kind] ?? {}) };
  if (value === usual) delete of[name];
  else of[name] = value;
  turned[kind] = of;
  change({ turned });
}

function dial(id, says, values, value, text, turned) {
  const at = values.includes(value) ? values.indexOf(value) : 0;
  const usual = values[at];
  const output = make("output", { for: id }, text(usual));
  const box = make("div", { class: "dial" });
  const input = make("input", {
    type: "range", id, min: 0, max: values.length - 1, step: 1, value: at, "aria-valuetext": text(usual),
    oninput: (event) => {
      const now = values[Number(event.target.value)];
      output.textContent = text(now);
      event.target.setAttribute("aria-valuetext", text(now));
      box.classList.toggle("turned", now !== usual);
      turned(now, usual);
    },
  });
  box.append(make("label", { for: id }, says, output), input);
  return box;
}

const upTo = (most, ...more) => [...new Set([...Array.from({ length: most }, (_, at) => at + 1), ...more])].sort((a, b) => a - b);

/** Make the sliders of a workload; those that were turned begin again when what can be turned has changed. */
function show(answer) {
  if (answer.state !== "ok") return;
  const now = JSON.stringify([answer.servers, answer.pipelines, answer.levers]);
  if (now === shape) return;
  const isFirst = shape === "";
  shape = now;
  const times = (value) => `× ${value}`;
  const dials = [
    ...answer.servers.map((one) =>
      dial(`slots-${one.name}`, `slots of ${one.name}`, upTo(16, one.slots), one.slots, String, (value, usual) => turn("slots", one.name, value, usual)),
    ),
    ...answer.pipelines.filter((one) => one.users > 0).map((one) =>
      dial(`users-${one.name}`, `users of ${one.name}`, upTo(16, one.users, 24, 32, 48, 64), one.users, String, (value, usual) => turn("users", one.name, value, usual)),
    ),
    ...answer.pipelines.filter((one) => one.users === 0 && one.per_s !== null).map((one) =>
      dial(`rate-${one.name}`, `arrivals of ${one.name}`, RATES, 1, times, (value, usual) => turn("rate", one.name, value, usual)),
    ),
    dial("answers", "length of answers", ANSWERS, 1, times, (value) => change({ turned: { ...design.turned, answers: value } })),
    ...answer.levers.map((one) => lever(one)),
  ];
  fill(byId("dials"), ...dials);
  if (!isFirst && Object.keys(design.turned).length) change({ turned: {} });
}

function lever(one) {
  const id = `lever-${one.name}`;
  const select = make(
    "select",
    { id, title: one.about, onchange: (event) => turn("levers", one.name, event.target.value, "") },
    make("option", { value: "" }, "as written"),
    ...one.values.map((value) => make("option", { value }, value)),
  );
  return make("div", {}, make("label", { for: id }, one.name.replaceAll("_", " ")), select);
}

on("look", show);
