"""Mined nodes as the steps of a draft, with what was measured of each; names, and data files of one import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from harness.imports.account import ImportLoss, summed
from harness.imports.agent_sizes import MAX_PROMPT_TOKENS, SeenAgent
from harness.imports.draft import DraftNote, DraftStep, Flow, Names, ask, note
from harness.imports.embeds import GUESSED_TOKENS, embed_seen
from harness.imports.fit import SizeFit, as_seen, chance_of_end, fit
from harness.imports.growth import Grown, grown
from harness.imports.mine import CHOICE, LOOP, Label, MinedNode, Occurrence
from harness.imports.steps import TraceStep
from harness.imports.widths import bins, widths_of
from harness.units import count

__all__ = ["Book"]

MAX_PASSES = 1000  # of a loop, as the language allows
_TOO_MANY = f"in passes of a loop beyond the first {MAX_PASSES:,}, the most that a loop may make"
MAX_TOOLS = 12  # nodes of one tool that runs several times at once


class _Written(NamedTuple):
    """The steps of one mined node, and the names that what comes after it waits for."""

    steps: Flow
    ends: tuple[str, ...]


class Book:
    """Names, measurements and data files of one import."""

    def __init__(self, name: str) -> None:
        self.folder = f"{name}-data"
        self.files: dict[str, str] = {}
        self.models: list[str] = []
        self.largest_call = 0.0
        self.graphs = Names()
        self.texts: dict[str, Any] = {}  # inputs that are embedded
        self.lost: list[ImportLoss] = []
        self._agents: dict[str, SeenAgent] = {}
        self._growing: dict[Label, Grown] = {}  # in the loop that is being written
        self._agent_names = Names()
        self._input_names = Names()
        self._names: dict[tuple[Label, bool], str] = {}
        self._file_names = Names()

    def flow(self, nodes: Sequence[MinedNode]) -> Flow:
        """Return mined nodes as steps."""
        names = Names({"item", "input", "previous", "until"})
        owners = Counter(node.label[1] for node in nodes if node.label[0] in ("embed", "tool"))
        own: dict[Label, str] = {}
        for node in nodes:
            kind, text, owner = node.label
            if kind == LOOP and not _is_one_call(node):
                text = f"{text}-loop"
            elif kind in ("embed", "tool") and owners[text] > 1 and owner:
                text = f"{owner}-{text}"
            own[node.label] = names(text)
        single = {node.label for node in nodes if node.label[0] == "agent" and max(widths_of(node)) == 1}
        ends: dict[Label, tuple[str, ...]] = {}
        steps: list[DraftStep] = []
        for node in nodes:
            after: list[str] = []
            for label, way in node.after:
                after += ends[label] if way is None else [f"{own[label]}.{_label(way)}"]
            lists = [own[label] for label, _ in node.after if label in single]
            written = self._node(node, own[node.label], tuple(after), lists, names)
            steps += written.steps
            ends[node.label] = written.ends
        return tuple(steps)

    def agents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the agents with their prompts of made-up text, and that text."""
        agents: dict[str, Any] = {}
        inputs: dict[str, Any] = {}
        for name, seen in self._agents.items():
            drafted = seen.draft(self._spec)
            agents[name] = (drafted.spec, drafted.notes)
            inputs |= drafted.inputs
            self.largest_call = max(self.largest_call, drafted.largest_call)
            self.lost += drafted.lost
            self.models += [model for model, _ in seen.models.most_common() if model not in self.models]
        return agents, inputs

    def server(self, slots: int, context_tokens: int) -> dict[str, Any]:
        """Return a server that can do all of it: the embedded engine, or an Ollama where texts are embedded."""
        size = {"slots": slots, "context_tokens": context_tokens}
        if not self.texts:
            return {"kind": "llamacpp", **size}
        thinks = any(any(agent.thinking_tokens) for agent in self._agents.values())
        model = "qwen3:0.6b" if thinks else "llama3.2:1b"
        return {"kind": "ollama", "model": model, **size, "max_loaded_models": 2}

    def _node(self, node: MinedNode, name: str, after: tuple[str, ...], lists: Sequence[str], names: Names) -> _Written:
        keys: dict[str, Any] = {}
        notes: list[DraftNote] = []
        if node.branch:
            total = sum(node.branch.values())
            keys["branch"] = _shares(node.branch)
            notes.append(note(f"seen {total} times: {', '.join(f'{_label(k)} {n}' for k, n in node.branch.items())}"))
        kind = node.label[0]
        if kind == CHOICE:
            notes.insert(0, note("takes no time: it stands for a choice that no single agent call made."))
            return _Written((DraftStep(name, "tool", after, keys=keys, notes=tuple(notes)),), (name,))
        if kind == LOOP:
            return _Written((self._loop(node, name, after, keys, notes),), (name,))
        widths = widths_of(node)
        if kind == "tool" and max(widths) > 1:
            return self._tools(node, name, after, names)
        if kind == "tool":
            return _Written((self._tool(node, name, after, keys, notes),), (name,))
        if min(widths) < max(widths) and not node.branch and not (kind == "agent" and lists):
            return self._by_width(node, name, after, names)
        embeds = kind == "embed"
        step = (
            self._embed(node, name, after, keys, notes) if embeds else self._call(node, name, after, keys, notes, lists)
        )
        return _Written((step,), (name,))

    def _by_width(self, node: MinedNode, name: str, after: tuple[str, ...], names: Names) -> _Written:
        """Write a fan-out whose width varies, and of which no agent answers the list: a choice, and one of each."""
        parts = bins(node)
        choice, first = _choice(name, after, {f"of-{width}": len(part.occurrences) for width, part in parts}, names)
        steps, ends = [first], []
        for width, part in parts:
            own = names(f"{name}-of-{width}")
            before = (f"{choice}.of-{width}",)
            embeds = node.label[0] == "embed"
            steps.append(
                self._embed(part, own, before, {}, [])
                if embeds
                else self._call(part, own, before, {}, [], (), fan=True)
            )
            ends.append(own)
        return _Written(tuple(steps), tuple(ends))

    def _tools(self, node: MinedNode, name: str, after: tuple[str, ...], names: Names) -> _Written:
        """Write a tool that runs several times at once: as often as it did, a node each."""
        widths = widths_of(node)
        most = min(max(widths), MAX_TOOLS)
        steps: list[DraftStep] = []
        counted = Counter(min(width, most) for width in widths)
        choice = ""
        if len(counted) > 1:
            choice, first = _choice(name, after, {f"of-{width}": n for width, n in sorted(counted.items())}, names)
            steps.append(first)
        ends = []
        for number in range(1, most + 1):
            own = name if number == 1 else names(name)
            wide = tuple(f"{choice}.of-{width}" for width in sorted(counted) if width >= number)
            before = (wide if min(counted) < number else (choice,)) if choice else after
            notes = [] if number == 1 else [note(f"{name} once more, at the same time")]
            if number == 1 and max(widths) > most:
                notes.append(
                    ask(f"{name} ran up to {max(widths)} times at once. Is it enough?", f"at most {most} times")
                )
            steps.append(self._tool(node, own, before, {}, notes))
            ends.append(own)
        return _Written(tuple(steps), tuple(ends))

    def _tool(
        self, node: MinedNode, name: str, after: tuple[str, ...], keys: dict[str, Any], notes: list[DraftNote]
    ) -> DraftStep:
        times = [step.end_s - step.start_s for one in node.occurrences for step in one.steps]
        fitted = fit([round(max(0.0, value), 6) for value in times], whole=False)
        notes.append(note(f"tool time: {fitted.words}"))
        return DraftStep(name, "tool", after, delay_s=self._spec(fitted, f"{name}-s"), keys=keys, notes=tuple(notes))

    def _embed(
        self, node: MinedNode, name: str, after: tuple[str, ...], keys: dict[str, Any], notes: list[DraftNote]
    ) -> DraftStep:
        _retry([step for one in node.occurrences for step in one.steps], keys, notes)
        seen = embed_seen(name, [one.steps for one in node.occurrences])
        tokens: Any = GUESSED_TOKENS
        if seen.tokens:
            fitted = fit([min(value, MAX_PROMPT_TOKENS) for value in seen.tokens], whole=True)
            tokens = self._spec(fitted, f"{name}-text-tokens")
            notes.append(note(f"tokens of a text: {fitted.words}"))
        text = self._input_names(f"{name}-texts")
        self.texts[text] = {"synthetic": {"count": seen.texts, "tokens": tokens}}
        embed: dict[str, Any] = {"model": seen.model, "texts": text}
        if seen.batch:
            embed["batch"] = seen.batch
        return DraftStep(name, "embed", after, embed=embed, keys=keys, notes=(*notes, *seen.notes))

    def _call(
        self,
        node: MinedNode,
        name: str,
        after: tuple[str, ...],
        keys: dict[str, Any],
        notes: list[DraftNote],
        lists: Sequence[str],
        *,
        fan: bool = False,
    ) -> DraftStep:
        widths = widths_of(node)
        listed = lists[0] if lists and min(widths) < max(widths) else ""
        agent_name = self._agent_name(node.label, fan or (max(widths) > 1 and not listed))
        steps = [step for one in node.occurrences for step in one.steps]
        grows = self._growing.pop(node.label, None)
        agent = self._agents[agent_name]
        agent.add(steps, grows=grows is not None)
        _retry(steps, keys, notes)
        if listed:
            fitted = as_seen(widths)
            keys["over"] = listed
            keys["items"] = {"count": self._spec(fitted, f"{name}-items"), "max": max(widths)}
            notes.append(note(f"calls at once: {fitted.words}"))
            notes.append(ask(f"which node answers the list whose items {name} runs over?", listed))
        elif agent.fan:
            keys["over"] = agent.text(round(median(widths)))
        if grows is not None:
            agent.input_tokens += grows.first
            fitted = fit([min(tokens, MAX_PROMPT_TOKENS) for tokens in grows.drawn], whole=True)
            keys["grows"] = {"by": self._spec(fitted, f"{name}-new-tokens")}
            notes.append(note(f"each call sends all before it; new tokens: {fitted.words}{grows.scaled}"))
        return DraftStep(name, "agent", after, agent_name, keys=keys, notes=tuple(notes))

    def _loop(
        self,
        node: MinedNode,
        name: str,
        after: tuple[str, ...],
        keys: dict[str, Any],
        notes: list[DraftNote],
    ) -> DraftStep:
        stats = node.loop
        assert stats is not None
        repeat: dict[str, Any] = {"max": max(1, min(stats.most, MAX_PASSES))}
        notes.append(note(f"passes: {stats.mean:.3g} on average, {stats.most} at most"))
        self._growing |= _growing(node)
        body = self.flow(node.body)
        passes = [min(len(one.passes), MAX_PASSES) for one in node.occurrences]
        if stats.most > MAX_PASSES:
            beyond = (turn for one in node.occurrences for turn in one.passes[MAX_PASSES:])
            self.lost += (_work_of(inner, _TOO_MANY) for turn in beyond for inner in turn)
        grows = any("grows" in step.keys for step in body)  # how long they get depends on how many passes there are
        end = None if grows else chance_of_end(passes)
        if end is not None:
            repeat["until"] = end
            notes.append(
                ask(f"what ends {name}, and after how many passes at most?", f"a chance, {stats.most} at most")
            )
        elif grows or not stats.always_most:
            fitted = as_seen(passes)
            repeat = {"passes": self._spec(fitted, f"{name}-passes")}
            notes[-1] = note(f"passes: {fitted.words}")
        if len(body) == 1 and _is_one_call(node):
            only = body[0]
            return only._replace(
                name=name, after=after, keys={**only.keys, "repeat": repeat},
                notes=(*only.notes, *notes),
            )  # fmt: skip
        deciders = [step.name for step in body if step.kind == "agent" and "over" not in step.keys]
        if end is not None and deciders:
            wanted = Names()(node.decider[1]) if node.decider else ""
            repeat["until"] = {"p": end, "node": wanted if wanted in deciders else deciders[-1]}
        return DraftStep(
            name, "graph", after, self.graphs(name), keys={"repeat": repeat}, body=body, notes=tuple(notes)
        )

    def _agent_name(self, label: Label, fan: bool) -> str:
        key = (label, fan)
        if key not in self._names:
            self._names[key] = name = self._agent_names(label[1], "agent")
            self._agents[name] = SeenAgent(name, fan)
        return self._names[key]

    def _spec(self, fitted: SizeFit, what: str) -> Any:
        if not fitted.values:
            return fitted.spec
        name = f"{self.folder}/{self._file_names(what)}.txt"
        self.files[name] = "\n".join(f"{value:g}" if value < 1e6 else str(value) for value in fitted.values) + "\n"
        return {"empirical": name}


