"""The servers of a workload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Discriminator, Field, PositiveInt, Tag, model_validator

from harness.errors import did_you_mean
from harness.workload.schema.base import FrozenDict, PositiveSeconds, Seconds, Spec, mistake

__all__ = [
    "FAULTS",
    "EngineServer",
    "FaultName",
    "LlamaCppServer",
    "OllamaServer",
    "ServerBase",
    "ServerSpec",
    "SimulatedServer",
]


class ServerBase(Spec):
    """What every kind of server has."""

    slots: PositiveInt = Field(default=1, le=64, description="Calls it generates at the same time.", examples=[4])
    context_tokens: PositiveInt = Field(
        default=2048, ge=256, le=10_000_000, description="Context of one slot, in tokens.", examples=[4096]
    )
    starts_per_s: PositiveSeconds | None = Field(
        default=None, description="Pace request starts to this rate.", examples=[5]
    )


Threads = Annotated[
    Annotated[int, Field(ge=1, le=512), Tag("<number>")] | Annotated[Literal["half"], Tag("<text>")],
    Discriminator(lambda value: "<text>" if isinstance(value, str) else "<number>"),
]


class EngineServer(ServerBase):
    """What every kind of server with a real engine has."""

    batch_tokens: PositiveInt = Field(
        default=512, le=4096, description="Prompt tokens of one engine step; pinned.", examples=[512]
    )
    threads: Threads | None = Field(
        default=None,
        description="Engine threads; `half` of the cores for servers that work side by side; left out: every core.",
        examples=[4, "half"],
    )


class LlamaCppServer(EngineServer):
    """The embedded engine: llama.cpp behind our Ollama-API front, in a process of its own."""

    kind: Literal["llamacpp"]
    model: str = Field(
        default="smollm2-135m",
        description="A built-in model's name, or the path of a GGUF file.",
        examples=["smollm2-135m", "models/mine.gguf"],
    )


class OllamaServer(EngineServer):
    """Ollama: a running one by `url`, or managed (started with the asked slots, stopped afterwards)."""

    kind: Literal["ollama"]
    model: str = Field(
        description="Name of a model it has, a built-in model's name, or the path of a GGUF file.",
        examples=["llama3.2:1b"],
    )
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]")] | None = Field(
        default=None,
        description="A running server, e.g. http://127.0.0.1:11434; left out: managed.",
        examples=["http://127.0.0.1:11434"],
    )
    max_loaded_models: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None,
        description="Models it keeps loaded at the same time (OLLAMA_MAX_LOADED_MODELS); left out: as Ollama does.",
        examples=[1],
    )


FaultName = Literal["503", "delay", "cut", "malformed", "hang"]
FAULTS: tuple[FaultName, ...] = get_args(FaultName)


class SimulatedServer(ServerBase):
    """A model of a server on the wall clock, behind the same front: what runs against it is emulated, not measured."""

    kind: Literal["simulated"]
    profile: Annotated[str, Field(min_length=1)] = Field(
        description="Name of a profile (profiles/NAME.yaml), or the path of one.", examples=["m1-published"]
    )
    assume: Annotated[Mapping[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], AfterValidator(FrozenDict)] = (
        Field(
            default_factory=FrozenDict,
            description="Values that the profile does not know, by their key in it.",
            examples=[{"prefill_s_per_token": 0.002}],
        )
    )
    extrapolate: bool = Field(
        default=False,
        description="Derive a number of slots that the profile lacks from the nearest that it has.",
        examples=[True],
    )
    threads: Threads | None = Field(
        default=None,
        description="Which of the profile's servers: `half` of the cores, or measured with so many.",
        examples=["half"],
    )
    speed_up: Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] = Field(
        default=1.0, description="Divide all the server's times by this.", examples=[10]
    )
    faults: Annotated[Mapping[str, Annotated[float, Field(ge=0, le=1)]], AfterValidator(FrozenDict)] = Field(
        default_factory=FrozenDict,
        description="Share of the calls that meet each fault: 503, delay, cut, malformed, hang.",
        examples=[{"503": 0.1, "cut": 0.05}],
        json_schema_extra={"propertyNames": {"enum": list(FAULTS)}},
    )
    fault_seed: int = Field(
        default=0, description="Seed of who meets a fault, and of the profile's noise.", examples=[7]
    )
    fault_delay_s: Seconds = Field(default=5.0, description="How long `delay` holds a call up.", examples=[5])

    @property
    def model(self) -> str:
        """The name to put in requests: the profile's."""
        return self.profile.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")

    @model_validator(mode="after")
    def _known_faults(self) -> SimulatedServer:
        for name in self.faults:
            if name not in FAULTS:
                hint = did_you_mean(name, FAULTS) or f"; expected {', '.join(FAULTS)}"
                raise mistake(f'no fault "{name}"{hint}', "faults", name)
        total = sum(self.faults.values())
        if total > 1:
            raise mistake(f"expected shares that add up to 1 at most, found {total:g}", "faults")
        return self


ServerSpec = Annotated[LlamaCppServer | OllamaServer | SimulatedServer, Field(discriminator="kind")]
