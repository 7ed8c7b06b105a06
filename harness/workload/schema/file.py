"""The workload file as a whole."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from harness.workload.schema.agents import AgentSpec
from harness.workload.schema.base import FrozenDict, Name, PositiveSeconds, Spec, Table
from harness.workload.schema.inputs import Input
from harness.workload.schema.machines import MachineSpec
from harness.workload.schema.nodes import SubpipelineSpec
from harness.workload.schema.pipelines import PipelineSpec
from harness.workload.schema.routing import Candidate
from harness.workload.schema.servers import ServerSpec

__all__ = ["MeasureSpec", "Workload", "json_schema", "without_credentials"]


class MeasureSpec(Spec):
    """How often."""

    repeats: PositiveInt = Field(default=5, le=1000, description="Measured repeats of each candidate.", examples=[5])
    warmup: Annotated[int, Field(ge=0, le=20)] = Field(
        default=1, description="Warm-up repeats, discarded.", examples=[1]
    )


class Workload(Spec):
    """One YAML file: pipelines, inputs, servers, what to compare."""

    version: Literal[1] = Field(description="Version of this format.")
    name: Name = Field(
        description="Name of the workload; run folders are called after it.", examples=["research-digest"]
    )
    description: str = Field(
        default="",
        description="One sentence for the report.",
        examples=["Eight documents are summarised in parallel and merged."],
    )
    pipelines: Table[PipelineSpec] = Field(min_length=1, description="The agent graphs.")
    subpipelines: Table[SubpipelineSpec] = Field(
        default_factory=FrozenDict, description="Graphs that are used as a node (`pipeline: NAME`)."
    )
    control: Literal["draws", "model"] = Field(
        default="draws",
        description="Who decides branches, loops and the length of lists when measured: `draws` from the seed, the "
        "same for every candidate, or what the `model` really answered (then candidates are not compared in pairs). "
        "Simulations always draw.",
        examples=["model"],
    )
    agents: Table[AgentSpec] = Field(
        default_factory=FrozenDict, description="Agents of this workload, before those of agents/."
    )
    inputs: Table[Input] = Field(
        default_factory=FrozenDict, description="Inputs, which nodes fan out over and templates name."
    )
    servers: Table[ServerSpec] = Field(
        default_factory=FrozenDict, description="The servers to choose from; left out: the embedded engine."
    )
    machines: Table[MachineSpec] = Field(
        default_factory=FrozenDict,
        description="Facts about the machines that servers name; if given, all of them are in it.",
    )
    compare: Table[Candidate] = Field(
        default_factory=FrozenDict,
        description="The candidates, each a concurrency policy or a routing; left out: the standard set.",
    )
    measure: MeasureSpec = Field(default=MeasureSpec(), description="Repeats and warm-up.")
    seed: int = Field(default=0, description="Seed of all random draws.", examples=[7])
    timeout_s: PositiveSeconds = Field(
        default=300.0, description="Time limit of every call, after which it is given up.", examples=[120]
    )

    def to_plain(self) -> dict[str, Any]:
        """Return the workload as plain data, as it was written: without what was left out and what is null.

        There are no credentials in URLs. `model_dump` returns it with every default, which `load_workload` refuses:
        a setting without effect is a mistake in a file.
        """
        plain = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        for server in plain.get("servers", {}).values():
            if "url" in server:
                server["url"] = without_credentials(server["url"])
        return plain


def without_credentials(url: str) -> str:
    """Return `url` without its `user:password@`."""
    return re.sub(r"^(\w+://)[^/?#]*@", r"\1", url)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a workload file, for editors; `schema.json` in this folder is its copy."""
    schema = Workload.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Slotwise workload"}