def _choice(name: str, after: tuple[str, ...], seen: Mapping[str, int], names: Names) -> tuple[str, DraftStep]:
    """Return a node that takes no time, and decides how many calls there are."""
    own = names(f"{name}-width")
    times = ", ".join(f"{label} {n}" for label, n in seen.items())
    said = f"takes no time: it stands for how often {name} runs at once; seen {sum(seen.values())} times: {times}"
    return own, DraftStep(own, "tool", after, keys={"branch": _shares(seen)}, notes=(note(said),))


def _work_of(turn: Occurrence, why: str) -> ImportLoss:
    """Return the calls, tokens and tools of a turn, and of what is within it."""
    calls = [step for step in turn.steps if step.label[0] != "tool"]
    inner = [_work_of(one, why) for passes in turn.passes for one in passes]
    own = ImportLoss(
        why,
        len(calls),
        sum(step.input_tokens or 0 for step in calls),
        sum((step.output_tokens or 0) + step.thinking_tokens for step in calls),
        tools=len(turn.steps) - len(calls),
    )
    return summed([own, *inner])[0]


def _retry(steps: Sequence[TraceStep], keys: dict[str, Any], notes: list[DraftNote]) -> None:
    """Add how calls were tried again, where they were."""
    attempts = max(step.attempts for step in steps)
    if attempts > 1:
        gaps = [step.backoff_s for step in steps if step.attempts > 1]
        keys["retry"] = {"times": min(attempts - 1, 20), "backoff_s": float(f"{median(gaps):.3g}")}
        notes.append(note(f"{count(len(gaps), 'call')} of {len(steps)} had to be tried again."))


