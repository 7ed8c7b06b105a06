"""Load a workload: read, validate, check what it means, compile it, and freeze it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

from harness.content import available
from harness.core.policies import STANDARD, Policies
from harness.errors import WorkloadError
from harness.workload import build, candidates
from harness.workload.agents import Card, find_card
from harness.workload.checks import Resolved, definitions, find_circles
from harness.workload.embeddings import check_embeddings, embedding_models
from harness.workload.image_files import read_image
from harness.workload.inputs import expected_tokens, fixed_inputs, made_up
from harness.workload.loaded import Loaded
from harness.workload.machines import check_machines, check_profile
from harness.workload.mistakes import Mistakes, examine, unknown
from harness.workload.networks import nx
from harness.workload.open_questions import file_questions
from harness.workload.overrides import Overrides, default_url, engine_of, override, override_plans
from harness.workload.prompts import Prompt, Slot, Template, TemplateError, parse
from harness.workload.room import with_room
from harness.workload.schema import (
    AgentSpec,
    LlamaCppServer,
    ServerSpec,
    SyntheticInput,
    Workload,
)
from harness.workload.source import Loc, parse_yaml, read_text

__all__ = ["Loaded", "Overrides", "load_workload"]


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
