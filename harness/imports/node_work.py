"""What a node of a program does, as nodes of the workload: agents, tools, and sub-pipelines of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from harness.errors import UserError, did_you_mean
from harness.imports.account import ImportLoss
from harness.imports.clients import ClientRead, client_of
from harness.imports.draft import DraftNote, DraftStep, Flow, Names, ask, note
from harness.imports.reading.work import NOTHING, Work, parts_of, some
from harness.imports.structure import DEFAULT_MAX

__all__ = ["OUTPUT_TOKENS", "PROMPT_TOKENS", "DraftedWork", "WorkDrafter"]

PROMPT_TOKENS, OUTPUT_TOKENS = 300, 100  # assumed, and asked about
TOOL_S, PERSON_S = 0.5, 30.0
GUESSED_ITEMS = 3
MOST_COPIES, MOST_STEPS = 64, 400  # of a sub-pipeline that is run for many items, and of steps in all copies


class DraftedWork(NamedTuple):
    """What a node becomes."""

    kind: Literal["agent", "tool", "graph"]
    target: str = ""
    delay_s: float = 0
    keys: Mapping[str, Any] = {}
    body: Flow = ()
    notes: tuple[DraftNote, ...] = ()


class WorkDrafter:
    """Makes nodes of work, and keeps the agents, inputs and sub-pipelines that they need."""

    def __init__(self, items: Mapping[str, int], *, stubs_call: bool) -> None:
        self.graphs = Names()  # of sub-pipelines
        self.agents: dict[str, tuple[dict[str, Any], tuple[DraftNote, ...]]] = {}
        self.inputs: dict[str, dict[str, Any]] = {"prompt-text": {"synthetic": {"count": 1, "tokens": PROMPT_TOKENS}}}
        self.used: list[ClientRead] = []
        self.losses: list[ImportLoss] = []
        self.run_again = 0.0  # calls of nodes that LangGraph runs more than once in a job, beyond the first time
        self.stubs: list[str] = []
        self.nameless: list[str] = []  # agents of whose model nothing is known
        self.stubs_call = stubs_call
        self.flow_of: Callable[[dict[str, Any], str], Flow] = lambda read, name: ()
        self._items = dict(items)
        self._answered: set[str] = set()
        self._fans: list[str] = []
        self._names = Names({"prompt-text"})
        self._inputs = Names({"prompt-text"})
        self._known: list[tuple[dict[str, Any], str, Flow]] = []
        self._steps = 0

    def check_items(self) -> None:
        """Raise UserError where `--items` names what has none."""
        for name in self._items:
            if name not in self._answered:
                those = list(dict.fromkeys(self._fans))
                what = f"those that have: {', '.join(those)}" if those else "no node of this graph has any"
                raise UserError(f"--items {name}: {name} has no items{did_you_mean(name, those) or f'; {what}'}")

    def node(self, name: str, node: Mapping[str, Any], sent: int | None = 1) -> DraftedWork:
        """Return what a node becomes; `sent` is how many items are sent to it (None: nobody can say)."""
        work: Work = node["work"]
        notes: tuple[DraftNote, ...] = ()
        if not some(work) and node["stub"]:
            self.stubs.append(name)
            work = {"do": "call", "clients": [], "sure": True} if self.stubs_call else NOTHING
        if "calls after an exception" in node["notes"]:
            notes = (note(f"{name} makes more calls where one has failed: these are left out."),)
            self.losses.append(ImportLoss(f"the calls that {name} makes after an exception are not in the workload"))
        if sent != 1 and any(part["do"] in ("call", "graph", "embed") for part in parts_of(work)):
            work = {"do": "fan", "body": work, "count": sent, "in_turn": False}
        made = self._made(name, work, node)
        if not some(work):
            notes = (*notes, note(f"{name} calls no model: it takes no time here."))
        return made._replace(notes=(*notes, *made.notes))

    def _made(self, name: str, work: Work, node: Mapping[str, Any]) -> DraftedWork:
        do = work["do"]
        if not some(work):
            return DraftedWork("tool")
        ways = [way for way in work["parts"] if some(way)] if do == "alt" else []
        if len(ways) == 1:
            made = self._made(name, ways[0], node)
            asked = ask(f"how often does {name} make these calls? Its code may leave them out.", "always")
            return made._replace(notes=(*made.notes, asked))
        if do == "call":
            agent, notes = self._agent(name, work)
            return DraftedWork("agent", agent, keys=_retried(work, node), notes=notes)
        if do in ("tool", "person"):
            return _waiting(name, work)
        if do == "graph":
            return self._graph(name, work)
        if do == "fan" and work["body"]["do"] == "call" and not work["in_turn"]:
            return self._fanned_call(name, work, node)
        if do == "fan" and work["in_turn"] and work["body"]["do"] == "call":
            count, notes = self.width(name, work)
            agent, said = self._agent(name, work["body"])
            return DraftedWork(
                "agent", agent, keys={**_retried(work["body"], node), **_turns(count)}, notes=(*said, *notes)
            )
        target, body = self.graphs(name), _Body(self, name, node)
        body.draw(work, ())
        return DraftedWork("graph", target, body=tuple(body.steps), notes=tuple(body.notes))

    def _fanned_call(self, name: str, work: Work, node: Mapping[str, Any]) -> DraftedWork:
        count, notes = self.width(name, work)
        agent, said = self._agent(name, work["body"], prompt="{item}")
        over = self._inputs(f"{name}-items")
        self.inputs[over] = {"synthetic": {"count": count, "tokens": PROMPT_TOKENS}}
        if notes:
            notes = (
                *notes,
                note("For lists of other lengths write `over: NODE` and `items: {count: [2, 5], max: 8}`."),
            )
        return DraftedWork("agent", agent, keys={**_retried(work["body"], node), "over": over}, notes=(*said, *notes))

    def width(self, name: str, work: Work) -> tuple[int, tuple[DraftNote, ...]]:
        """Return how many items work is done for: as answered, as the source says, or a guess with its question."""
        self._fans.append(name)
        if name in self._items:
            self._answered.add(name)
            return self._items[name], ()
        if work["count"] is not None:
            return max(1, work["count"]), ()
        how = "one after the other" if work["in_turn"] else "at once"
        asked = ask(
            f"how many items does {name} have, {how}? The program does not say. `--items {name}=N` answers this too.",
            f"{GUESSED_ITEMS} items",
        )
        return GUESSED_ITEMS, (asked,)

    def _agent(self, name: str, work: Work, prompt: str = "{prompt-text}") -> tuple[str, tuple[DraftNote, ...]]:
        read = client_of(name, work["clients"])
        spec: dict[str, Any] = {"prompt": prompt, "output_tokens": OUTPUT_TOKENS}
        told: tuple[dict[str, Any], tuple[DraftNote, ...]] = (
            (spec, ()) if read is None else ({**spec, **read.keys}, read.notes)
        )
        agent = name if self.agents.get(name) == told else self._names(name)  # another one where it differs
        self.agents[agent] = told
        self.used += [] if read is None or not read.model else [read]
        named = any(one.get(key) for one in work["clients"] for key in ("model", "model_name", "model_id"))
        if not named and name not in self.stubs:
            self.nameless.append(agent)
        if any(told.get("retry_open") for told in work["clients"]):
            more: tuple[DraftNote, ...] = (
                ask(f"how often is a failed call of {name} tried again? The program does not say.", "2 times"),
            )
        else:
            more = ()
        if work["sure"]:
            return agent, more
        asked = ask(f"how many calls does {name} make here? Its code calls something that cannot be seen.", "one call")
        return agent, (*more, asked)

    def _graph(self, name: str, work: Work) -> DraftedWork:
        read = work["graph"]
        for known, target, flow in self._known:
            if known == read:
                return DraftedWork("graph", target, body=flow)
        target = self.graphs(name)
        flow = self.flow_of(read, name)
        self._known.append((read, target, flow))
        notes: tuple[DraftNote, ...] = ()
        if not work.get("sure", True):
            notes = (ask(f"does {name} run the graph that its code mentions, and how often?", "once"),)
        return DraftedWork("graph", target, body=flow, notes=notes)

    def copies(self, name: str, count: int, size: int) -> int:
        """Return how many copies of a sub-pipeline are written; fewer than `count` is a loss that is told."""
        most = max(1, min(MOST_COPIES, (MOST_STEPS - self._steps) // max(1, size)))
        kept = min(count, most)
        self._steps += kept * size
        return kept


class _Body:
    """The nodes of a sub-pipeline that stands for what one node does."""

    def __init__(self, drafter: WorkDrafter, name: str, node: Mapping[str, Any]) -> None:
        self.steps: list[DraftStep] = []
        self.notes: list[DraftNote] = []
        self._drafter, self._name, self._node = drafter, name, node
        self._names = Names({"item", "input", "previous", "until", *drafter.inputs})

    def draw(self, work: Work, after: tuple[str, ...]) -> tuple[str, ...]:
        """Draw work that begins after these nodes or labels; return after which it is done."""
        do = work["do"]
        if do == "seq":
            for part in work["parts"]:
                after = self.draw(part, after)
            return after
        if do == "par":
            return tuple(dict.fromkeys(end for part in work["parts"] for end in self.draw(part, after)))
        if do == "alt":
            return self._choice(work, after)
        if do == "fan":
            return self._fan(work, after)
        if do == "loop":
            name = self._names(f"{self._name}-loop")
            asked = ask(
                f"how many passes does the loop in {self._name} make at most, and how often is one the last?",
                f"at most {DEFAULT_MAX}, and a share of 0.5",
            )
            return self._repeated(name, work["body"], {"repeat": {"max": DEFAULT_MAX, "until": 0.5}}, (asked,), after)
        if do == "embed":
            return self._embed(work, after)
        return self._leaf(self._name if do == "call" else work.get("name") or self._name, work, after)

    def _leaf(self, text: str, work: Work, after: tuple[str, ...], keys: Mapping[str, Any] = {}) -> tuple[str, ...]:
        name = self._names(text)
        made = self._drafter._made(name, work, self._node)
        self.steps.append(_step(name, made, after, keys))
        return (name,)

    def _choice(self, work: Work, after: tuple[str, ...]) -> tuple[str, ...]:
        ways = [way for way in work["parts"] if some(way)]
        if len(ways) == 1:
            self.notes.append(
                ask(f"how often does {self._name} make these calls? Its code may leave them out.", "always")
            )
            return self.draw(ways[0], after)
        name = self._names(f"{self._name}-choice")
        share = round(1 / len(work["parts"]), 4)
        unique = Names()
        labels = [
            unique(text, "way") for text in work.get("labels") or [f"way-{i + 1}" for i in range(len(work["parts"]))]
        ]
        shares = dict.fromkeys(labels, share)
        shares[labels[-1]] = round(1 - share * (len(labels) - 1), 4)
        said = note(f"takes no time: it stands for a choice in the code of {self._name}.")
        asked = ask(f"how often does {self._name} go each of these ways? The program does not say.", "equal shares")
        self.steps.append(DraftStep(name, "tool", after, keys={"branch": shares}, notes=(said, asked)))
        ends = [
            end
            for label, way in zip(labels, work["parts"], strict=True)
            for end in self.draw(way, (f"{name}.{label}",))
        ]
        return tuple(dict.fromkeys(ends))

    def _fan(self, work: Work, after: tuple[str, ...]) -> tuple[str, ...]:
        body: Work = work["body"]
        if work["in_turn"]:
            count, notes = self._drafter.width(self._name, work)
            return self._repeated(self._names(f"{self._name}-each"), body, _turns(count), notes, after)
        if body["do"] == "call":
            return self._leaf(self._name, work, after)
        count, notes = self._drafter.width(self._name, work)
        first = self._names(f"{self._name}-1")
        made = self._drafter._made(self._name, body, self._node)
        size = sum(1 for _ in _inside(made.body)) or 1
        kept = self._drafter.copies(self._name, count, size)
        if kept < count:
            lost = ImportLoss(
                f"{self._name} runs {count} items at once; the workload has {kept} of them", width=count - kept
            )
            self._drafter.losses.append(lost)
        names = [first, *(self._names(f"{self._name}-{i}") for i in range(2, kept + 1))]
        for i, name in enumerate(names):
            self.steps.append(_step(name, made._replace(notes=() if i else (*notes, *made.notes)), after))
        return tuple(names)

    def _repeated(
        self, name: str, body: Work, keys: Mapping[str, Any], notes: tuple[DraftNote, ...], after: tuple[str, ...]
    ) -> tuple[str, ...]:
        made = self._drafter._made(self._name, body, self._node)
        if made.kind == "tool" or {"over", "repeat"} & set(made.keys):  # neither is repeated by itself
            step = _step(name, made, ())
            made = DraftedWork("graph", self._drafter.graphs(name), body=(step,))
        self.steps.append(_step(name, made._replace(notes=(*notes, *made.notes)), after, keys))
        return (name,)

    def _embed(self, work: Work, after: tuple[str, ...]) -> tuple[str, ...]:
        name = self._names(f"{self._name}-embed")
        told: dict[str, Any] = next(iter(work["clients"]), {})
        model = told.get("model") if told.get("class") == "OllamaEmbeddings" else None
        count = work["texts"] or GUESSED_ITEMS
        texts = self._drafter._inputs(f"{name}-texts")
        self._drafter.inputs[texts] = {"synthetic": {"count": count, "tokens": PROMPT_TOKENS}}
        asked = [ask(f"how long are the texts that {name} embeds?", f"{PROMPT_TOKENS} tokens")]
        if not isinstance(model, str):
            asked.append(ask(f"with which model does {name} embed?", "all-minilm"))
        if work["texts"] is None:
            asked.append(ask(f"how many texts does {name} embed? The program does not say.", f"{GUESSED_ITEMS} texts"))
        spec = {"model": model if isinstance(model, str) else "all-minilm", "texts": texts}
        self.steps.append(DraftStep(name, "embed", after, embed=spec, notes=tuple(asked)))
        return (name,)


def _inside(flow: Flow) -> list[DraftStep]:
    return [one for step in flow for one in (step, *_inside(step.body))]


def _step(name: str, made: DraftedWork, after: tuple[str, ...], keys: Mapping[str, Any] = {}) -> DraftStep:
    return DraftStep(
        name, made.kind, after, made.target, made.delay_s, {**made.keys, **keys}, made.body, tuple(made.notes)
    )


def _turns(count: int) -> dict[str, Any]:
    return {"repeat": {"max": count}} if count > 1 else {}


def _retried(work: Work, node: Mapping[str, Any]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    if node["retry"]:
        keys["retry"] = {"times": min(20, node["retry"]["times"]), "backoff_s": node["retry"]["backoff_s"]}
    elif work.get("retries"):
        keys["retry"] = {"times": min(20, work["retries"])}
    if node["timeout_s"]:
        keys["timeout_s"] = node["timeout_s"]
    return keys


def _waiting(name: str, work: Work) -> DraftedWork:
    if work["do"] == "person":
        asked = ask(f"how long does a person take to answer at {name}?", f"{PERSON_S:g} s")
        return DraftedWork("tool", delay_s=PERSON_S, notes=(note("stands for a person."), asked))
    if "delay_s" in work:
        return DraftedWork("tool", delay_s=work["delay_s"])
    tools = ", ".join(work.get("names") or [work["name"]])
    what = f"the tools of {name} ({tools})" if work.get("names") else f"the tool {work['name']} in {name}"
    return DraftedWork(
        "tool",
        delay_s=TOOL_S,
        notes=(
            ask(f"how long do {what} take?" if work.get("names") else f"how long does {what} take?", f"{TOOL_S} s"),
        ),
    )
