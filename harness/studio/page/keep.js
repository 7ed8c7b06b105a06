// Keep a design: save it to its file, notice when that has changed elsewhere, and when the server is gone.

import { ask } from "./api.js";
import { currentVersion, design, on } from "./design.js";
import { byId, fill, make } from "./dom.js";
import { put } from "./editor.js";

const LOOK_MS = 3000;
const kept = { text: "", digest: "", file: "", named: true };
let busy = false;
let told = null; // the digest of the file that the page has asked about

/** Begin with what the server has in its file. */
export function begin({ text, digest, file, named, folder, starts }) {
  Object.assign(kept, { text, digest, file, named, folder });
  byId("save").disabled = false;
  if (starts.length) {
    const list = make("select", { id: "start", onchange: startFrom }, make("option", { value: "" }, "this small one"), ...starts.map(({ name, about }) => make("option", { value: name, title: about }, name)));
    fill(byId("starts"), make("label", { for: "start" }, "Start from"), list, make("span", { id: "start-about" }));
    list.addEventListener("change", () => {
      byId("start-about").textContent = starts.find((one) => one.name === list.value)?.about ?? "";
    });
  }
  mark();
  setInterval(look, LOOK_MS);
}

const dirty = () => design.text !== kept.text;

function mark() {
  byId("file").textContent = kept.named ? kept.file : "not in a file yet";
  byId("unsaved").textContent = dirty() ? "unsaved changes" : "";
  const name = kept.named ? kept.file.split("/").pop() : "new";
  document.title = `${dirty() ? "● " : ""}${name} – Slotwise workbench`;
}

const say = (text) => {
  byId("kept-said").textContent = text;
};

async function startFrom(event) {
  const name = event.target.value;
  if (!name) {
    put(kept.text);
    return;
  }
  const answer = await ask("begin", currentVersion(), { name });
  if (answer?.state === "ok") put(answer.text);
}

// --- saving ---

async function save({ digest = kept.digest, name = "" } = {}) {
  if (busy) return;
  if (!kept.named && !name) {
    askName();
    return;
  }
  busy = true;
  const { text } = design;
  const answer = await ask("save", currentVersion(), { text, digest, name });
  busy = false;
  if (!answer) say("Not saved: the workbench does not answer.");
  else if (answer.state !== "ok") say(`Not saved: ${answer.message}`);
  else if (!answer.saved) conflict(answer, name);
  else {
    Object.assign(kept, { text, digest: answer.digest, file: answer.file, named: true });
    told = null;
    fill(byId("keeping"));
    fill(byId("starts"));
    say("Saved.");
    mark();
  }
}

function askName() {
  const field = make("input", { type: "text", id: "name", value: "my-pipeline.yaml", required: true, maxlength: 200, autocomplete: "off" });
  fill(
    byId("keeping"),
    make(
      "form",
      {
        id: "naming",
        onsubmit: (event) => {
          event.preventDefault();
          save({ name: field.value.trim() });
        },
      },
      make("label", { for: "name" }, `Name of the file, below ${kept.folder}`), field,
      make("button", { type: "submit" }, "Save"),
      make("button", { type: "button", onclick: close }, "Cancel"),
    ),
  );
  field.focus();
  field.setSelectionRange(0, field.value.lastIndexOf("."));
}

function close() {
  fill(byId("keeping"));
  byId("text").focus();
}

/** The file is not what the page knows: nothing is written before somebody says what is to be done. */
function conflict(answer, name = "") {
  told = answer.digest;
  const isGone = answer.digest === "";
  say(isGone ? "Not saved: the file is gone." : name ? "Not saved: there is a file of that name." : "The file was changed elsewhere.");
  const difference = make("pre", { tabindex: 0, hidden: true, "aria-label": "From the file to this page" }, answer.difference.join("\n"));
  const show = () => {
    difference.hidden = !difference.hidden;
  };
  const reload = () => {
    Object.assign(kept, { text: answer.text, digest: answer.digest, named: kept.named, file: kept.file });
    put(answer.text);
    fill(byId("keeping"));
    say("This is what the file has. Undo brings your text back.");
    mark();
  };
  fill(
    byId("keeping"),
    make(
      "div",
      { id: "conflict", role: "group", "aria-label": "The file was changed elsewhere" },
      isGone ? null : make("button", { type: "button", id: "show-difference", onclick: show }, "Show what changed"),
      make("button", { type: "button", id: "overwrite", onclick: () => save({ digest: answer.digest, name }) }, isGone ? "Write it again" : "Overwrite it"),
      isGone || name ? null : make("button", { type: "button", id: "reload", onclick: reload }, "Reload, without my changes"),
      name ? make("button", { type: "button", onclick: askName }, "Another name") : null,
      difference,
    ),
  );
}

/** Ask whether the file is what it was; a server that is gone shows by this, too. */
async function look() {
  if (busy) return;
  const { digest } = kept;
  const answer = await ask("file", currentVersion(), { digest });
  if (!answer || answer.state !== "ok" || busy || digest !== kept.digest) return;
  if (!answer.file && kept.named) Object.assign(kept, { named: false, digest: "", text: "" }); // started again, without a file
  else if (answer.file && answer.file !== kept.file) Object.assign(kept, { named: true, file: answer.file });
  else if (answer.same && told !== null) told = null;
  else if (!answer.same && kept.named && answer.digest !== told) {
    told = answer.digest;
    const whole = await ask("file", currentVersion(), { digest, text: design.text });
    if (whole?.state === "ok" && !whole.same && !busy && kept.digest === digest) {
      if (whole.text === design.text && whole.digest) Object.assign(kept, { text: whole.text, digest: whole.digest });
      else conflict(whole);
    }
  }
  mark();
}

byId("save").addEventListener("click", () => save());
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "s" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
    event.preventDefault();
    save();
  }
});
window.addEventListener("beforeunload", (event) => {
  if (dirty()) event.preventDefault();
});
on("changed", mark);
