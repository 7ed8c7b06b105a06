"""The workload file as pydantic models: frozen, nothing extra allowed, every field described.

This module says what a file may contain; `mistakes` says where one is wrong, `build` checks
what the graph means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, NoReturn, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveInt,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from harness.errors import did_you_mean

__all__ = [
    "FAULTS",
    "AgentSpec",
    "Arrival",
    "AtTimes",
    "Candidate",
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
    "PipelineSpec",
    "Routing",
    "ServerSpec",
    "SimulatedServer",
    "Synthetic",
    "SyntheticInput",
    "ToolSpec",
    "Workload",
    "json_schema",
    "without_credentials",
]

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,62}$")]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
V = TypeVar("V")


class FrozenDict(dict[str, V]):
    """A dict that cannot be changed: pydantic's `frozen` stops at the first container."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("a loaded workload is frozen")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[FrozenDict[V]], tuple[dict[str, V]]]:
        return FrozenDict, (dict(self),)


Table = Annotated[Mapping[Name, V], AfterValidator(FrozenDict)]


def _shape(text: str, mapping: str) -> Discriminator:
    """Choose between `text` and `mapping` by what was written: one mistake, one message."""

    def choose(value: Any) -> str | None:
        if isinstance(value, str):
            return "<text>"
        return "<mapping>" if isinstance(value, (Mapping, BaseModel)) else None

    return Discriminator(choose, custom_error_type="shape", custom_error_message=f"expected {text} or {mapping}")


def _one_key_of(keys: Iterable[str]) -> Discriminator:
    """Choose a variant by the one key of `keys` that was written."""
    keys = tuple(keys)

    def choose(value: Any) -> str | None:
        if isinstance(value, BaseModel):
            return next((f"<{key}>" for key in keys if hasattr(value, key)), None)
        found = [key for key in keys if isinstance(value, Mapping) and key in value]
        return f"<{found[0]}>" if len(found) == 1 else None

    return Discriminator(
        choose,
        custom_error_type="one_key_of",
        custom_error_message="expected a mapping with exactly one of {keys}",
        custom_error_context={"keys": ", ".join(f"`{key}`" for key in keys)},
    )


def _mistake(message: str, *at: str | int) -> PydanticCustomError:
    """Make an error that `mistakes` points at the key `at` below the model that raised it."""
    return PydanticCustomError("mistake", "{message}", {"message": message, "at": at})


