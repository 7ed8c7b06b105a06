"""Traces of one application as a draft: its graph, sizes, tool times, branch frequencies and arrivals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import networkx as nx

from harness.errors import UserError
from harness.imports.arrivals import pipeline_of
from harness.imports.draft import Draft, DraftNote, DraftStep, Flow, Names, PipelineDraft, ask, note
from harness.imports.embeds import GUESSED_TOKENS, embed_seen
from harness.imports.fit import SizeFit, fit
from harness.imports.growth import Grown, grown
from harness.imports.mine import CHOICE, LOOP, Label, MinedNode, mine, occurrences
from harness.imports.read import Read
from harness.imports.steps import Trace, TraceStep
from harness.units import count

__all__ = ["draft_traces"]

MAX_PIPELINES = 20
MAX_PROMPT_TOKENS = 100_000  # of the made-up text of one call, as the language allows


def draft_traces(read: Read, source: str, name: str) -> Draft:
    """Return the draft of what was read; `name` is the workload's, its data files lie in the folder NAME-data."""
    groups: dict[str, list[Trace]] = {}
    for trace in read.traces:
        groups.setdefault(trace.root, []).append(trace)
    if len(groups) > MAX_PIPELINES:
        raise UserError(
            f"{source}: expected traces of one application, found {len(groups)} kinds of them (names of their root "
            f"spans, {', '.join(list(groups)[:3])} ...); at most {MAX_PIPELINES} become pipelines. "
            "Give the roots fewer names"
        )
    book = _Book(name)
    pipelines: dict[str, PipelineDraft] = {}
    pipeline_names = Names()
    for root, traces in groups.items():
        try:
            nodes = mine([occurrences(trace.steps) for trace in traces])
        except nx.NetworkXUnfeasible:
            raise UserError(
                f'{source}: the traces of "{root}" agree on no order of their steps; import those of one version of '
                "the application"
            ) from None
        own = pipeline_names(root or name, "pipeline")
        pipelines[own] = pipeline_of(own, traces, book.flow(nodes), read.found.resources, book.folder, book.files)
    agents, inputs = book.agents()
    context = 1 << max(8, ceil(1.25 * book.largest_call + 64).bit_length())
    if agents:
        first = next(iter(agents))
        spec, notes = agents[first]
        agents[first] = (spec, (
            note("A trace holds no prompts: each agent reads made-up text, as long as its prompts were. {NODE} stands "
                 "for the answer of a node, where you write your own."),
            ask(f"which local models stand for {', '.join(book.models) or 'theirs'}? Left out: the server's."),
            *notes,
        ))  # fmt: skip
    return Draft(
        name=name,
        description=f"Recovered from {count(len(read.traces), 'trace')} of {Path(source).name}.",
        head=(
            note(
                f"Recovered from {count(len(read.traces), 'trace')} with {count(read.found.spans, 'span')} "
                f"({Path(source).name}). What traces do not say is marked QUESTION."
            ),
            *(note(f"Noticed: {line}") for line in read.warnings()),
        ),
        pipelines=pipelines,
        agents=agents,
        inputs={**inputs, **book.texts},
        servers={name: book.server(slots, context) for name, slots in (("one-slot", 1), ("four-slot", 4))},
        files=book.files,
    )


class _Agent:
    """What was measured of one agent."""

    def __init__(self) -> None:
        self.input_tokens: list[int] = []  # of one that grows in a loop, of the first pass
        self.most_input_tokens = 0
        self.output_tokens: list[int] = []
        self.thinking_tokens: list[int] = []  # of every call, 0 where it did not think
        self.read = self.found_again = 0  # prompt tokens of all calls, and how many of these a cache had
        self.models: Counter[str] = Counter()
        self.calls = 0
        self.items = 1
        self.fan = False