def _is_one_call(loop: MinedNode) -> bool:
    """Tell whether a loop's body is a single call, so that the node itself can repeat."""
    return (
        len(loop.body) == 1
        and loop.body[0].label[0] == "agent"
        and all(len(one.steps) == 1 for one in loop.body[0].occurrences)
    )


def _growing(loop: MinedNode) -> dict[Label, Grown]:
    """Return the agents of a loop's body whose prompts grow from pass to pass."""
    found = {}
    for label in [node.label for node in loop.body if node.label[0] == "agent"]:
        runs = [
            [step for turn in one.passes for inner in turn if inner.label == label for step in inner.steps]
            for one in loop.occurrences
        ]
        alone = all(len(inner.steps) == 1 for one in loop.occurrences for turn in one.passes for inner in turn)
        if alone and (grows := grown(runs)) is not None:
            found[label] = grows
    return found


def _label(text: str | None) -> str:
    return Names()(text or "end", "way")


def _shares(branch: Mapping[str, int]) -> dict[str, float]:
    """Return shares that add up to 1 as they are written."""
    total = sum(branch.values())
    shares = {_label(label): round(n / total, 9) for label, n in branch.items()}
    most = max(shares, key=lambda label: shares[label])
    shares[most] = round(1 - sum(share for label, share in shares.items() if label != most), 9)
    return shares
