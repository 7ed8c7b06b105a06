// What takes long: begin it, follow it, stop it. The server does one search and one comparison for this tab at a time.

import { ask } from "./api.js";
import { currentVersion, on } from "./design.js";
import { fill, make, seconds } from "./dom.js";

const FOLLOW_MS = 300;

// Where the workbench does not answer: it ended, and its tasks with it.
const AWAY = { state: "failed", message: "The workbench does not answer.", mistakes: [], at_work: false, progress: null };

/** Why an answer has nothing. */
export const why = (answer) => answer.message || answer.mistakes.map((one) => one.whole).join("\n");

/**
 * A task of one sort ("recommend" or "compare"). `shown(answer)` is called for each answer while it is at work and for
 * the last one; `told` is where its progress is said, `stop` its button.
 */
export class Task {
  #sort;
  #told;
  #stop;
  #shown;
  #turn = 0; // the one that is followed: a later one takes its place

  constructor(sort, shown) {
    this.#sort = sort;
    this.#shown = shown;
    this.#told = make("p", { role: "status", class: "task-said" });
    this.#stop = make("button", { type: "button", hidden: true, onclick: () => this.#halt() }, "Stop");
    this.bar = make("progress", { max: 1, hidden: true, "aria-label": "How far it is" });
    this.live = make("div", { class: "live" });
  }

  /** Its parts of the page. */
  get stopButton() {
    return this.#stop;
  }

  get said() {
    return this.#told;
  }

  /** Begin it, and follow it to its end. */
  async begin(name, body) {
    const turn = ++this.#turn;
    this.#stop.hidden = false;
    this.#stop.disabled = false;
    this.#told.textContent = "It begins.";
    let answer = await ask(name, currentVersion(), body);
    while (turn === this.#turn) {
      this.#show(answer ?? AWAY);
      if (!answer?.at_work) break;
      await new Promise((next) => setTimeout(next, FOLLOW_MS));
      if (turn === this.#turn) answer = await ask("follow", currentVersion(), { sort: this.#sort });
    }
    return turn === this.#turn ? answer : null;
  }

  async #halt() {
    this.#stop.disabled = true;
    this.#told.textContent = "It is being stopped.";
    await ask("stop", currentVersion(), { sort: this.#sort });
  }

  #show(answer) {
    const { progress } = answer;
    const { at_work: busy } = answer;
    this.#stop.hidden = !busy;
    this.bar.hidden = !busy;
    if (busy) {
      if (progress?.done) this.bar.value = progress.done;
      else this.bar.removeAttribute("value");
      const said = answer.stopping ? "It is being stopped." : (progress?.lines.at(-1) ?? "It begins.");
      if (this.#told.textContent !== said) this.#told.textContent = said;
    } else {
      this.#told.textContent = answer.state === "ok" ? "" : why(answer);
    }
    fill(this.live, ...(busy && progress?.number ? standing(progress) : []));
    this.#shown(answer);
  }
}

function standing(progress) {
  const left = progress.left_s === null ? "" : `, ${progress.at_most ? "at most" : "about"} ${seconds(progress.left_s)} left`;
  const number = progress.total === null ? `${progress.number}, until enough is known` : `${progress.number} of ${progress.total}`;
  return [
    make("p", {}, `${progress.noun} ${number}: ${progress.title}${left}`),
    make("ul", {},
      ...progress.servers.map((one) => make("li", {}, `${one.server}: ${one.in_flight} of ${one.slots} slots at work, ${one.waiting} calls waiting`)),
      ...progress.pipelines.map((one) => make("li", {}, `${one.pipeline}: ${one.ended}${one.jobs === null ? "" : ` of ${one.jobs}`} jobs done`)),
    ),
  ];
}

/** Says which text an answer is about, where that is not the one on the page. */
export function aboutLine() {
  const node = make("p", { class: "about-earlier", role: "status" });
  let about = null;
  const say = () => {
    const now = currentVersion();
    node.textContent = about === null || about === now ? "" : `This is about the design as it was in version ${about}. It has changed since: it is version ${now} now.`;
  };
  on("changed", say);
  return { node, set: (version) => { about = version; say(); } };
}

/** An answer as every command gives it. */
export function answerShown(answer) {
  return make(
    "div", { class: "answer" },
    ...answer.warnings.map((text) => make("p", { class: "warning" }, text)),
    make("p", { class: "answer-headline" }, answer.headline),
    make("p", { class: "basis" }, answer.basis.join(" · ")),
    answer.table ? scrolled("The figures of the answer", answerTable(answer.table)) : null,
    answer.table?.note ? make("p", { class: "basis" }, `${answer.table.note}.`) : null,
    ...answer.parts.filter((part) => part.title !== "Details").flatMap(partShown),
  );
}

/** A region that scrolls where the page is narrow, also by keyboard. */
export function scrolled(label, ...children) {
  return make("div", { class: "scrolled", role: "region", tabindex: 0, "aria-label": label }, ...children);
}

function answerTable(found) {
  return make(
    "table", {},
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "candidate"), ...found.columns.map(([above, below]) => make("th", { scope: "col" }, `${above} ${below}`.trim())))),
    make("tbody", {}, ...found.rows.map((row) => make("tr", {}, make("th", { scope: "row" }, row.label, " ", row.recommended ? make("span", { class: "badge" }, "recommended") : null), ...row.cells.map((cell) => make("td", {}, cell))))),
  );
}

function partShown(part) {
  const node = make("div", {});
  for (const line of part.lines) {
    if (line.code) node.append(make("pre", { tabindex: 0, "aria-label": part.title }, line.text));
    else node.append(make("p", {}, line.text));
  }
  return [make("h4", {}, part.title), node];
}

/** A text with a button that copies it. */
export function copied(label, text) {
  const told = make("span", { role: "status" });
  const pre = make("pre", { tabindex: 0, "aria-label": label }, text);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      told.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(pre);
      told.textContent = "The browser does not let this page copy. The text is selected: press Ctrl and C.";
    }
  };
  return [make("div", { class: "line" }, make("span", {}, label), make("button", { type: "button", "aria-label": `Copy: ${label}`, onclick: copy }, "Copy"), told), pre];
}