class Spec(BaseModel):
    """Base of everything in a workload file: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)


# --- arrivals --------------------------------------------------------------------------------------


class Every(Spec):
    """A job starts every `every_s` seconds; 0 starts all of them at once."""

    every_s: Seconds = Field(description="Seconds between intended starts; 0 = all at once.", examples=[0, 2.5])


class AtTimes(Spec):
    """Jobs start at the listed times."""

    at_s: tuple[Seconds, ...] = Field(
        min_length=1,
        max_length=100_000,
        description="Intended starts, in seconds, in order.",
        examples=[[0, 3, 9]],
    )

    @model_validator(mode="after")
    def _in_order(self) -> AtTimes:
        for i, (before, now) in enumerate(pairwise(self.at_s), start=1):
            if now < before:
                raise _mistake(f"at_s must not decrease, found {now:g} after {before:g}", "at_s", i)
        return self


class Closed(Spec):
    """A closed loop: each user starts the next job `think_s` after the last one ended."""

    closed: PositiveInt = Field(le=10_000, description="How many users.", examples=[1])
    think_s: Seconds = Field(default=0.0, description="Seconds between a reply and the user's next request.")


Arrival = Annotated[
    Annotated[Every, Tag("<every_s>")] | Annotated[AtTimes, Tag("<at_s>")] | Annotated[Closed, Tag("<closed>")],
    _one_key_of(("every_s", "at_s", "closed")),
]


# --- agents, nodes, pipelines ----------------------------------------------------------------------


class AgentSpec(Spec):
    """A role: what is said to the model, and how long the answer may be."""

    prompt: str = Field(
        min_length=1, description="Prompt template; `{item}`, `{input_name}` and `{node_name}` are filled in."
    )
    system: str | None = Field(default=None, description="System message.")
    model: str | None = Field(default=None, description="Model name; left out: the server's model.")
    output_tokens: PositiveInt = Field(
        le=1_000_000, description="Most tokens of one answer (num_predict).", examples=[48]
    )
    exact_output: bool = Field(
        default=True,
        description="Generate exactly `output_tokens` where the engine can; Ollama may stop earlier.",
    )
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(default=0.0, description="Sampling temperature.")
    format: Literal["json"] | None = Field(default=None, description="`json` constrains the answer to a JSON value.")


class ToolSpec(Spec):
    """A tool call that no model makes: a delay."""

    delay_s: Seconds = Field(description="Seconds the tool takes.", examples=[0.5])


class NodeSpec(Spec):
    """A vertex of the graph: an agent call, a fan-out of calls (`over`), or a tool delay."""

    agent: (
        Annotated[
            Annotated[Name, Tag("<text>")] | Annotated[AgentSpec, Tag("<mapping>")],
            _shape("an agent's name", "an inline agent (prompt: ..., output_tokens: ...)"),
        ]
        | None
    ) = Field(default=None, description="Agent name (agents/NAME.md or `agents:`) or inline.")
    tool: ToolSpec | None = Field(default=None, description="A tool delay instead of an agent call.")
    over: Name | None = Field(default=None, description="Input to fan out over: one call per item.")
    after: tuple[Name, ...] = Field(default=(), description="Nodes that must be done first.")
    timeout_s: PositiveSeconds | None = Field(default=None, description="Give one call up after this long.")

    @model_validator(mode="after")
    def _one_kind(self) -> NodeSpec:
        if self.agent is None and self.tool is None:
            raise _mistake("a node needs `agent` or `tool`, found neither")
        if self.agent is not None and self.tool is not None:
            raise _mistake("a node has either `agent` or `tool`, found both", "tool")
        if self.tool is not None:
            for key in ("over", "timeout_s"):
                if getattr(self, key) is not None:
                    raise _mistake(f"`{key}` goes with `agent`, not with `tool`", key)
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
    jobs: PositiveInt | None = Field(default=None, le=100_000, description="How many jobs in all; `at_s` needs none.")
    while_: Name | None = Field(
        default=None, alias="while", description="Keep starting jobs until that pipeline has ended."
    )
    after: Name | None = Field(
        default=None, description="Start when that pipeline has ended; its arrival times count from there."
    )
    arrival: Arrival = Field(default=Every(every_s=0), description="When jobs start.")
    goal: Goal | None = Field(default=None, description="Interactive paths: what is wanted.")
    nodes: Table[NodeSpec] = Field(min_length=1, description="The graph: a node starts when all of `after` are done.")

    @model_validator(mode="after")
    def _bounded(self) -> PipelineSpec:
        times = len(self.arrival.at_s) if isinstance(self.arrival, AtTimes) else None
        if self.while_ is not None:
            if self.jobs is not None:
                raise _mistake("a pipeline has either `jobs` or `while`, found both", "while")
            if times is not None:
                raise _mistake("`at_s` says how many jobs there are, so `while` cannot go with it", "while")
            if self.after is not None:
                raise _mistake("a pipeline has either `while` or `after`, found both", "after")
            if isinstance(self.arrival, Every) and self.arrival.every_s == 0:
                raise _mistake(
                    "with `while` jobs need a pace: expected an `arrival` with `closed` or with `every_s` "
                    "above 0, found every_s 0 (jobs without end at once)",
                    "arrival",
                )
        elif times is None and self.jobs is None:
            raise _mistake("expected `jobs: NUMBER` or `while: PIPELINE`, found neither")
        elif times is not None and self.jobs not in (None, times):
            raise _mistake(
                f"`at_s` lists {times} starts, so `jobs` must be {times} or left out, found {self.jobs}",
                "jobs",
            )
        if self.goal is not None and self.path == "batch":
            raise _mistake("`goal` goes with path: interactive, found path: batch", "goal")
        return self


# --- inputs ----------------------------------------------------------------------------------------


class FileInput(Spec):
    """Text files, one item each, in the order of their names."""

    files: str = Field(description="A glob below the workload's folder.", examples=["data/*.md"])


class ListInput(Spec):
    """Items written down in the workload."""

    list: tuple[str, ...] = Field(max_length=10_000, description="The items.")


class Synthetic(Spec):
    """Made-up documents of a known size."""

    count: PositiveInt = Field(le=10_000, description="How many documents.")
    tokens: PositiveInt = Field(le=100_000, description="About how many tokens each.")

    @model_validator(mode="after")
    def _affordable(self) -> Synthetic:
        if self.count * self.tokens > 5_000_000:
            raise _mistake(f"expected at most 5000000 tokens in all, found {self.count} x {self.tokens}")
        return self


class SyntheticInput(Spec):
    """Documents made up from the seed: the same in every candidate, different in every repeat."""

    synthetic: Synthetic


Input = Annotated[
    Annotated[FileInput, Tag("<files>")]
    | Annotated[ListInput, Tag("<list>")]
    | Annotated[SyntheticInput, Tag("<synthetic>")],
    _one_key_of(("files", "list", "synthetic")),
]


# --- servers ---------------------------------------------------------------------------------------


class ServerBase(Spec):
    """What every kind of server has."""

    slots: PositiveInt = Field(default=1, le=64, description="Calls it generates at the same time.")
    context_tokens: PositiveInt = Field(
        default=2048, ge=256, le=10_000_000, description="Context of one slot, in tokens."
    )
    starts_per_s: PositiveSeconds | None = Field(default=None, description="Pace request starts to this rate.")


Threads = Annotated[
    Annotated[int, Field(ge=1, le=512), Tag("<number>")] | Annotated[Literal["half"], Tag("<text>")],
    Discriminator(lambda value: "<text>" if isinstance(value, str) else "<number>"),
]


class EngineServer(ServerBase):
    """What every kind of server with a real engine has."""

    batch_tokens: PositiveInt = Field(default=512, le=4096, description="Prompt tokens of one engine step; pinned.")
    threads: Threads | None = Field(
        default=None,
        description="Engine threads; `half` of the cores for servers that work side by side; left out: every core.",
    )


class LlamaCppServer(EngineServer):
    """The embedded engine: llama.cpp behind our Ollama-API front, in a process of its own."""

    kind: Literal["llamacpp"]
    model: str = Field(default="smollm2-135m", description="A built-in model's name, or the path of a GGUF file.")


class OllamaServer(EngineServer):
    """Ollama: a running one by `url`, or managed (started with the asked slots, stopped afterwards)."""

    kind: Literal["ollama"]
    model: str = Field(description="Name of a model it has, a built-in model's name, or the path of a GGUF file.")
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]")] | None = Field(
        default=None, description="A running server, e.g. http://127.0.0.1:11434; left out: managed."
    )


FaultName = Literal["503", "delay", "cut", "malformed", "hang"]
FAULTS: tuple[FaultName, ...] = get_args(FaultName)


class SimulatedServer(ServerBase):
    """A model of a server on the wall clock, behind the same front: what runs against it is emulated, not measured."""

    kind: Literal["simulated"]
    profile: Annotated[str, Field(min_length=1)] = Field(
        description="Name of a profile (profiles/NAME.yaml), or the path of one."
    )
    assume: Annotated[Mapping[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], AfterValidator(FrozenDict)] = (
        Field(default_factory=FrozenDict, description="Values that the profile does not know, by their key in it.")
    )
    extrapolate: bool = Field(
        default=False, description="Derive a number of slots that the profile lacks from the nearest that it has."
    )
    threads: Threads | None = Field(
        default=None, description="Which of the profile's servers: `half` of the cores, or measured with so many."
    )
    speed_up: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = Field(
        default=1.0, description="Divide all the server's times by this."
    )
    faults: Annotated[Mapping[str, Annotated[float, Field(ge=0, le=1)]], AfterValidator(FrozenDict)] = Field(
        default_factory=FrozenDict,
        description="Share of the calls that meet each fault: 503, delay, cut, malformed, hang.",
        examples=[{"503": 0.1, "cut": 0.05}],
        json_schema_extra={"propertyNames": {"enum": list(FAULTS)}},
    )
    fault_seed: int = Field(default=0, description="Seed of who meets a fault, and of the profile's noise.")
    fault_delay_s: Seconds = Field(default=5.0, description="How long `delay` holds a call up.")

    @property
    def model(self) -> str:
        """The name to put in requests: the profile's."""
        return self.profile.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")

    @model_validator(mode="after")
    def _known_faults(self) -> SimulatedServer:
        for name in self.faults:
            if name not in FAULTS:
                hint = did_you_mean(name, FAULTS) or f"; expected {', '.join(FAULTS)}"
                raise _mistake(f'no fault "{name}"{hint}', "faults", name)
        total = sum(self.faults.values())
        if total > 1:
            raise _mistake(f"expected shares that add up to 1 at most, found {total:g}", "faults")
        return self


