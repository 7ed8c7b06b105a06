"""The workload file as pydantic models: frozen, nothing extra allowed, every field described.

This module says what a file may contain; `load` finds where a mistake is, `build` checks what the graph means.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

__all__ = [
    "AgentSpec",
    "AtTimes",
    "Candidate",
    "Closed",
    "Every",
    "FileInput",
    "Goal",
    "ListInput",
    "LlamaCppServer",
    "MeasureSpec",
    "NodeSpec",
    "OllamaServer",
    "PipelineSpec",
    "Routing",
    "ServerSpec",
    "SyntheticInput",
    "Workload",
]

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Spec(BaseModel):
    """Base of everything in a workload file: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


# --- arrivals -----------------------------------------------------------------------------------------------------


class Every(Spec):
    """A job starts every `every_s` seconds; 0 starts all of them at once."""

    every_s: Seconds = Field(description="Seconds between intended starts; 0 = all at once.", examples=[0, 2.5])


class AtTimes(Spec):
    """Jobs start at the listed times."""

    at_s: tuple[Seconds, ...] = Field(min_length=1, description="Intended starts, in seconds.", examples=[[0, 3, 9]])


class Closed(Spec):
    """A closed loop: each user starts the next job `think_s` after the last one ended."""

    closed: PositiveInt = Field(description="How many users.", examples=[1])
    think_s: Seconds = Field(default=0.0, description="Seconds between a reply and the user's next request.")


Arrival = Every | AtTimes | Closed


# --- agents, nodes, pipelines ----------------------------------------------------------------------------------------


class AgentSpec(Spec):
    """A role: what is said to the model, and how long the answer may be."""

    prompt: str = Field(
        min_length=1, description="Prompt template; `{item}`, `{input_name}` and `{node_name}` are filled in."
    )
    system: str | None = Field(default=None, description="System message.")
    model: str | None = Field(default=None, description="Model name; left out: the server's model.")
    output_tokens: PositiveInt = Field(description="Most tokens of one answer (num_predict).", examples=[48])
    exact_output: bool = Field(
        default=True,
        description="Generate exactly `output_tokens` where the engine can (ignore_eos); Ollama may stop earlier.",
    )
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(default=0.0, description="Sampling temperature.")
    format: Literal["json"] | None = Field(default=None, description="`json` constrains the answer to a JSON value.")


class ToolSpec(Spec):
    """A tool call that no model makes: a delay."""

    delay_s: Seconds = Field(description="Seconds the tool takes.", examples=[0.5])


class NodeSpec(Spec):
    """A vertex of the graph: an agent call, a fan-out of calls (`over`), or a tool delay."""

    agent: str | AgentSpec | None = Field(
        default=None, description="Agent name (agents/NAME.md or `agents:`) or inline."
    )
    tool: ToolSpec | None = Field(default=None, description="A tool delay instead of an agent call.")
    over: Name | None = Field(default=None, description="Input to fan out over: one call per item.")
    after: tuple[Name, ...] = Field(default=(), description="Nodes that must be done first.")
    timeout_s: PositiveSeconds | None = Field(default=None, description="Give one call up after this long.")

    @model_validator(mode="after")
    def _one_kind(self) -> NodeSpec:
        if (self.agent is None) == (self.tool is None):
            raise ValueError("a node has either `agent` or `tool`")
        if self.tool is not None and (self.over is not None or self.timeout_s is not None):
            raise ValueError("`over` and `timeout_s` go with `agent`, not with `tool`")
        return self


class Goal(Spec):
    """What a person on an interactive path should feel; missing one is reported (and named by --fail-on)."""

    first_token_s: PositiveSeconds | None = Field(default=None, description="Median time to the first token.")
    p50_s: PositiveSeconds | None = Field(default=None, description="Median reply time.")
    p95_s: PositiveSeconds | None = Field(
        default=None, description="95th percentile of the reply time (needs 100 replies)."
    )


class PipelineSpec(Spec):
    """A named agent graph with its arrivals and its path."""

    path: Literal["batch", "interactive"] = Field(
        description="`batch`: throughput matters; `interactive`: a person waits."
    )
    jobs: PositiveInt | None = Field(default=None, description="How many jobs in all; `at_s` needs none.")
    while_: Name | None = Field(
        default=None, alias="while", description="Keep starting jobs until that pipeline has ended."
    )
    arrival: Arrival = Field(default=Every(every_s=0), description="When jobs start.")
    goal: Goal | None = Field(default=None, description="Interactive paths: what is wanted.")
    nodes: dict[Name, NodeSpec] = Field(min_length=1, description="The graph.")


