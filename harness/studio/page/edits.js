// Edits of the graph by hand: what the chosen node can be, and the text with an edit in it.

import { ask } from "./api.js";
import { currentVersion, design, on } from "./design.js";
import { byId, fill, make } from "./dom.js";
import { put, select } from "./editor.js";

const panel = byId("edits");
let chosen = null; // {pipeline, node}
let asked = 0;

document.addEventListener("node-chosen", (event) => {
  chosen = event.detail;
  say("");
  show();
});

on("look", (answer) => {
  if (answer.state !== "ok" || !chosen) return;
  const { pipeline, node } = chosen;
  const box = [...document.querySelectorAll(".node")].find((one) => one.dataset.pipeline === pipeline && one.dataset.node === node);
  if (box) box.classList.add("chosen");
  else chosen = null;
  show();
});

const say = (text) => {
  byId("edits-said").textContent = text;
};

async function show() {
  asked += 1;
  const mine = asked;
  if (!chosen) {
    panel.hidden = true;
    return;
  }
  const facts = await ask("node", currentVersion(), { text: design.text, ...chosen });
  if (!facts || mine !== asked || facts.state === "replaced") return;
  const focused = document.activeElement?.id;
  panel.hidden = false;
  fill(panel, make("h4", {}, `Node ${chosen.node} of ${chosen.pipeline}`), ...(facts.state === "ok" ? forms(facts) : [make("p", {}, "The workload has mistakes: correct them first.")]));
  if (focused && panel.contains(byId(focused))) byId(focused).focus();
}

function forms(facts) {
  return [after(facts), over(facts), tokens(facts), remove(facts)];
}

function form(id, says, submit, ...fields) {
  return make(
    "form",
    {
      id,
      onsubmit: (event) => {
        event.preventDefault();
        submit();
      },
    },
    ...fields,
    says ? make("button", { type: "submit", id: `${id}-do` }, says) : null,
  );
}

const labelled = (id, says, field) => make("div", {}, make("label", { for: id }, says), field);

function after(facts) {
  const name = make("input", { type: "text", id: "edit-name", value: facts.free_name, required: true, maxlength: 63, autocomplete: "off" });
  const agent = make("select", { id: "edit-agent" }, make("option", { value: "" }, "an agent of its own"), ...facts.agents.map((one) => make("option", { value: one }, one)));
  return form(
    "edit-after", "Add a node after it", () => edit({ kind: "add-after", name: name.value.trim(), agent: agent.value || null }, name.value.trim()),
    labelled("edit-name", "name", name), labelled("edit-agent", "agent", agent),
  );
}

function over(facts) {
  if (facts.kind !== "agent") return null;
  const inputs = make("select", { id: "edit-input" }, ...facts.inputs.map((one) => make("option", { value: one, selected: one === facts.over }, one)));
  const one = facts.over ? make("button", { type: "button", id: "edit-one-call", onclick: () => edit({ kind: "one-call" }) }, "One call instead") : null;
  if (!facts.inputs.length) return form("edit-over", "", () => {}, make("p", {}, "There is no input to fan out over."), one);
  return form("edit-over", "Fan out over it", () => edit({ kind: "fan-out", over: inputs.value }), labelled("edit-input", "input", inputs), one);
}

function tokens(facts) {
  if (facts.kind !== "agent") return null;
  if (facts.card) return make("p", {}, `The agent ${facts.agent} is in the file ${facts.card}: change its output_tokens there.`);
  const number = (id, value) => make("input", { type: "number", id, min: 1, max: 1000000, step: 1, value: value ?? "" });
  const [least, most] = [number("edit-least", facts.tokens[0]), number("edit-most", facts.tokens[1])];
  least.required = true;
  const shared = facts.shared_by > 1 ? make("p", {}, `${facts.shared_by} nodes call the agent ${facts.agent}: it changes for all of them.`) : null;
  const now = facts.tokens.length ? null : make("p", {}, "Now they follow a distribution, which a number replaces.");
  const done = () => edit({ kind: "tokens", tokens: [least, most].filter((one) => one.value !== "").map((one) => Number(one.value)) });
  return form("edit-tokens", "Change tokens", done, labelled("edit-least", "output tokens", least), labelled("edit-most", "at most, if they vary", most), shared, now);
}

function remove(facts) {
  if (facts.needed_by.length) return make("p", {}, `It can be deleted when ${facts.needed_by.join(", ")} is gone, which comes after it.`);
  return make("button", { type: "button", id: "edit-delete", onclick: () => edit({ kind: "delete" }) }, "Delete this node");
}

async function edit(what, name = chosen?.node) {
  const of = chosen;
  const { text } = design;
  const answer = await ask("edit", currentVersion(), { text, ...of, ...what });
  if (!answer) return;
  if (design.text !== text || answer.state === "replaced") {
    say("Not done: the text has changed meanwhile. Do it again.");
    return;
  }
  if (answer.state !== "ok") {
    say(answer.message || answer.mistakes.map((one) => one.whole).join("\n"));
    return;
  }
  const focused = document.activeElement;
  put(answer.text);
  if (answer.lines) select(answer.lines.first, answer.lines.last);
  if (focused && focused !== document.body && document.contains(focused)) focused.focus({ preventScroll: true });
  if (what.kind === "delete") byId("text").focus();
  const parts = of.node.split("/");
  chosen = what.kind === "delete" ? null : { ...of, node: [...parts.slice(0, -1), name.split("/").pop()].join("/") };
  if (!chosen) show();
  say(what.kind === "delete" ? `${of.node} is deleted.` : "Done. Undo takes it back, in the text.");
}