ServerSpec = Annotated[LlamaCppServer | OllamaServer | SimulatedServer, Field(discriminator="kind")]


# --- routing ---------------------------------------------------------------------------------------

CapName = Literal["serial", "window", "waves", "unbounded"]
OrderName = Literal["fifo", "interactive-first"]


class Routing(Spec):
    """Where calls go (`place`), how many are in flight (`cap`), who goes first (`order`)."""

    place: (
        Annotated[
            Annotated[Name, Tag("<text>")] | Annotated[Table[Name], Tag("<mapping>")],
            _shape("a server's name", "a server per pipeline (digest: four-slot)"),
        ]
        | None
    ) = Field(
        default=None,
        description="A server, or a server per pipeline; left out: the server with most slots.",
    )
    cap: Annotated[
        Annotated[CapName, Tag("<text>")] | Annotated[Table[CapName], Tag("<mapping>")],
        _shape("a cap", "a cap per server (four-slot: window)"),
    ] = Field(default="window", description="A cap, or a cap per server; servers left out: window.")
    order: Annotated[
        Annotated[OrderName, Tag("<text>")] | Annotated[Table[OrderName], Tag("<mapping>")],
        _shape("an order", "an order per server (four-slot: fifo)"),
    ] = Field(default="fifo", description="An order, or an order per server; servers left out: fifo.")
    max_in_flight: PositiveInt | None = Field(default=None, description="`window`: instead of the server's slots.")
    max_wait_s: Seconds = Field(default=1.0, description="`waves`: start when the oldest call has waited this long.")
    ageing_s: Seconds = Field(
        default=30.0, description="`interactive-first`: a batch call that waited this much longer goes first."
    )


Candidate = Annotated[
    Annotated[CapName, Tag("<text>")] | Annotated[Routing, Tag("<mapping>")],
    _shape("a cap", "a routing (place: ..., cap: ..., order: ...)"),
]


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
    pipelines: Table[PipelineSpec] = Field(min_length=1, description="The agent graphs.")
    agents: Table[AgentSpec] = Field(
        default_factory=FrozenDict, description="Agents of this workload, before those of agents/."
    )
    inputs: Table[Input] = Field(default_factory=FrozenDict, description="What nodes fan out over and templates name.")
    servers: Table[ServerSpec] = Field(
        default_factory=FrozenDict, description="The servers to choose from; left out: the embedded engine."
    )
    compare: Table[Candidate] = Field(
        default_factory=FrozenDict,
        description="Candidates: a cap or a routing each; left out: the standard set.",
    )
    measure: MeasureSpec = Field(default=MeasureSpec(), description="Repeats and warm-up.")
    seed: int = Field(default=0, description="Seed of everything drawn.")
    timeout_s: PositiveSeconds = Field(default=300.0, description="Give any call up after this long.")

    def to_plain(self) -> dict[str, Any]:
        """Return the workload as plain data, as it would be written in YAML, without credentials in URLs."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_none=True)
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
