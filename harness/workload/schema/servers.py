"""The servers of a workload, and what each kind of them can.

Code elsewhere reads what a server says of itself and never asks which kind it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Discriminator, Field, PositiveInt, Tag, model_validator

from harness.core.levers import LEVERS
from harness.errors import did_you_mean
from harness.workload.schema.base import FrozenDict, Seconds, mistake
from harness.workload.schema.server_base import ServerBase, Simulation, same_model

__all__ = [
    "ENGINES",
    "FAULTS",
    "KINDS",
    "EngineServer",
    "FaultName",
    "LlamaCppServer",
    "OllamaServer",
    "OpenAiServer",
    "ServerBase",
    "ServerSpec",
    "SimulatedServer",
    "Simulation",
    "kind_hint",
    "same_model",
]


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

    @property
    def engine_threads(self) -> int | Literal["half"] | None:
        """Engine threads as they are asked for, `half` = of the cores; None = every core."""
        return self.threads

    @property
    def own_threads(self) -> bool:
        """Whether the file sets its threads, or it runs already."""
        return self.running or self.threads is not None

    @property
    def pinned_batch_tokens(self) -> int | None:
        """Prompt tokens of one engine step."""
        return self.batch_tokens

    def halved(self) -> Self:
        """Return it with threads for half of the cores."""
        return self.model_copy(update={"threads": "half"})


class LlamaCppServer(EngineServer):
    """The embedded engine: llama.cpp behind our Ollama-API front, in a process of its own."""

    engine_name = "llama.cpp"
    embedded = True
    pins_output, profile_engine = True, "xllamacpp"

    kind: Literal["llamacpp"]
    model: str = Field(
        default="smollm2-135m",
        description="A built-in model's name, or the path of a GGUF file.",
        examples=["smollm2-135m", "models/mine.gguf"],
    )

    def serves(self, model: str) -> bool:
        """Tell whether it is this one model, or "" (no matter which)."""
        return not model or same_model(model, self.model)


class OllamaServer(EngineServer):
    """Ollama: a running one by `url`, or managed (started with the asked slots, stopped afterwards)."""

    engine_name = "Ollama"
    loads_by_name = loads_as_asked = embeds = True
    too_long = "cuts"
    usual_load_limit = 3  # 3 times the GPUs, and 3 without one
    profile_engine = "ollama"
    levers_by_variable = True
    usual_ram_cache = LEVERS["ram_cache"].usual

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
        description="Managed: models in memory at the same time (OLLAMA_MAX_LOADED_MODELS); left out: all that are "
        "asked for.",
        examples=[1],
    )

    max_queue: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description="The most calls that wait until their model is loaded, behind the first (OLLAMA_MAX_QUEUE); any "
        "more get a 503. Left out: 512.",
        examples=[512],
    )

    @property
    def address(self) -> str | None:
        """Its `url`; None = managed."""
        return self.url

    @property
    def load_limit(self) -> int | None:
        """Its `max_loaded_models`."""
        return self.max_loaded_models

    @property
    def queue_limit(self) -> int | None:
        """Its `max_queue`."""
        return self.max_queue

    @model_validator(mode="after")
    def _managed(self) -> OllamaServer:
        if self.url is not None and self.max_loaded_models is not None:
            raise mistake("`max_loaded_models` is set for a server that is started here, not for a running one (`url`)")
        return self


class OpenAiServer(ServerBase):
    """A running server that speaks OpenAI's API (llama-server, vLLM, LM Studio); it is only used, never changed."""

    engine_name = "OpenAI's API"
    openai_client = True
    slots_set_by = "--parallel of llama-server, --max-num-seqs of vLLM"
    started_with = "llama-server --parallel {slots} --ctx-size {context}, or vllm serve --max-num-seqs {slots}"

    kind: Literal["openai"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+[^\s?#]*$", max_length=2000)] = Field(
        description="Where its API is, usually with /v1 at the end.", examples=["http://127.0.0.1:8000/v1"]
    )
    model: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="Name of a model that it lists under /v1/models.", examples=["Qwen/Qwen3-8B"]
    )
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)] | None = Field(
        default=None,
        description="Name of the environment variable that has the API key; left out: no key is sent.",
        examples=["VLLM_API_KEY"],
    )

    @property
    def address(self) -> str | None:
        """Its `url`: it always runs already."""
        return self.url

    def moved(self, url: str, model: str) -> Self:
        """Return it at another address."""
        return self.model_copy(update={"url": url, "model": model})

    def serves(self, model: str) -> bool:
        """Tell whether it is this one model, or "" (no matter which)."""
        return not model or same_model(model, self.model)


