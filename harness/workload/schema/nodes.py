"""Agents, tools, and the nodes of a graph."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, Tag, model_validator

from harness.workload.schema.base import Name, PositiveSeconds, Seconds, Spec, mistake, shape

__all__ = ["AgentSpec", "NodeSpec", "ToolSpec"]


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
            shape("an agent's name", "an inline agent (prompt: ..., output_tokens: ...)"),
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
            raise mistake("a node needs `agent` or `tool`, found neither")
        if self.agent is not None and self.tool is not None:
            raise mistake("a node has either `agent` or `tool`, found both", "tool")
        if self.tool is not None:
            for key in ("over", "timeout_s"):
                if getattr(self, key) is not None:
                    raise mistake(f"`{key}` goes with `agent`, not with `tool`", key)
        return self
