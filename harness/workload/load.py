"""Load a workload: read, validate, check what it means, compile it, and freeze it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import networkx as nx

from harness.content import available, find
from harness.core.graph import Pipeline
from harness.core.plan import Plan
from harness.errors import WorkloadError
from harness.workload import build, candidates
from harness.workload.agents import Card, find_card
from harness.workload.inputs import fixed_inputs, synthetic
from harness.workload.mistakes import Mistakes, unknown, validate
from harness.workload.overrides import Overrides, engine_of, override, override_plans
from harness.workload.prompts import Prompt, Slot, Template, TemplateError, estimate_tokens, parse
from harness.workload.schema import (
    AgentSpec,
    FrozenDict,
    LlamaCppServer,
    ServerSpec,
    SimulatedServer,
    SyntheticInput,
    Workload,
)
from harness.workload.source import Loc, parse_yaml, read_text

__all__ = ["Loaded", "Overrides", "load_workload"]


class Loaded(NamedTuple):
    """A workload that has been checked and compiled; nothing in it changes any more."""

    path: Path
    workload: Workload  # with the overrides in it
    digest: str  # sha256 of the file's text
    graphs: Mapping[str, nx.DiGraph]  # per pipeline, for analysis and drawing
    pipelines: tuple[Pipeline, ...]  # per pipeline, for the walk; in the file's order
    agents: Mapping[tuple[str, str], AgentSpec]  # (pipeline, node) -> agent
    prompts: Mapping[tuple[str, str], Prompt]  # (pipeline, node) -> parsed template and system message
    inputs: Mapping[str, tuple[str, ...]]  # the items of every input; synthetic ones as in repeat 0
    servers: Mapping[str, ServerSpec]  # those that a plan uses; derived ones are named in `derived`
    plans: tuple[Plan, ...]  # the candidates, in the file's order
    derived: tuple[str, ...]  # servers that the file does not name: the standard set needed them

    def resolved(self) -> Workload:
        """Return the workload with the role cards that it names written into `agents`: it needs no other file."""
        named = {
            spec.agent: self.agents[pipeline, node]
            for pipeline, of in self.workload.pipelines.items()
            for node, spec in of.nodes.items()
            if isinstance(spec.agent, str)
        }
        return self.workload.model_copy(update={"agents": FrozenDict({**self.workload.agents, **named})})

    def inputs_for(self, repeat: int) -> dict[str, tuple[str, ...]]:
        """Return the items of every input in one repeat: synthetic text is new in each."""
        return {name: self._items(name, items, repeat) for name, items in self.inputs.items()}

    def _items(self, name: str, items: tuple[str, ...], repeat: int) -> tuple[str, ...]:
        spec = self.workload.inputs[name]
        if not isinstance(spec, SyntheticInput) or repeat == 0:
            return items
        return synthetic(self.workload.seed, repeat, name, spec.synthetic.count, spec.synthetic.tokens)


def load_workload(path: Path, overrides: Overrides | None = None) -> Loaded:
    """Load the workload at `path` with the command line's `overrides`.

    WorkloadError lists what is wrong in the file, a line each with file:line:column; UserError names a wrong
    option.
    """
    asked = overrides or Overrides()
    text = read_text(path)
    source = parse_yaml(text, str(path))
    written = validate(Workload, source, path.parent)
    mistakes = Mistakes(source)
    folder = path.parent

    inputs = fixed_inputs(written.inputs, folder, mistakes)
    seed = written.seed if asked.seed is None else asked.seed
    for name, spec in written.inputs.items():
        if name == "item":
            mistakes.add(("inputs", name), '"item" is the item of a fan-out; rename the input', key=True)
        if isinstance(spec, SyntheticInput):
            inputs[name] = synthetic(seed, 0, name, spec.synthetic.count, spec.synthetic.tokens)
    item_tokens = {name: tuple(estimate_tokens(item) for item in inputs.get(name, ())) for name in written.inputs}

    resolved = _resolve_agents(written, folder, mistakes)
    graphs = {
        name: build.agent_graph(name, spec, resolved[name], item_tokens, written.timeout_s, mistakes)
        for name, spec in written.pipelines.items()
    }
    _check_pipelines(written, mistakes)
    _check_profiles(written, folder, mistakes)
    candidates.check_compare(written, mistakes)
    mistakes.raise_if_any()

    workload = override(written, asked)
    pipelines = build.compile_pipelines(workload, graphs)
    names = {pipeline.name: [node.name for node in pipeline.graph.nodes] for pipeline in pipelines}
    chosen = override_plans(candidates.plans(workload, _default_server(asked), names), workload, asked)
    nodes = {(name, node): agent for name, agents in resolved.items() for node, agent in agents.items()}
    return Loaded(
        path=path,
        workload=workload,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        graphs=graphs,
        pipelines=pipelines,
        agents={key: agent.spec for key, agent in nodes.items()},
        prompts={key: agent.prompt for key, agent in nodes.items()},
        inputs={name: inputs[name] for name in workload.inputs},
        servers=chosen.servers,
        plans=chosen.plans,
        derived=chosen.derived,
    )


def _check_profiles(workload: Workload, folder: Path, mistakes: Mistakes) -> None:
    """Check that the profiles of simulated servers are there; those named by path are read when they are needed."""
    for name, spec in workload.servers.items():
        if not isinstance(spec, SimulatedServer) or "/" in spec.profile or spec.profile != spec.model:
            continue
        if find("profiles", f"{spec.profile}.yaml", folder) is None:
            known = available("profiles", ".yaml", folder)
            mistakes.add(("servers", name, "profile"), f'server "{name}": {unknown("profile", spec.profile, known)}')


def _default_server(asked: Overrides) -> ServerSpec:
    """Return the server of a file that names none."""
    return engine_of(LlamaCppServer(kind="llamacpp", slots=candidates.STANDARD_SLOTS), asked)


def _resolve_agents(workload: Workload, folder: Path, mistakes: Mistakes) -> dict[str, dict[str, build.Resolved]]:
    """Find every node's agent: inline, then `agents:`, then a role card."""
    cards: dict[str, Card | None] = {}
    result: dict[str, dict[str, build.Resolved]] = {}
    for pipeline, spec in workload.pipelines.items():
        result[pipeline] = {}
        for node, node_spec in spec.nodes.items():
            at: Loc = ("pipelines", pipeline, "nodes", node, "agent")
            agent = node_spec.agent
            if agent is None:
                continue
            if isinstance(agent, AgentSpec):
                found = _parsed(node, agent, at, None, mistakes)
            elif agent in workload.agents:
                found = _parsed(agent, workload.agents[agent], ("agents", agent), None, mistakes)
            else:
                if agent not in cards:
                    try:
                        cards[agent] = find_card(agent, folder)
                    except WorkloadError as error:
                        mistakes.add_at(error.where, error.message)
                        continue
                card = cards[agent]
                if card is None:
                    names = [*workload.agents, *available("agents", ".md", folder)]
                    mistakes.add(at, f'node "{node}" needs an agent: {unknown("agent", agent, names)}')
                    continue
                found = _parsed(agent, card.spec, (), card, mistakes)
            if found is not None:
                result[pipeline][node] = found
    return result


