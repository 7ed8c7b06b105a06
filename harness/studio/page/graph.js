// The graphs, as reports draw them. A click or Enter on a node selects its lines.

import { on } from "./design.js";
import { byId, draw, fill, make } from "./dom.js";
import { select } from "./editor.js";

const places = new Map();

function show(answer) {
  if (answer.state !== "ok") return; // the last one that could be read stays
  places.clear();
  for (const { pipeline, node, lines } of answer.nodes) places.set(`${pipeline} ${node}`, lines);
  fill(
    byId("graphs"),
    ...answer.graphs.map((graph) =>
      make("div", {}, make("p", {}, graph.pipeline), ...graph.says.map((line) => make("p", {}, line)), graph.nodes.length ? drawn(graph) : null),
    ),
  );
}

function drawn(graph) {
  const { width, height } = graph;
  return draw(
    "svg",
    { class: "graph", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": `Agent graph of ${graph.pipeline}` },
    ...graph.lines.map((line) => draw("path", { class: line.again ? "edge again" : "edge", d: line.d })),
    ...graph.nodes.map((node) => box(graph.pipeline, node)),
  );
}

function box(pipeline, node) {
  const chosen = (event) => {
    const lines = places.get(`${pipeline} ${node.node}`);
    for (const other of document.querySelectorAll(".node.chosen")) other.classList.remove("chosen");
    event.currentTarget.classList.add("chosen");
    if (lines) select(lines.first, lines.last);
    document.dispatchEvent(new CustomEvent("node-chosen", { detail: { pipeline, node: node.node } }));
  };
  const onKey = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    chosen(event);
  };
  return draw(
    "g",
    {
      class: "node", transform: `translate(${node.x} ${node.y})`, tabindex: 0, role: "button",
      "data-node": node.node, "data-pipeline": pipeline, onclick: chosen, onkeydown: onKey,
    },
    draw("title", {}, node.title),
    draw("rect", { width: node.width, height: node.height, rx: 4 }),
    ...node.texts.map((line, row) => draw("text", { x: 12, y: 20 + 15 * row, class: row ? false : "name" }, line)),
  );
}

on("look", show);
