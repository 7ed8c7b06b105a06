// Figures beside those of the state before the last change, or of a state that a person keeps for that.

import { design } from "./design.js";
import { make, seconds } from "./dom.js";

const LEAST = 0.005; // a smaller share is no change worth saying

let now = null; // {key, answer}: the last figures
let before = null; // the same: final ones of another state
let kept = null;

const isTurned = ([kind, value]) => (kind === "answers" ? value !== 1 : Object.keys(value).length > 0);
const keyOf = () => JSON.stringify([design.text, design.machine, Object.entries(design.turned).filter(isTurned).sort(), design.extrapolate]);

/** The design was changed: what was there is compared with, if it was final. */
export function left() {
  if (now?.answer.stage === "final" && now.key !== keyOf()) before = now;
}

/** Figures have come. */
export function came(answer) {
  now = { key: keyOf(), answer };
}

/** Keep the final figures that are shown, whatever is changed then. */
export function keep() {
  if (canKeep()) kept = now;
}

/** Compare with the state before the last change again. */
export function forget() {
  kept = null;
}

export const canKeep = () => now?.answer.stage === "final" && kept?.key !== now.key;
export const isKept = () => kept !== null;

/** What is compared with, in words. */
export function says() {
  if (kept) return kept.key === now?.key ? "This state is kept as the comparison." : "Compared with the state that you kept.";
  return before && before.key !== now?.key ? "Compared with the state before the last change." : "Nothing was changed yet to compare with.";
}

/** What a pipeline had under a candidate in the state that is compared with; null where there is none. */
export function earlier(candidate, pipeline) {
  const from = kept ?? before;
  if (!from || from.key === now?.key) return null;
  return from.answer.candidates.find((one) => one.name === candidate)?.pipelines.find((one) => one.pipeline === pipeline) ?? null;
}

/** How a time changed: a sign, seconds and a share, and in colour whether that is better; null where nothing is known. */
export function changed(was, is) {
  if (!was || !is) return null;
  const by = is.value - was.value;
  const share = was.value ? by / was.value : by ? Infinity : 0;
  if (Math.abs(share) < LEAST) return make("span", { class: "change" }, "as before");
  const sign = by > 0 ? "+" : "−";
  const part = Number.isFinite(share) ? ` (${sign}${(Math.abs(share) * 100).toFixed(Math.abs(share) < 0.095 ? 1 : 0)} %)` : "";
  return make("span", { class: `change ${by > 0 ? "worse" : "better"}`, title: `before: ${seconds(was.value)}` }, `${sign}${seconds(Math.abs(by))}${part}`);
}

/** What a goal was before, where that is something else. */
export function goalChanged(was, is) {
  const old = was?.goals.find((goal) => goal.goal === is.goal);
  if (!old || old.state === is.state) return null;
  const kind = is.state === "met" ? "better" : old.state === "met" ? "worse" : "";
  return make("span", { class: `change ${kind}` }, `before: ${old.state}`);
}