def _parsed(name: str, spec: AgentSpec, at: Loc, card: Card | None, mistakes: Mistakes) -> build.Resolved | None:
    """Parse an agent's texts; None where a template cannot be read."""
    templates: list[Template | None] = []
    where: dict[tuple[bool, int], str] = {}
    for is_system, text in ((False, spec.prompt), (True, spec.system)):

        def place(offset: int, is_system: bool = is_system) -> str:
            key = "system" if is_system else "prompt"
            return card.where(offset, system=is_system) if card else mistakes.source.where((*at, key))

        try:
            template = None if text is None else parse(text)
        except TemplateError as error:
            mistakes.add_at(place(error.offset), f'agent "{name}": {error}')
            return None
        where |= {(is_system, slot.offset): place(slot.offset) for slot in template or () if isinstance(slot, Slot)}
        templates.append(template)
    return build.Resolved(name, spec, Prompt(templates[0] or (), templates[1]), where)


def _check_pipelines(workload: Workload, mistakes: Mistakes) -> None:
    """Check `while` and `after` between pipelines: names that are there, and no circle."""
    waits: nx.DiGraph = nx.DiGraph()
    waits.add_nodes_from(workload.pipelines)
    for name, spec in workload.pipelines.items():
        for key, other in (("while", spec.while_), ("after", spec.after)):
            if other is None:
                continue
            if other in workload.pipelines:
                waits.add_edge(other, name)
            else:
                message = f'pipeline "{name}" has {key}: {unknown("pipeline", other, workload.pipelines)}'
                mistakes.add(("pipelines", name, key), message)
    for circle in build.find_circles(waits):
        spec = workload.pipelines[circle[0]]
        key = "while" if spec.while_ is not None else "after"
        if len(circle) == 2:
            message = f'pipeline "{circle[0]}" has {key}: itself; name another pipeline'
        else:
            message = f"pipelines wait for each other's end in a circle: {' -> '.join(circle)}"
        mistakes.add(("pipelines", circle[0], key), message)