# --- inputs -----------------------------------------------------------------------------------------------------------


class FileInput(Spec):
    """Text files, one item each, in the order of their names."""

    files: str = Field(description="A glob below the workload's folder.", examples=["data/*.md"])


class ListInput(Spec):
    """Items written down in the workload."""

    list: tuple[str, ...] = Field(description="The items.")


class Synthetic(Spec):
    """Made-up documents of a known size."""

    count: PositiveInt = Field(description="How many documents.")
    tokens: PositiveInt = Field(description="About how many tokens each.")


class SyntheticInput(Spec):
    """Documents made up from the seed: the same in every candidate, different in every repeat."""

    synthetic: Synthetic


Input = FileInput | ListInput | SyntheticInput


# --- servers ----------------------------------------------------------------------------------------------------------


class ServerBase(Spec):
    """What every kind of server has."""

    slots: PositiveInt = Field(default=1, le=64, description="Calls it generates at the same time.")
    context_tokens: PositiveInt = Field(default=2048, ge=256, description="Context of one slot, in tokens.")
    batch_tokens: PositiveInt = Field(default=512, le=4096, description="Prompt tokens of one engine step; pinned.")
    threads: PositiveInt | None = Field(default=None, le=512, description="Engine threads; left out: every core.")
    starts_per_s: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Pace request starts to this rate."
    )


class LlamaCppServer(ServerBase):
    """The embedded engine: llama.cpp behind our Ollama-API front, in a process of its own."""

    kind: Literal["llamacpp"]
    model: str = Field(default="smollm2-135m", description="A built-in model's name, or the path of a GGUF file.")


class OllamaServer(ServerBase):
    """Ollama: a running one by `url`, or managed (started with the asked slots, stopped afterwards)."""

    kind: Literal["ollama"]
    model: str = Field(description="Name of a model it has, a built-in model's name, or the path of a GGUF file.")
    url: str | None = Field(
        default=None, description="A running server, e.g. http://127.0.0.1:11434; left out: managed."
    )


ServerSpec = Annotated[LlamaCppServer | OllamaServer, Field(discriminator="kind")]


# --- routing ---

CapName = Literal["serial", "window", "waves", "unbounded"]
OrderName = Literal["fifo", "interactive-first"]


class Routing(Spec):
    """Where calls go (`place`), how many are in flight (`cap`), who goes first (`order`)."""

    place: Name | dict[Name, Name] | None = Field(default=None, description="A server, or a server per pipeline.")
    cap: CapName | dict[Name, CapName] = Field(default="window", description="A cap, or a cap per server.")
    order: OrderName | dict[Name, OrderName] = Field(default="fifo", description="An order, or an order per server.")
    max_in_flight: PositiveInt | None = Field(default=None, description="`window`: instead of the server's slots.")
    max_wait_s: Seconds = Field(default=1.0, description="`waves`: start when the oldest call has waited this long.")
    ageing_s: Seconds = Field(
        default=30.0, description="`interactive-first`: a batch call that waited this much longer goes first."
    )


Candidate = Routing


class MeasureSpec(Spec):
    """How often."""

    repeats: PositiveInt = Field(default=5, le=1000, description="Recorded repeats of every candidate.")
    warmup: Annotated[int, Field(ge=0, le=20)] = Field(
        default=1, description="Repeats before them that are not recorded."
    )


class Workload(Spec):
    """One YAML file: pipelines, inputs, servers, what to compare."""

    version: Literal[1] = Field(description="Version of this format.")
    name: Name = Field(description="Name of the workload; run folders are called after it.")
    description: str = Field(default="", description="One sentence for the report.")
    pipelines: dict[Name, PipelineSpec] = Field(min_length=1, description="The agent graphs.")
    agents: dict[Name, AgentSpec] = Field(default={}, description="Agents of this workload, before those of agents/.")
    inputs: dict[Name, Input] = Field(default={}, description="What nodes fan out over and templates name.")
    servers: dict[Name, ServerSpec] = Field(min_length=1, description="The servers to choose from.")
    compare: dict[Name, CapName | Routing] = Field(default={}, description="Candidates; left out: the standard set.")
    measure: MeasureSpec = Field(default=MeasureSpec(), description="Repeats and warm-up.")
    seed: int = Field(default=0, description="Seed of everything drawn.")
    timeout_s: PositiveSeconds = Field(default=300.0, description="Give any call up after this long.")

    def to_plain(self) -> dict[str, Any]:
        """Return the workload as plain data, as it would be written in YAML."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
