"""What every kind of server has, and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field, PositiveInt, model_validator

from harness.core.context import TooLong
from harness.core.levers import RAM_CACHE_BYTES
from harness.workload.schema.base import FrozenDict, Name, PositiveSeconds, Spec
from harness.workload.schema.levers import LeverTable, check_levers

__all__ = ["ServerBase", "Simulation", "same_model"]


def same_model(one: str, other: str) -> bool:
    """Tell whether two names mean the same model; Ollama's `:latest` may be left out."""
    return one.removesuffix(":latest") == other.removesuffix(":latest")


class Simulation(NamedTuple):
    """What a simulated server has in place of an engine."""

    profile: str  # name or path
    assume: Mapping[str, float]  # what the profile does not know, by its key there
    extrapolate: bool  # derive numbers of slots that the profile lacks
    speed_up: float  # all times are divided by this


class ServerBase(Spec):
    """What every kind of server has, and what it says of itself.

    A kind adds `kind` (its name) and `model` (what calls to it name), and overrides what is different with it.
    """

    engine_name: ClassVar[str] = ""
    """What computes there, as people call it."""

    embedded: ClassVar[bool] = False
    """It is part of Slotwise, so what is deployed in the end is another engine."""

    loads_by_name: ClassVar[bool] = False
    """It has models of its own and loads each when a call names it, so one server can serve several."""

    loads_as_asked: ClassVar[bool] = False
    """A call that asks for another context makes it load the model again, and calls say how long a model is kept."""

    embeds: ClassVar[bool] = False
    """It turns texts into vectors, with embedding models beside the one that answers."""

    usual_load_limit: ClassVar[int | None] = None
    """The most models that a running one is taken to keep in memory; None = all that are asked for."""

    pins_output: ClassVar[bool] = False
    """It goes on to the asked length of an answer where the model would stop before."""

    profile_engine: ClassVar[str | None] = None
    """What `engine` begins with in a profile that was measured on it, in lower case; None = not known."""

    usual_ram_cache: ClassVar[str] = "off"
    """Whether its engine keeps earlier prompts in main memory unless a lever says it."""

    too_long: ClassVar[TooLong] = "refuses"
    """What it does with a prompt that does not fit into a slot."""

    levers_by_variable: ClassVar[bool] = False
    """Its levers are environment variables, so that one without has none there."""

    slots_set_by: ClassVar[str] = ""
    """What sets its number of slots, where that is not Ollama's variable: it is none that Ollama's settings are for."""

    started_with: ClassVar[str] = ""
    """How it is started with `{slots}` slots and `{context}` tokens of context over all of them, for a comment."""

    openai_client: ClassVar[bool] = False
    """A program calls it with a client of OpenAI's API; else with one of Ollama's."""

    slots: PositiveInt = Field(default=1, le=64, description="Calls that it serves at the same time.", examples=[4])
    context_tokens: PositiveInt = Field(
        default=2048, ge=256, le=10_000_000, description="Context of one slot, in tokens.", examples=[4096]
    )
    starts_per_s: PositiveSeconds | None = Field(
        default=None, description="Most requests started per second.", examples=[5]
    )
    machine: Name | None = Field(
        default=None,
        description="The machine, or the GPU, that it stands on; servers on different ones do not slow each other. "
        "Left out: one machine for all that name none.",
        examples=["gpu0"],
    )

    levers: LeverTable = Field(
        default_factory=FrozenDict,
        description="Settings of its engine, where it is started here (docs/reference/levers.md); default: its own.",
        examples=[{"ram_cache": "off"}],
    )

    @property
    def address(self) -> str | None:
        """URL of a server that runs already; None = started here, and stopped afterwards."""
        return None

    @property
    def running(self) -> bool:
        """Whether it runs already: it is asked and measured, and nothing about it can be changed."""
        return self.address is not None

    @property
    def known_context(self) -> int | None:
        """Its `context_tokens`; None = it runs already, with a context of its own that the file does not tell."""
        told = not self.running or "context_tokens" in self.model_fields_set
        return self.context_tokens if told else None

    def context_for(self, num_ctx: int | None) -> int | None:
        """Return the context of a slot for calls that ask for so many tokens, or for none; None = not known."""
        return num_ctx if num_ctx is not None and self.loads_as_asked else self.known_context

    @property
    def resizable(self) -> bool:
        """Whether the number of its slots can be chosen."""
        return not self.running

    @property
    def queue_limit(self) -> int | None:
        """The most calls that wait until their model is loaded, behind the first; None = its usual number."""
        return None

    @property
    def simulation(self) -> Simulation | None:
        """What it has in place of an engine; None = an engine."""
        return None

    @property
    def simulated(self) -> bool:
        """Whether nothing is computed there, so that what is timed is emulated and not measured."""
        return self.simulation is not None

    @property
    def engine_threads(self) -> int | Literal["half"] | None:
        """Engine threads as they are asked for, `half` = of the cores; None = not said."""
        return None

    @property
    def own_threads(self) -> bool:
        """Whether its threads are its own affair: no candidate that is derived may change them."""
        return True

    @property
    def pinned_batch_tokens(self) -> int | None:
        """Prompt tokens of one engine step, where they are pinned; None = the engine chooses."""
        return None

    @property
    def load_limit(self) -> int | None:
        """The most models in its memory at the same time, as it is set; None = not said."""
        return None

    @property
    def prompt_cache_bytes(self) -> int:
        """Main memory that its engine may fill with earlier prompts, beside weights and slots."""
        kept = self.levers.get("ram_cache", self.usual_ram_cache) == "on" and not self.simulated
        return RAM_CACHE_BYTES if kept else 0

    def serves(self, model: str) -> bool:
        """Tell whether it may answer calls that name this model; what it really has is seen when it is started."""
        return True

    def moved(self, url: str, model: str) -> Self | None:
        """Return it at another address, where it stays what it is; None: what is there is an Ollama."""
        return None

    def with_slots(self, slots: int) -> Self:
        """Return it with another number of slots."""
        return self.model_copy(update={"slots": slots})

    def with_levers(self, levers: Mapping[str, str]) -> Self:
        """Return it with these levers besides its own."""
        return self.model_copy(update={"levers": FrozenDict({**self.levers, **levers})})

    def halved(self) -> Self:
        """Return it for half of the cores; itself where it does not compute on cores."""
        return self

    @model_validator(mode="after")
    def _can_have_levers(self) -> Self:
        check_levers(self.levers, self.running, self.levers_by_variable, self.pinned_batch_tokens)
        return self
