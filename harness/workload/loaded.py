"""A workload as everything else takes it: checked, compiled, frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.core.graph import Pipeline
from harness.core.plan import Plan
from harness.core.policies import Policies
from harness.workload.embeddings import embedding_models
from harness.workload.image_files import image_digests, image_files
from harness.workload.inputs import Inputs
from harness.workload.networks import nx
from harness.workload.open_questions import FileQuestion
from harness.workload.portable import copies, portable
from harness.workload.prompts import Prompt
from harness.workload.reads import Loop, Readable
from harness.workload.rules import Decisions
from harness.workload.schema import AgentSpec, FrozenDict, NodeSpec, ServerSpec, SyntheticInput, UntilSpec, Workload
from harness.workload.source import Loc

__all__ = ["Loaded"]


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


def _digest(plain: object) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
