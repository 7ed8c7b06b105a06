// The design as it stands: text, machine, turned dials; a version that counts its changes; who is told what is found.

import { ask, onConnection } from "./api.js";

const SOON_MS = 25; // several keys at once are one change
const FINAL_MS = 250; // of rest, before all repeats are simulated

export const design = {
  text: "",
  machine: { profiles: [] },
  turned: {},
  extrapolate: false,
};

let version = 0;
let soon = 0;
let later = 0;
const listeners = { look: [], figures: [], changed: [] };

/** Call `listener(answer)` for each answer of a kind: "look", "figures", or "changed" when something was changed. */
export function on(kind, listener) {
  listeners[kind].push(listener);
}

function tell(kind, answer) {
  for (const listener of listeners[kind]) listener(answer);
}

export const currentVersion = () => version;

/** Change the design; what is found of it comes to the listeners. */
export function change(values) {
  Object.assign(design, values);
  version += 1;
  tell("changed", version);
  clearTimeout(soon);
  clearTimeout(later);
  soon = setTimeout(look, SOON_MS);
}

/** Ask again, as the server was away. */
function again() {
  change({});
}

async function look() {
  const asked = version;
  const body = { text: design.text, machine: design.machine, turned: design.turned, extrapolate: design.extrapolate };
  const first = ask("figures", asked, { ...body, stage: "preliminary" });
  const seen = await ask("look", asked, { text: design.text });
  if (seen && seen.version === version && seen.state !== "replaced") tell("look", seen);
  const figures = await first;
  if (!figures || figures.version !== version || figures.state === "replaced") return;
  tell("figures", figures);
  if (figures.state === "mistake") return;
  later = setTimeout(async () => {
    const found = await ask("figures", asked, { ...body, stage: "final" });
    if (found && found.version === version && found.state !== "replaced") tell("figures", found);
  }, FINAL_MS);
}

onConnection((message) => {
  if (!message) again();
});
