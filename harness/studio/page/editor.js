// The text: line numbers, marks at lines with mistakes, the list of mistakes, and what can stand at the cursor.

import { ask } from "./api.js";
import { change, currentVersion, design, on } from "./design.js";
import { byId, fill, make } from "./dom.js";

const text = byId("text");
const gutter = byId("gutter");
const list = byId("completions");

let bad = new Map();
let marked = null;
let shown = null; // {first, items, at}: what the list of completions is about
let asked = 0;

/** Show the text that the page begins with. */
export function begin(value) {
  text.value = value;
  design.text = value;
  number();
}

/** Put a text in place of what is there, as if it were typed: undo takes it back. */
export function put(value) {
  const old = text.value;
  const most = Math.min(old.length, value.length);
  let from = 0;
  while (from < most && old[from] === value[from]) from += 1;
  let same = 0;
  while (same < most - from && old[old.length - 1 - same] === value[value.length - 1 - same]) same += 1;
  const written = value.slice(from, value.length - same);
  text.focus({ preventScroll: true });
  text.setSelectionRange(from, old.length - same);
  if (written) document.execCommand("insertText", false, written);
  else if (old.length - same > from) document.execCommand("delete");
  if (text.value !== value) text.value = value; // a browser without it
  if (design.text !== value) changed();
  close();
}

/** Select lines of the text, from 1, and show them. */
export function select(first, last) {
  const lines = text.value.split("\n");
  const from = lines.slice(0, first - 1).reduce((sum, line) => sum + line.length + 1, 0);
  const to = lines.slice(0, last).reduce((sum, line) => sum + line.length + 1, 0) - 1;
  marked = { first, last };
  text.focus();
  text.setSelectionRange(from, Math.max(from, to));
  const height = text.scrollHeight / Math.max(1, lines.length);
  text.scrollTop = Math.max(0, (first - 4) * height);
  number();
}

function number() {
  const lines = text.value.split("\n").length;
  const rows = [];
  for (let line = 1; line <= lines; line += 1) {
    const kind = bad.has(line) ? "bad" : marked && line >= marked.first && line <= marked.last ? "node" : false;
    rows.push(make("div", { class: kind, title: bad.get(line) ?? false }, line));
  }
  fill(gutter, ...rows);
  gutter.scrollTop = text.scrollTop;
}

function showMistakes(answer) {
  bad = new Map();
  for (const { line, message } of answer.mistakes) {
    if (line) bad.set(line, bad.has(line) ? `${bad.get(line)}\n${message}` : message);
  }
  number();
  const { length } = answer.mistakes;
  byId("mistakes-said").textContent =
    answer.state === "ok" ? "No mistakes." : length ? `${length} ${length === 1 ? "mistake" : "mistakes"}.` : answer.message;
  byId("mistakes").hidden = !length;
  fill(
    byId("mistakes"),
    ...answer.mistakes.map(({ line, column, message }) =>
      make(
        "li",
        {},
        line ? make("button", { type: "button", onclick: () => go(line, column) }, `line ${line}, column ${column}`) : null,
        line ? ": " : "",
        message,
      ),
    ),
  );
}

function go(line, column) {
  const before = text.value.split("\n").slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  select(line, line);
  text.setSelectionRange(before + column - 1, before + column - 1);
}

// --- completion ---

function cursor() {
  const before = text.value.slice(0, text.selectionStart);
  const line = before.split("\n").length;
  return { line, column: before.length - before.lastIndexOf("\n") };
}

async function complete(asWished) {
  const at = cursor();
  asked += 1;
  const mine = asked;
  const answer = await ask("complete", currentVersion(), { text: text.value, ...at });
  if (!answer || mine !== asked || answer.state !== "ok") return;
  if (!answer.items.length || (!asWished && answer.items.length === 1 && typed(answer.first) === answer.items[0].text)) {
    close();
    return;
  }
  shown = { first: answer.first, items: answer.items, at: 0 };
  const lineHeight = text.scrollHeight / Math.max(1, text.value.split("\n").length);
  const y = (at.line - 1) * lineHeight + 8 - text.scrollTop;
  const isBelow = y < text.clientHeight / 2;
  list.style.top = isBelow ? `${y + lineHeight + 4}px` : "auto";
  list.style.bottom = isBelow ? "auto" : `${text.clientHeight - y + 4}px`;
  list.style.left = `${Math.min(text.clientWidth / 2, 48 + answer.first * 7)}px`;
  fill(
    list,
    ...answer.items.map((item, at) =>
      make(
        "li",
        { role: "option", id: `completion-${at}`, "aria-selected": String(at === 0), onmousedown: (event) => pick(event, at) },
        make("span", { class: "what" }, item.text),
        item.about ? make("span", { class: "about" }, item.about) : null,
      ),
    ),
  );
  list.hidden = false;
  text.setAttribute("aria-controls", "completions");
  text.setAttribute("aria-activedescendant", "completion-0");
}

const typed = (first) => text.value.slice(text.selectionStart - (cursor().column - first), text.selectionStart);

function pick(event, at) {
  event.preventDefault();
  shown.at = at;
  accept();
}

function move(by) {
  const options = list.children;
  options[shown.at].setAttribute("aria-selected", "false");
  shown.at = (shown.at + by + options.length) % options.length;
  options[shown.at].setAttribute("aria-selected", "true");
  options[shown.at].scrollIntoView({ block: "nearest" });
  text.setAttribute("aria-activedescendant", `completion-${shown.at}`);
}

function accept() {
  const item = shown.items[shown.at];
  const end = text.selectionStart;
  const begin = end - (cursor().column - shown.first);
  const written = item.kind === "key" ? `${item.text}: ` : item.text;
  text.setRangeText(written, begin, end, "end");
  close();
  change({ text: text.value });
  number();
}

function close() {
  asked += 1;
  shown = null;
  list.hidden = true;
  text.removeAttribute("aria-activedescendant");
  text.removeAttribute("aria-controls");
}

function onKey(event) {
  if (event.key === " " && event.ctrlKey) {
    event.preventDefault();
    complete(true);
  } else if (shown && ["ArrowDown", "ArrowUp"].includes(event.key)) {
    event.preventDefault();
    move(event.key === "ArrowDown" ? 1 : -1);
  } else if (shown && ["Enter", "Tab"].includes(event.key)) {
    event.preventDefault();
    accept();
  } else if (shown && event.key === "Escape") {
    event.preventDefault();
    close();
  } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    const start = text.value.lastIndexOf("\n", text.selectionStart - 1) + 1;
    const line = text.value.slice(start, text.selectionStart);
    const indent = /^\s*/.exec(line)[0] + (/:\s*$/.test(line) ? "  " : "");
    text.setRangeText(`\n${indent}`, text.selectionStart, text.selectionEnd, "end");
    changed();
  }
}

function changed(event) {
  marked = null;
  change({ text: text.value });
  number();
  if (event && /^\w$/.test(event.data ?? "")) complete(false);
  else close();
}

text.addEventListener("input", changed);
text.addEventListener("keydown", onKey);
text.addEventListener("blur", close);
text.addEventListener("scroll", () => {
  gutter.scrollTop = text.scrollTop;
});
on("look", showMistakes);
on("changed", () => {
  if (text.value !== design.text) {
    text.value = design.text;
    number();
  }
});
