"""The workload file as pydantic models: frozen, nothing extra allowed, every field described.

This package says what a file may contain; `mistakes` says where one is wrong, `build` checks what the graph means.
"""

from __future__ import annotations

from harness.workload.schema.agents import AgentSpec
from harness.workload.schema.arrivals import ARRIVALS, ArrivalSpec, SessionSpec
from harness.workload.schema.base import FrozenDict
from harness.workload.schema.embedding import EmbedSpec
from harness.workload.schema.file import MeasureSpec, Workload, json_schema, without_credentials
from harness.workload.schema.inputs import FileInput, Input, ListInput, Synthetic, SyntheticInput
from harness.workload.schema.loops import GrowsSpec, RepeatSpec, UntilSpec
from harness.workload.schema.machines import MachineSpec
from harness.workload.schema.nodes import ItemsSpec, LabelSpec, NodeSpec, RetrySpec, SubpipelineSpec, ToolSpec
from harness.workload.schema.pipelines import Goal, PipelineSpec
from harness.workload.schema.routing import (
    Candidate,
    Routing,
    Several,
    Where,
)
from harness.workload.schema.rules import FirstWord, JsonIs, Otherwise, Regex, Rule
from harness.workload.schema.servers import (
    ENGINES,
    FAULTS,
    KINDS,
    EngineServer,
    FaultName,
    LlamaCppServer,
    OllamaServer,
    OpenAiServer,
    ServerBase,
    ServerSpec,
    SimulatedServer,
    Simulation,
    kind_hint,
    same_model,
)
from harness.workload.schema.sizes import Amount, Duration, distribution, is_fixed, scaled

__all__ = [
    "ARRIVALS",
    "ENGINES",
    "FAULTS",
    "KINDS",
    "AgentSpec",
    "Amount",
    "ArrivalSpec",
    "Candidate",
    "Duration",
    "EmbedSpec",
    "EngineServer",
    "FaultName",
    "FileInput",
    "FirstWord",
    "FrozenDict",
    "Goal",
    "GrowsSpec",
    "Input",
    "ItemsSpec",
    "JsonIs",
    "LabelSpec",
    "ListInput",
    "LlamaCppServer",
    "MachineSpec",
    "MeasureSpec",
    "NodeSpec",
    "OllamaServer",
    "OpenAiServer",
    "Otherwise",
    "PipelineSpec",
    "Regex",
    "RepeatSpec",
    "RetrySpec",
    "Routing",
    "Rule",
    "ServerBase",
    "ServerSpec",
    "SessionSpec",
    "Several",
    "SimulatedServer",
    "Simulation",
    "SubpipelineSpec",
    "Synthetic",
    "SyntheticInput",
    "ToolSpec",
    "UntilSpec",
    "Where",
    "Workload",
    "distribution",
    "is_fixed",
    "json_schema",
    "kind_hint",
    "same_model",
    "scaled",
    "without_credentials",
]