class _Book:
    """Names, measurements and data files of one import."""

    def __init__(self, name: str) -> None:
        self.folder = f"{name}-data"
        self.files: dict[str, str] = {}
        self.models: list[str] = []
        self.largest_call = 0.0
        self.graphs = Names()
        self.texts: dict[str, Any] = {}  # inputs that are embedded
        self._agents: dict[str, _Agent] = {}
        self._growing: dict[Label, Grown] = {}  # in the loop that is being written
        self._agent_names = Names()
        self.input_names = Names()
        self._names: dict[tuple[Label, int], str] = {}
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
        steps: list[DraftStep] = []
        agents = [
            node.label
            for node in nodes
            if node.label[0] == "agent" and all(len(one.steps) == 1 for one in node.occurrences)
        ]
        for node in nodes:
            after = [own[a] if way is None else f"{own[a]}.{_label(way)}" for a, way in node.after]
            steps += self._node(node, own[node.label], tuple(after), agents, own)
        return tuple(steps)

    def _node(
        self,
        node: MinedNode,
        name: str,
        after: tuple[str, ...],
        agents: list[Label],
        own: Mapping[Label, str],
    ) -> Iterator[DraftStep]:
        keys: dict[str, Any] = {}
        notes: list[DraftNote] = []
        if node.branch:
            total = sum(node.branch.values())
            keys["branch"] = _shares(node.branch)
            notes.append(note(f"seen {total} times: {', '.join(f'{_label(k)} {n}' for k, n in node.branch.items())}"))
        kind = node.label[0]
        if kind == CHOICE:
            notes.insert(0, note("takes no time: it stands for a choice that no single agent call made."))
            yield DraftStep(name, "tool", after, keys=keys, notes=tuple(notes))
        elif kind == LOOP:
            yield self._loop(node, name, after, keys, notes)
        elif kind == "embed":
            yield self._embed(node, name, after, keys, notes)
        elif kind == "tool":
            times = [step.end_s - step.start_s for one in node.occurrences for step in one.steps]
            fitted = fit([round(max(0.0, value), 6) for value in times], whole=False)
            notes.append(note(f"tool time: {fitted.words}"))
            widths = [len(one.steps) for one in node.occurrences]
            if max(widths) > 1:
                notes.append(
                    ask(f"{name} ran up to {max(widths)} times at once; here it is one delay. Is that enough?")
                )
            yield DraftStep(name, "tool", after, delay_s=self._spec(fitted, f"{name}-s"), keys=keys, notes=tuple(notes))
        else:
            yield self._call(node, name, after, keys, notes, agents, own)

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
        text = self.input_names(f"{name}-texts")
        self.texts[text] = {"synthetic": {"count": seen.texts, "tokens": tokens}}
        embed: dict[str, Any] = {"model": seen.model, "texts": text}
        if seen.batch:
            embed["batch"] = seen.batch
        return DraftStep(name, "embed", after, embed=embed, keys=keys, notes=(*notes, *seen.notes))

    def server(self, slots: int, context_tokens: int) -> dict[str, Any]:
        """Return a server that can do all of it: the embedded engine, or an Ollama where texts are embedded."""
        size = {"slots": slots, "context_tokens": context_tokens}
        if not self.texts:
            return {"kind": "llamacpp", **size}
        thinks = any(any(agent.thinking_tokens) for agent in self._agents.values())
        model = "qwen3:0.6b" if thinks else "llama3.2:1b"
        return {"kind": "ollama", "model": model, **size, "max_loaded_models": 2}

    def _call(
        self,
        node: MinedNode,
        name: str,
        after: tuple[str, ...],
        keys: dict[str, Any],
        notes: list[DraftNote],
        agents: list[Label],
        own: Mapping[Label, str],
    ) -> DraftStep:
        widths = [len(one.steps) for one in node.occurrences]
        wide = max(widths) > 1
        direct = [label for label, _ in node.after if label in agents] if wide and min(widths) < max(widths) else []
        agent_name = self._agent_name(node.label, wide and not direct)
        agent = self._agents[agent_name]
        for one in node.occurrences:
            for step in one.steps:
                agent.calls += 1
                agent.read += step.input_tokens or 0
                agent.found_again += step.cached_tokens
                agent.most_input_tokens = max(agent.most_input_tokens, step.input_tokens or 0)
                if step.input_tokens and node.label not in self._growing:
                    agent.input_tokens.append(step.input_tokens)
                if step.output_tokens:
                    agent.output_tokens.append(step.output_tokens)
                agent.thinking_tokens.append(step.thinking_tokens)
                if step.model:
                    agent.models[step.model] += 1
        steps = [step for one in node.occurrences for step in one.steps]
        _retry(steps, keys, notes)
        if direct:
            fitted = fit(widths, whole=True)
            keys["over"] = own[direct[0]]
            keys["items"] = {"count": self._spec(fitted, f"{name}-items"), "max": max(widths)}
            notes.append(note(f"calls at once: {fitted.words}"))
            notes.append(ask(f"is it {own[direct[0]]} that answers the list whose items {name} runs over?"))
        elif wide:
            agent.items = max(agent.items, round(median(widths)))
            keys["over"] = f"{agent_name}-text"
            if min(widths) < max(widths):
                notes.append(
                    ask(
                        f"{name} ran {min(widths)} to {max(widths)} times at once, and no agent before it can have "
                        f"answered that list; here always {agent.items} times. Where do its items come from?"
                    )
                )
        if grows := self._growing.pop(node.label, None):
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
        repeat: dict[str, Any] = {"max": max(1, min(stats.most, 1000))}
        notes.append(note(f"passes: {stats.mean:.3g} on average, {stats.most} at most"))
        self._growing |= _growing(node)
        body = self.flow(node.body)
        if any("grows" in step.keys for step in body):  # how long they get depends on how many passes there are
            fitted = fit([min(len(one.passes), 1000) for one in node.occurrences], whole=True)
            repeat = {"passes": self._spec(fitted, f"{name}-passes")}
            notes[-1] = note(f"passes: {fitted.words}")
        elif not stats.always_most:
            repeat["until"] = float(f"{min(1.0, stats.end_share):.4g}")
            notes.append(ask(f"does {name} ever make more than {stats.most} passes, and what ends it?"))
        if _is_one_call(node):
            only = body[0]
            return only._replace(
                name=name, after=after, keys={**only.keys, "repeat": repeat},
                notes=(*only.notes, *notes),
            )  # fmt: skip
        deciders = [step.name for step in body if step.kind == "agent" and "over" not in step.keys]
        if "until" in repeat and len(body) > 1 and deciders:
            wanted = _slug(node.decider) if node.decider else ""
            last = wanted if wanted in deciders else deciders[-1]
            repeat["until"] = {"p": repeat["until"], "node": last}
        return DraftStep(
            name, "graph", after, self.graphs(name), keys={"repeat": repeat}, body=body, notes=tuple(notes)
        )

    def agents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the agents with their prompts of made-up text, and that text."""
        agents: dict[str, Any] = {}
        inputs: dict[str, Any] = {}
        for name, agent in self._agents.items():
            notes: list[DraftNote] = []
            sizes = {}
            for key, values in (("prompt", agent.input_tokens), ("answer", agent.output_tokens)):
                if values:
                    capped = [min(value, MAX_PROMPT_TOKENS) for value in values]
                    fitted = fit(capped, whole=True)
                    sizes[key] = self._spec(fitted, f"{name}-{key}-tokens")
                    notes.append(note(f"{key} tokens: {fitted.words}"))
                else:
                    sizes[key] = {"prompt": 300, "answer": 100}[key]
                    notes.append(
                        ask(f"how many {key} tokens has {name}? The traces count none; {sizes[key]} is a guess.")
                    )
            spec: dict[str, Any] = {"prompt": "", "output_tokens": sizes["answer"]}
            if any(agent.thinking_tokens):
                thought = [min(max(1, value), MAX_PROMPT_TOKENS) for value in agent.thinking_tokens]
                fitted = fit(thought, whole=True)
                spec |= {"think": True, "thinking_tokens": self._spec(fitted, f"{name}-thinking-tokens")}
                notes.append(note(f"thinking tokens, which are not in the answer: {fitted.words}"))
            if agent.found_again and agent.read:
                share = min(1.0, agent.found_again / agent.read)
                notes.append(note(f"{share:.0%} of its prompt tokens were found again in a prompt cache; they count"))
            models = [model for model, _ in agent.models.most_common()]
            self.models += [model for model in models if model not in self.models]
            if models:
                notes.append(note(f"model: {', '.join(models)}"))
            self.largest_call = max(
                self.largest_call,
                (agent.most_input_tokens or 300)
                + max(agent.output_tokens, default=100)
                + max(agent.thinking_tokens, default=0),
            )
            spec["prompt"] = "{item}" if agent.fan else f"{{{name}-text}}"
            agents[name] = (spec, tuple(notes))
            inputs[f"{name}-text"] = {"synthetic": {"count": agent.items, "tokens": sizes["prompt"]}}
        return agents, inputs

    def _agent_name(self, label: Label, fan: bool) -> str:
        key = (label, int(fan))
        if key not in self._names:
            self._names[key] = self._agent_names(label[1], "agent")
            self._agents[self._names[key]] = _Agent()
            self._agents[self._names[key]].fan = fan
        return self._names[key]

    def _spec(self, fitted: SizeFit, what: str) -> Any:
        if not fitted.values:
            return fitted.spec
        name = f"{self.folder}/{self._file_names(what)}.txt"
        self.files[name] = "\n".join(f"{value:g}" if value < 1e6 else str(value) for value in fitted.values) + "\n"
        return {"empirical": name}


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


def _slug(label: Label) -> str:
    return Names()(label[1])


def _label(text: str | None) -> str:
    return Names()(text or "end", "way")


def _shares(branch: Mapping[str, int]) -> dict[str, float]:
    """Return shares that add up to 1 as they are written."""
    total = sum(branch.values())
    shares = {_label(label): round(n / total, 6) for label, n in branch.items()}
    most = max(shares, key=lambda label: shares[label])
    shares[most] = round(1 - sum(share for label, share in shares.items() if label != most), 6)
    return shares
