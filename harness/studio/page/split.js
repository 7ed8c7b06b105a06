// Where the time of the chosen candidate's jobs goes, by kind of time, as reports say it.

import { byId, draw, fill, make, seconds } from "./dom.js";

const WIDTH = 600;
const LEAST = 0.002; // of the whole: less is not worth a line

/** Show it over all repeats where the final figures have it, else of the repeat that is shown. */
export function showSplit(answer, figures) {
  byId("split").hidden = false;
  const labels = new Map(answer.split.flatMap((one) => one.parts.map((part) => [part.kind, part.label])));
  const all = figures?.version === answer.version ? figures.summary?.candidates.find((one) => one.name === answer.candidate) : null;
  const rows = all
    ? all.pipelines.map((one) => ({ pipeline: one.pipeline, parts: [...labels].map(([kind, label]) => ({ kind, label, seconds: one.job_parts[kind] })) }))
    : answer.split;
  const shown = rows.filter((one) => totalOf(one) > 0);
  const most = Math.max(...shown.map(totalOf), 1e-12);
  fill(
    byId("split-of"),
    make("p", {}, `${answer.candidate}: means over the critical paths of the jobs of ${all ? `all ${figures.repeats} repeats` : `repeat ${answer.repeat + 1} alone`}.`),
    ...shown.map((one) => make("div", {}, make("h4", {}, `${one.pipeline}: ${seconds(totalOf(one))}`), bar(one, most), list(one))),
    shown.length ? null : make("p", {}, "No job succeeded."),
  );
}

const totalOf = (one) => one.parts.reduce((sum, part) => sum + part.seconds, 0);

function bar(one, most) {
  let x = 0;
  const parts = one.parts.filter((part) => part.seconds > 0).map((part) => {
    const width = (part.seconds / most) * WIDTH;
    const rect = draw("rect", { class: `part ${part.kind}`, x, y: 0, width, height: 16 });
    x += width;
    return rect;
  });
  return draw("svg", { class: "parts", viewBox: `0 0 ${WIDTH} 16`, preserveAspectRatio: "none", "aria-hidden": true }, ...parts);
}

function list(one) {
  const total = totalOf(one);
  return make(
    "ul",
    { class: "legend" },
    ...one.parts
      .filter((part) => Math.abs(part.seconds) > LEAST * total)
      .map((part) => make("li", {}, make("span", { class: `swatch part ${part.kind}` }), `${part.label} ${seconds(part.seconds)} (${((100 * part.seconds) / total).toFixed(0)} %)`)),
  );
}
