"""Load a workload: read, validate, check what it means, compile it, and freeze it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

from harness.content import available
from harness.core.graph import Pipeline
from harness.core.plan import Plan
from harness.core.policies import STANDARD, Policies
from harness.errors import WorkloadError
from harness.workload import build, candidates
from harness.workload.agents import Card, find_card
from harness.workload.checks import Resolved, definitions, find_circles
from harness.workload.embeddings import check_embeddings, embedding_models
from harness.workload.image_files import image_digests, image_files, read_image
from harness.workload.inputs import Inputs, expected_tokens, fixed_inputs, made_up
from harness.workload.machines import check_machines, check_profile
from harness.workload.mistakes import Mistakes, examine, unknown
from harness.workload.networks import nx
from harness.workload.open_questions import FileQuestion, file_questions
from harness.workload.overrides import Overrides, default_url, engine_of, override, override_plans
from harness.workload.portable import copies, portable
from harness.workload.prompts import Prompt, Slot, Template, TemplateError, parse
from harness.workload.reads import Loop, Readable
from harness.workload.room import with_room
from harness.workload.rules import Decisions
from harness.workload.schema import (
    AgentSpec,
    FrozenDict,
    LlamaCppServer,
    NodeSpec,
    ServerSpec,
    SyntheticInput,
    UntilSpec,
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
    # (pipeline, node) -> parsed template and system message; of an embedding: the name of what it embeds
    prompts: Mapping[tuple[str, str], Prompt]
    uses: Mapping[tuple[str, str], Readable]  # (pipeline, node) -> what its templates can name
    loops: Mapping[tuple[str, str], Loop]  # (pipeline, loop)
    written: Mapping[tuple[str, str], Loc]  # (pipeline, node) -> where it stands in the file
    inputs: Mapping[str, tuple[str, ...]]  # the items of every input; synthetic ones as in repeat 0
    servers: Mapping[str, ServerSpec]  # those that a plan uses; derived ones are named in `derived`
    plans: tuple[Plan, ...]  # the candidates, in the file's order
    derived: tuple[str, ...]  # servers that the file does not name: the standard set needed them
    cards: Mapping[str, AgentSpec]  # the role cards that nodes name, by name
    models: Mapping[str, tuple[str, ...]]  # what is asked for on each server, its own model first where it is asked for
    policies: Policies  # those that candidates may name, the user's own among them
    skipped: Mapping[str, str] = {}  # candidates left out, with the reason
    questions: tuple[FileQuestion, ...] = ()  # that an import left in the file, and nobody has answered

    @property
    def embedding_models(self) -> frozenset[str]:
        """The models that nodes embed with; among `models` too."""
        return embedding_models(self.pipelines)

    @property
    def known_servers(self) -> dict[str, ServerSpec]:
        """The servers of the file, those that no plan uses too, and the derived ones."""
        return {**self.workload.servers, **self.servers}

    def resolved(self) -> Workload:
        """Return the workload as it can be taken elsewhere: with its role cards in `agents`, beside its `copies`."""
        agents = FrozenDict({**self.workload.agents, **self.cards})
        written_out = self.workload.model_copy(update={"agents": agents}) if self.cards else self.workload
        return portable(written_out, self.path.parent)

    def copies(self) -> dict[str, bytes]:
        """Return the files that the resolved workload names, by their path beside it."""
        images = image_files(self.agents.values(), self.path.parent)
        return copies(self.workload, self.inputs, self.path.parent) | images

    def work(self) -> dict[str, str]:
        """Return a digest of each part of what is done: where all are equal, two runs did the same work.

        Servers, candidates, repeats, goals and the seed are no part of it: those are what may differ between runs that
        are compared. The text of documents is.
        """
        plain = self.resolved().model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        pipelines = {
            name: {key: value for key, value in spec.items() if key != "goal"}
            for name, spec in plain["pipelines"].items()
        }
        inputs = {
            name: plain["inputs"][name] if isinstance(spec, SyntheticInput) else self.inputs[name]
            for name, spec in self.workload.inputs.items()
        }
        parts = {
            "pipelines": [pipelines, plain.get("subpipelines")],
            "agents": plain.get("agents"),
            "inputs": inputs,
            "control": [self.workload.control, self.workload.timeout_s],
        }
        if images := image_digests(self.agents.values(), self.path.parent):
            parts["inputs"] = [inputs, images]
        return {name: _digest(part) for name, part in parts.items()}

    def node(self, pipeline: str, node: str) -> NodeSpec:
        """Return what was written of a node of a graph; one of a sub-pipeline is `refine/critic`."""
        where, name, _, local = (str(step) for step in self.written[pipeline, node])
        return (self.workload.pipelines if where == "pipelines" else self.workload.subpipelines)[name].nodes[local]

    def until(self, pipeline: str, node: str) -> UntilSpec | None:
        """Return when the loop ends whose `until` node this is; None: after all its passes."""
        repeat = self.node(pipeline, node).repeat
        return None if repeat is None else repeat.ends

    def decisions(self) -> dict[tuple[str, str], Decisions]:
        """Return what the answers of nodes decide; nothing where the draws do."""
        if self.workload.control == "draws":
            return {}
        return {
            (name, node): found
            for name, graph in self.graphs.items()
            for node in graph
            if any(found := self._decisions(name, node))
        }

    def _decisions(self, pipeline: str, node: str) -> Decisions:
        graph = self.graphs[pipeline]
        spec = self.node(pipeline, node)
        ends = (self.until(pipeline, name) for name, facts in graph.nodes.items() if facts["decides"] == node)
        lists = [facts["width"] for _, facts in graph.nodes(data=True) if facts["over_node"] == node]
        return Decisions(
            branch={} if graph.nodes[node]["kind"] != "agent" else {label: spec.rule(label) for label in spec.labels},
            until=next((until.rule for until in ends if until is not None), None),
            most_items=min(lists, default=None),
        )

    def lists(self) -> dict[tuple[str, str], str]:
        """Return for every node that fans out over another one's answer which that is."""
        nodes = ((name, node, facts) for name, graph in self.graphs.items() for node, facts in graph.nodes.items())
        return {(name, node): facts["over_node"] for name, node, facts in nodes if facts["over_node"] is not None}

    def inputs_for(self, repeat: int) -> Inputs:
        """Return the items of every input in one repeat: synthetic text is new in each."""
        return Inputs(self.workload.seed, repeat, self.workload.inputs, self.inputs)


