// Share what came of a design: its report as a file, and the settings of a candidate to copy.

import { ask } from "./api.js";
import { currentVersion, design, on } from "./design.js";
import { byId, fill, make } from "./dom.js";

const body = () => ({ text: design.text, machine: design.machine, turned: design.turned, extrapolate: design.extrapolate });
const candidate = make("select", { id: "settings-of", onchange: clear });
const shown = make("div", { id: "settings" });
const said = make("p", { id: "shared-said", role: "status" });

byId("panels").append(
  make(
    "section",
    { id: "share", "aria-labelledby": "share-title" },
    make("h3", { id: "share-title" }, "Keep and share"),
    make("div", { class: "line" }, make("button", { type: "button", id: "report", onclick: report }, "Download report.html")),
    make("div", { class: "line" }, make("div", {}, make("label", { for: "settings-of" }, "Settings of"), candidate), make("button", { type: "button", id: "show-settings", onclick: settings }, "Show settings to copy")),
    said, shown,
  ),
);

const why = (answer) => answer.message || answer.mistakes.map((one) => one.whole).join("\n");

async function working(button, name, more, text) {
  button.disabled = true;
  said.textContent = text;
  const answer = await ask(name, currentVersion(), { ...body(), ...more });
  button.disabled = false;
  said.textContent = answer && answer.state !== "ok" ? why(answer) : "";
  return answer?.state === "ok" ? answer : null;
}

async function report(event) {
  const answer = await working(event.currentTarget, "report", {}, "The report is being made.");
  if (!answer) return;
  const address = URL.createObjectURL(new Blob([answer.html], { type: "text/html" }));
  make("a", { href: address, download: `${answer.name}-report.html` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  said.textContent = `The report is ${answer.name}-report.html, among your downloads.`;
}

async function settings(event) {
  const answer = await working(event.currentTarget, "settings", { candidate: candidate.value }, "The settings are being written.");
  if (!answer) return;
  if (!answer.texts.length) {
    fill(shown, make("p", {}, "There is nothing to copy: the workload names no server."));
    return;
  }
  const kinds = [...new Set(answer.texts.map((one) => one.kind))];
  const text = make("pre", { id: "settings-text", tabindex: 0, "aria-label": "Settings to copy" });
  const kind = make("select", { id: "settings-kind", onchange: show }, ...kinds.map((one) => make("option", { value: one }, one)));
  const copied = make("span", { role: "status" });
  const copy = make("button", { type: "button", id: "copy-settings", onclick: () => clip(text, copied) }, "Copy");
  function show() {
    const parts = answer.texts.filter((one) => one.kind === kind.value);
    text.textContent = parts.map((one) => one.text).join("\n");
    copied.textContent = parts.map((one) => one.path).filter(Boolean).join(", ");
  }
  fill(shown, make("div", { class: "line" }, make("div", {}, make("label", { for: "settings-kind" }, "Kind"), kind), copy, copied), text, ...answer.remarks.map((line) => make("p", { class: "remark" }, line)));
  show();
}

async function clip(node, told) {
  try {
    await navigator.clipboard.writeText(node.textContent);
    told.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(node);
    told.textContent = "The browser does not let this page copy. The text is selected: press Ctrl and C.";
  }
}

function clear() {
  fill(shown);
  said.textContent = "";
}

on("changed", clear); // what is shown is of the design before
on("figures", (answer) => {
  if (answer.state !== "ok") return;
  const before = candidate.value;
  const known = answer.candidates.filter((one) => !one.why_not);
  fill(candidate, ...known.map((one) => make("option", { value: one.name }, one.name)));
  const chosen = known.find((one) => one.name === before) ?? known.find((one) => one.recommended) ?? known[0];
  if (chosen) candidate.value = chosen.name;
});
