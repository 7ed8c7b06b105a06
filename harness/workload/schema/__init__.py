"""The workload file as pydantic models: frozen, nothing extra allowed, every field described.

This package says what a file may contain; `mistakes` says where one is wrong, `build` checks what the graph means.
"""

from __future__ import annotations

from harness.workload.schema.arrivals import Arrival, AtTimes, Bursts, Closed, Every, Poisson, Ramp, Session, Trace
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
    "Bursts",
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
    "Poisson",
    "Ramp",
    "Routing",
    "ServerBase",
    "ServerSpec",
    "Session",
    "SimulatedServer",
    "Synthetic",
    "SyntheticInput",
    "ToolSpec",
    "Trace",
    "Workload",
    "json_schema",
    "without_credentials",
]