def load_workload(
    path: Path, overrides: Overrides | None = None, policies: Policies = STANDARD, written_as: str | None = None
) -> Loaded:
    """Load the workload at `path` with the command line's `overrides`; `policies` are those that it may name.

    `written_as` is the text of one that is in no file; `path` is then its name, and what it names is looked for beside.

    WorkloadError lists what is wrong in the file, a line each with file:line:column; UserError names a wrong
    option.
    """
    asked = overrides or Overrides()
    text = read_text(path) if written_as is None else written_as
    source = parse_yaml(text, str(path))
    folder = path.parent
    made, mistakes = examine(Workload, source, folder, policies)
    if made is None:
        mistakes.raise_if_any()
    written = cast(Workload, made)

    inputs = fixed_inputs(written.inputs, folder, mistakes)
    seed = written.seed if asked.seed is None else asked.seed
    for name, spec in written.inputs.items():
        if name == "item":
            mistakes.add(("inputs", name), '"item" is the item of a fan-out; rename the input', key=True)
        if isinstance(spec, SyntheticInput):
            inputs[name] = made_up(seed, 0, name, spec)
    item_tokens = {name: expected_tokens(spec, inputs.get(name, ())) for name, spec in written.inputs.items()}

    resolved = _resolve_agents(written, folder, mistakes)
    inlined = build.agent_graphs(written, resolved, item_tokens, mistakes)
    _check_pipelines(written, mistakes)
    _check_profiles(written, folder, mistakes)
    check_machines(written, folder, mistakes)
    candidates.check_compare(written, {name: inline.graph for name, inline in inlined.items()}, mistakes, policies)
    mistakes.raise_if_any()

    workload = override(written, asked, policies)
    graphs = {name: inline.graph for name, inline in inlined.items()}
    pipelines = build.compile_pipelines(workload, graphs)
    plans = candidates.plans(workload, pipelines, _default_server(asked), asked.only, policies)
    chosen = override_plans(plans, workload, asked, embedding_models(pipelines))
    stands = {(name, node): at for name, inline in inlined.items() for node, at in inline.written.items()}
    check_embeddings(pipelines, stands, mistakes)
    candidates.check_models(chosen, stands, embedding_models(pipelines), mistakes)
    mistakes.raise_if_any()
    nodes = {
        (name, node): resolved[inline.written[node]]
        for name, inline in inlined.items()
        for node in inline.uses
        if inline.written[node] in resolved
    }
    embedded = {
        (name, node): Prompt((Slot(facts["embeds"], 0),), None)
        for name, graph in graphs.items()
        for node, facts in graph.nodes.items()
        if facts["embeds"]
    }
    loaded = Loaded(
        path=path,
        workload=workload,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        graphs=graphs,
        pipelines=pipelines,
        agents={key: agent.spec for key, agent in nodes.items()},
        prompts={key: agent.prompt for key, agent in nodes.items()} | embedded,
        uses={(name, node): use for name, inline in inlined.items() for node, use in inline.uses.items()},
        loops={(name, loop): body for name, inline in inlined.items() for loop, body in inline.loops.items()},
        written=stands,
        inputs={name: inputs[name] for name in workload.inputs},
        servers=chosen.servers,
        plans=chosen.plans,
        derived=chosen.derived,
        cards={agent.name: agent.spec for agent in resolved.values() if agent.is_card},
        models=chosen.models,
        policies=policies,
        skipped=chosen.skipped,
        questions=file_questions(text),
    )
    return with_room(loaded)


