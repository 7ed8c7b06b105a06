"""Traces of one application as a draft: its graph, sizes, tool times, branch frequencies and arrivals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import networkx as nx

from harness.errors import UserError
from harness.imports.draft import Draft, DraftNote, DraftStep, Flow, Names, PipelineDraft, ask, note
from harness.imports.fit import SizeFit, fit, gaps_are_poisson
from harness.imports.growth import Grown, grown
from harness.imports.mine import CHOICE, LOOP, Label, MinedNode, mine, occurrences
from harness.imports.read import Read
from harness.imports.steps import Trace
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
        pipelines[own] = _pipeline(own, traces, book.flow(nodes), book, read.found.resources)
    agents, inputs = book.agents()
    context = 1 << max(8, ceil(1.25 * book.largest_call + 64).bit_length())
    first = next(iter(agents))
    spec, notes = agents[first]
    agents[first] = (
        spec,
        (
            note("A trace holds no prompts: each agent reads made-up text, as long as its prompts were. {NODE} stands "
                 "for the answer of a node, where you write your own."),
            ask(f"which local models stand for {', '.join(book.models) or 'theirs'}? Left out: the server's."),
            *notes,
        ),
    )  # fmt: skip
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
        inputs=inputs,
        servers={
            "one-slot": {"kind": "llamacpp", "slots": 1, "context_tokens": context},
            "four-slot": {"kind": "llamacpp", "slots": 4, "context_tokens": context},
        },
        files=book.files,
    )


class _Agent:
    """What was measured of one agent."""

    def __init__(self) -> None:
        self.input_tokens: list[int] = []  # of one that grows in a loop, of the first pass
        self.most_input_tokens = 0
        self.output_tokens: list[int] = []
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
        self._agents: dict[str, _Agent] = {}
        self._growing: dict[Label, Grown] = {}  # in the loop that is being written
        self._agent_names = Names()
        self._names: dict[tuple[Label, int], str] = {}
        self._file_names = Names()

    def flow(self, nodes: Sequence[MinedNode]) -> Flow:
        """Return mined nodes as steps."""
        names = Names({"item", "input", "previous", "until"})
        owners = Counter(node.label[1] for node in nodes if node.label[0] == "tool")
        own: dict[Label, str] = {}
        for node in nodes:
            kind, text, owner = node.label
            if kind == LOOP and not _is_one_call(node):
                text = f"{text}-loop"
            elif kind == "tool" and owners[text] > 1 and owner:
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
                agent.most_input_tokens = max(agent.most_input_tokens, step.input_tokens or 0)
                if step.input_tokens and node.label not in self._growing:
                    agent.input_tokens.append(step.input_tokens)
                if step.output_tokens:
                    agent.output_tokens.append(step.output_tokens)
                if step.model:
                    agent.models[step.model] += 1
        steps = [step for one in node.occurrences for step in one.steps]
        attempts = max(step.attempts for step in steps)
        if attempts > 1:
            gaps = [step.backoff_s for step in steps if step.attempts > 1]
            keys["retry"] = {"times": min(attempts - 1, 20), "backoff_s": float(f"{median(gaps):.3g}")}
            notes.append(note(f"{count(len(gaps), 'call')} of {len(steps)} had to be tried again."))
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
            fitted = fit([min(tokens, MAX_PROMPT_TOKENS) for tokens in grows.new], whole=True)
            keys["grows"] = {"by": self._spec(fitted, f"{name}-new-tokens")}
            notes.append(note(f"each call sends all before it; new tokens: {fitted.words}"))
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
            models = [model for model, _ in agent.models.most_common()]
            self.models += [model for model in models if model not in self.models]
            if models:
                notes.append(note(f"model: {', '.join(models)}"))
            self.largest_call = max(
                self.largest_call, (agent.most_input_tokens or 300) + max(agent.output_tokens, default=100)
            )
            text = "{item}" if agent.fan else f"{{{name}-text}}"
            agents[name] = ({"prompt": text, "output_tokens": sizes["answer"]}, tuple(notes))
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


def _pipeline(
    name: str, traces: Sequence[Trace], flow: Flow, book: _Book, resources: Sequence[Mapping[str, str]]
) -> PipelineDraft:
    notes = [note(f"{count(len(traces), 'trace')}")]
    trials = [_trial(resources[trace.resource]) for trace in traces]
    counted = [trace for trace, trial in zip(traces, trials, strict=True) if trial == trials[0]]
    if len(counted) < len(traces):
        notes.append(note(f"arrivals: of the first of {len(set(trials))} trials that Slotwise recorded"))
    start_ns = counted[0].start_ns
    starts = [(trace.start_ns - start_ns) / 1e9 for trace in counted]
    arrival, words = _arrival(name, starts, book)
    notes.append(note(f"arrivals: {words}"))
    alone = all(b.start_ns >= a.end_ns for a, b in pairwise(counted))
    if alone and len(counted) > 2:
        pause_s = median((b.start_ns - a.end_ns) / 1e9 for a, b in pairwise(counted))
        notes.append(
            ask(
                "no two of these traces overlap. If one user waited for each answer, write "
                f"arrival: {{closed: 1, think_s: {pause_s:.3g}}}"
            )
        )
    turns = Counter(trace.conversation for trace in counted if trace.conversation)
    if turns and max(turns.values()) > 1:
        notes.append(
            ask(
                f"{count(len(turns), 'conversation')} with {sum(turns.values()) / len(turns):.3g} traces on average: "
                "should they be sessions (session: {turns: ..., think_s: ...})?"
            )
        )
    return PipelineDraft(
        {"path": "interactive", "jobs": len(counted), "arrival": arrival},
        flow,
        tuple(notes),
        {"path": (ask("does a person wait for it (interactive), or not (batch)?"),)},
    )


def _arrival(name: str, starts: list[float], book: _Book) -> tuple[Any, str]:
    if len(starts) == 1 or starts[-1] == 0:
        return {"every_s": 0}, "all at once"
    if gaps_are_poisson(starts):
        rate = float(f"{(len(starts) - 1) / starts[-1]:.4g}")
        return {"poisson_per_s": rate}, f"{len(starts)} with exponential gaps: Poisson, {rate:g} a second"
    rounded = [round(start, 6) for start in starts]
    if len(starts) <= 12:
        return {"at_s": rounded}, f"{len(starts)} as they were"
    path = f"{book.folder}/{name}-arrivals.csv"
    book.files[path] = "\n".join(f"{start:.6f}" for start in rounded) + "\n"
    return {"trace": path}, f"{len(starts)} as they were (the gaps are not exponential)"


def _trial(resource: Mapping[str, str]) -> tuple[str, str]:
    return (resource.get("slotwise.candidate", ""), resource.get("slotwise.repeat", ""))