FaultName = Literal["503", "delay", "cut", "malformed", "hang"]
FAULTS: tuple[FaultName, ...] = get_args(FaultName)


class SimulatedServer(ServerBase):
    """A model of a server on the wall clock, behind the same front: what runs against it is emulated, not measured."""

    engine_name = "simulated"
    pins_output = embeds = True

    kind: Literal["simulated"]
    profile: Annotated[str, Field(min_length=1)] = Field(
        description="Name of a profile (profiles/NAME.yaml), or the path of one.", examples=["m1-published"]
    )
    assume: Annotated[Mapping[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]], AfterValidator(FrozenDict)] = (
        Field(
            default_factory=FrozenDict,
            description="Values that the profile lacks, by their key in it.",
            examples=[{"prefill_s_per_token": 0.002}],
        )
    )
    extrapolate: bool = Field(
        default=False,
        description="Extrapolate a number of slots that the profile lacks from the nearest that it has.",
        examples=[True],
    )
    threads: Threads | None = Field(
        default=None,
        description="Which of the profile's servers: `half` of the cores, or the number of threads that they had.",
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
    fault_seed: int = Field(default=0, description="Seed of the faults and of the profile's noise.", examples=[7])
    fault_delay_s: Seconds = Field(default=5.0, description="How long `delay` delays a call.", examples=[5])

    @property
    def model(self) -> str:
        """The name to put in requests: the profile's."""
        return self.profile.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")

    @property
    def simulation(self) -> Simulation:
        """Its profile, and how it is played."""
        return Simulation(self.profile, self.assume, self.extrapolate, self.speed_up)

    @property
    def engine_threads(self) -> int | Literal["half"] | None:
        """Which of the profile's servers it is."""
        return self.threads

    def halved(self) -> Self:
        """Return the profile's server on half of the cores."""
        return self.model_copy(update={"threads": "half"})

    @model_validator(mode="after")
    def _known_faults(self) -> SimulatedServer:
        for name in self.faults:
            if name not in FAULTS:
                hint = did_you_mean(name, FAULTS) or f"; expected {', '.join(FAULTS)}"
                raise mistake(f'no fault "{name}"{hint}', "faults", name)
        if (total := sum(self.faults.values())) > 1:
            raise mistake(f"expected shares that add up to 1 at most, found {total:g}", "faults")
        return self


ServerSpec = Annotated[LlamaCppServer | OllamaServer | OpenAiServer | SimulatedServer, Field(discriminator="kind")]

# By the name in `kind`, and those that can be started here with a number of slots and a model.
KINDS: dict[str, type[LlamaCppServer] | type[OllamaServer] | type[OpenAiServer] | type[SimulatedServer]] = {
    "llamacpp": LlamaCppServer,
    "ollama": OllamaServer,
    "openai": OpenAiServer,
    "simulated": SimulatedServer,
}
# Names of servers that people look for among the kinds.
_OPENAI_SERVERS = {"vllm": "vLLM", "lmstudio": "LM Studio", "lm-studio": "LM Studio", "llama-server": "llama-server"}
ENGINES: dict[str, type[LlamaCppServer] | type[OllamaServer]] = {"llamacpp": LlamaCppServer, "ollama": OllamaServer}


def kind_hint(name: str, kinds: Iterable[str] = ENGINES) -> str:
    """Return what to add where a name is none of `kinds`: how such a server is named, or what is meant; "": nothing."""
    if (server := _OPENAI_SERVERS.get(name.lower())) is not None:
        return f"; {server} is `kind: openai` with `url:`; on the command line --server URL"
    return did_you_mean(name, kinds)
