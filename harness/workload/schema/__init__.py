"""The workload file as pydantic models: frozen, nothing extra allowed, every field described.

This package says what a file may contain; `mistakes` says where one is wrong, `build` checks what the graph means.
"""

from __future__ import annotations

from harness.workload.schema.agents import AgentSpec
from harness.workload.schema.arrivals import Arrival, AtTimes, Bursts, Closed, Every, Poisson, Ramp, Session, Trace
from harness.workload.schema.base import FrozenDict
from harness.workload.schema.file import MeasureSpec, Workload, json_schema, without_credentials
from harness.workload.schema.inputs import FileInput, Input, ListInput, Synthetic, SyntheticInput
from harness.workload.schema.nodes import (
    ItemsSpec,
    LabelSpec,
    NodeSpec,
    RepeatSpec,
    RetrySpec,
    SubpipelineSpec,
    ToolSpec,
    UntilSpec,
)
from harness.workload.schema.pipelines import Goal, PipelineSpec
from harness.workload.schema.routing import (
    Affinity,
    Candidate,
    ConcurrencyName,
    LeastLoaded,
    PlacementName,
    Routing,
    SchedulingName,
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
    ServerBase,
    ServerSpec,
    SimulatedServer,
    Simulation,
    same_model,
)
from harness.workload.schema.sizes import Amount, Duration, distribution, is_fixed

__all__ = [
    "ENGINES",
    "FAULTS",
    "KINDS",
    "Affinity",
    "AgentSpec",
    "Amount",
    "Arrival",
    "AtTimes",
    "Bursts",
    "Candidate",
    "Closed",
    "ConcurrencyName",
    "Duration",
    "EngineServer",
    "Every",
    "FaultName",
    "FileInput",
    "FirstWord",
    "FrozenDict",
    "Goal",
    "Input",
    "ItemsSpec",
    "JsonIs",
    "LabelSpec",
    "LeastLoaded",
    "ListInput",
    "LlamaCppServer",
    "MeasureSpec",
    "NodeSpec",
    "OllamaServer",
    "Otherwise",
    "PipelineSpec",
    "PlacementName",
    "Poisson",
    "Ramp",
    "Regex",
    "RepeatSpec",
    "RetrySpec",
    "Routing",
    "Rule",
    "SchedulingName",
    "ServerBase",
    "ServerSpec",
    "Session",
    "SimulatedServer",
    "Simulation",
    "SubpipelineSpec",
    "Synthetic",
    "SyntheticInput",
    "ToolSpec",
    "Trace",
    "UntilSpec",
    "Where",
    "Workload",
    "distribution",
    "is_fixed",
    "json_schema",
    "same_model",
    "without_credentials",
]