def _check_profiles(workload: Workload, folder: Path, mistakes: Mistakes) -> None:
    """Check that the profiles of simulated servers are there; those named by path are read when they are needed."""
    for name, spec in workload.servers.items():
        profile = None if spec.simulation is None else spec.simulation.profile
        check_profile(("servers", name, "profile"), f'server "{name}"', profile, folder, mistakes)


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def _default_server(asked: Overrides) -> ServerSpec:
    """Return the server of a file that names none."""
    return default_url(engine_of(LlamaCppServer(kind="llamacpp", slots=candidates.STANDARD_SLOTS), asked), asked)


def _resolve_agents(workload: Workload, folder: Path, mistakes: Mistakes) -> dict[Loc, Resolved]:
    """Find the agent of every node that is written down: inline, then `agents:`, then a role card."""
    cards: dict[str, Card | None] = {}
    result: dict[Loc, Resolved] = {}
    for definition in definitions(workload):
        for node, spec in definition.nodes.items():
            at: Loc = (*definition.at, node, "agent")
            agent = spec.agent
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
                result[*definition.at, node] = found
                where = at if isinstance(agent, AgentSpec) else ("agents", agent) if agent in workload.agents else at
                for number, image in enumerate(found.spec.images):
                    try:
                        read_image(image, folder)
                    except WorkloadError as error:
                        key = () if found.is_card else ("images", number)
                        mistakes.add((*where, *key), f'agent "{found.name}", image "{image}": {error.message}')
    return result


def _parsed(name: str, spec: AgentSpec, at: Loc, card: Card | None, mistakes: Mistakes) -> Resolved | None:
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
    return Resolved(name, spec, Prompt(templates[0] or (), templates[1]), where, card is not None)


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
    for circle in find_circles(waits):
        spec = workload.pipelines[circle[0]]
        key = "while" if spec.while_ is not None else "after"
        if len(circle) == 2:
            message = f'pipeline "{circle[0]}" has {key}: itself; name another pipeline'
        else:
            message = f"pipelines wait for each other's end in a circle: {' -> '.join(circle)}"
        mistakes.add(("pipelines", circle[0], key), message)
