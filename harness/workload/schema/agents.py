"""Agents: what is said to a model."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, PositiveInt, Tag, model_validator

from harness.workload.schema.base import Spec, mistake
from harness.workload.schema.keep_alive import KeepAlive, keep_seconds
from harness.workload.schema.sizes import Amount

__all__ = ["AgentSpec"]


Level = Literal["low", "medium", "high"]


def _think(value: Any) -> str | None:
    if isinstance(value, bool):
        return "<truth>"
    return "<level>" if value in get_args(Level) else None


_THINK = Discriminator(
    _think, custom_error_type="shape", custom_error_message="expected true, false, low, medium or high"
)


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
    num_ctx: Annotated[int, Field(ge=256, le=10_000_000)] | None = Field(
        default=None,
        description="Context that its calls ask for, in tokens (Ollama's `num_ctx`); left out: the server's "
        "`context_tokens`. An Ollama loads the model again where the next call asks for another one.",
        examples=[8192],
    )
    keep_alive: KeepAlive | None = Field(
        default=None,
        description="How long its calls ask the server to keep the model afterwards (Ollama's `keep_alive`); seconds "
        "or a time such as 5m, 0 unloads it, -1 keeps it for ever. Left out: as the server is set.",
        examples=["5m", 0],
    )
    output_tokens: Amount = Field(description="Most tokens of one answer (num_predict).", examples=[48, [20, 80]])
    think: Annotated[Annotated[bool, Tag("<truth>")] | Annotated[Level, Tag("<level>")], _THINK] = Field(
        default=False,
        description="Hidden thinking before the answer (Ollama's `think`); a level where the model knows levels.",
        examples=[True, "high"],
    )
    thinking_tokens: Amount | None = Field(
        default=None, description="How many tokens it thinks; beside `output_tokens`.", examples=[300, [100, 600]]
    )
    images: Annotated[tuple[str, ...], Field(max_length=16)] = Field(
        default=(),
        description="Image files below the workload's folder, sent with every call.",
        examples=[["data/receipt.png"]],
    )
    image_tokens: Annotated[PositiveInt, Field(le=1_000_000)] | None = Field(
        default=None, description="Prompt tokens that the model makes of all of them together.", examples=[576]
    )
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

    @model_validator(mode="after")
    def _sees(self) -> AgentSpec:
        if self.images and self.image_tokens is None:
            raise mistake(
                "`images` needs `image_tokens`: how many prompt tokens the model makes of all of them, such as 576. "
                "The prompt_tokens of a run show how many they really are",
                "images",
            )
        if self.image_tokens is not None and not self.images:
            raise mistake("`image_tokens` goes with `images`; name the files, or remove it", "image_tokens")
        return self

    @model_validator(mode="after")
    def _thinks(self) -> AgentSpec:
        if self.think and self.thinking_tokens is None:
            raise mistake(
                "`think` needs `thinking_tokens`: how many tokens the model thinks before it answers, such as "
                "[100, 600]. A run shows how many they really are",
                "think",
            )
        if self.thinking_tokens is not None and not self.think:
            raise mistake("`thinking_tokens` goes with `think`; add think: true, or remove it", "thinking_tokens")
        return self

    @property
    def keep_s(self) -> float | None:
        """Its `keep_alive` in seconds; infinity for ever, None where it has none."""
        return None if self.keep_alive is None else keep_seconds(self.keep_alive)

    @property
    def pinned_tokens(self) -> int | None:
        """What each call is to generate exactly, thinking and answer; None where that varies or is left open."""
        if not self.exact_output or not isinstance(self.output_tokens, int):
            return None
        if self.thinking_tokens is None:
            return self.output_tokens
        return self.output_tokens + self.thinking_tokens if isinstance(self.thinking_tokens, int) else None
