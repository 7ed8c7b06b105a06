"""Agents: what is said to a model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.workload.schema.base import Spec
from harness.workload.schema.sizes import Amount

__all__ = ["AgentSpec"]


class AgentSpec(Spec):
    """A role: what is said to the model, and how long the answer may be."""

    prompt: str = Field(
        min_length=1,
        description="Prompt template; `{item}`, `{input_name}` and `{node_name}` are filled in, and in loops and "
        "sub-pipelines `{input}` and `{previous}`.",
        examples=["Summarise this: {item}"],
    )
    system: str | None = Field(default=None, description="System message.", examples=["Be brief."])
    model: str | None = Field(
        default=None, description="Model name; left out: the server's model.", examples=["gemma3-270m"]
    )
    output_tokens: Amount = Field(description="Most tokens of one answer (num_predict).", examples=[48, [20, 80]])
    exact_output: bool = Field(
        default=True,
        description="Generate exactly `output_tokens` where the engine can; Ollama may stop earlier.",
        examples=[True],
    )
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.0, description="Sampling temperature.", examples=[0.7]
    )
    shares_prefix: bool = Field(
        default=False,
        description="Its system message is the same in all calls, and a server may find it again in its prompt cache; "
        "agents with the same system message share it.",
        examples=[True],
    )
    format: Literal["json"] | None = Field(
        default=None, description="`json` constrains the answer to a JSON value.", examples=["json"]
    )
