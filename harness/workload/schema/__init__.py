"""The workload file as pydantic models: frozen, nothing extra allowed, every field described.

This package says what a file may contain; `mistakes` says where one is wrong, `build` checks what the graph means.
"""

from __future__ import annotations

from harness.workload.schema.arrivals import Arrival, AtTimes, Closed, Every
from harness.workload.schema.base import FrozenDict
from harness.workload.schema.file import MeasureSpec, Workload, json_schema, without_credentials
from harness.workload.schema.inputs import FileInput, Input, ListInput, Synthetic, SyntheticInput
from harness.workload.schema.nodes import AgentSpec, NodeSpec, ToolSpec
from harness.workload.schema.pipelines import Goal, PipelineSpec
from harness.workload.schema.routing import Candidate, CapName, OrderName, Routing
from harness.workload.schema.servers import (
    FAULTS,
    EngineServer,
    FaultName,
    LlamaCppServer,
    OllamaServer,
    ServerBase,
    ServerSpec,
    SimulatedServer,
)

__all__ = [
    "FAULTS",
    "AgentSpec",
    "Arrival",
    "AtTimes",
    "Candidate",
    "CapName",
    "Closed",
    "EngineServer",
    "Every",
    "FaultName",
    "FileInput",
    "FrozenDict",
    "Goal",
    "Input",
    "ListInput",
    "LlamaCppServer",
    "MeasureSpec",
    "NodeSpec",
    "OllamaServer",
    "OrderName",
    "PipelineSpec",
    "Routing",
    "ServerBase",
    "ServerSpec",
    "SimulatedServer",
    "Synthetic",
    "SyntheticInput",
    "ToolSpec",
    "Workload",
    "json_schema",
    "without_credentials",
]
