"""The profile file as pydantic models: one machine with one engine and one model, as numbers.

Unknown values are null. `assume` says what a simulation has to take for them; nothing is guessed silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator
from pydantic_core import PydanticCustomError

from harness.core.embedding import EmbeddingCosts
from harness.workload.prompts import Wording
from harness.workload.schema import FrozenDict

__all__ = [
    "DRIFT_BOUND",
    "FITTED",
    "TABLES",
    "Embedding",
    "HeldOut",
    "MemoryUse",
    "Profile",
    "Row",
    "SlotSetting",
    "TextTokens",
    "rounded",
]

# A step of a minute is no step: most likely milliseconds.
StepSeconds = Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)]
Cost = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Stretch = Annotated[float, Field(ge=0.5, le=100, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
V = TypeVar("V")
DRIFT_BOUND = 0.05  # beyond it the profile, the terminal and every prediction say so
# Fitted values besides the step times; the overhead is that of `before_s` and `after_s` together.
FITTED = (
    "prefill_s_per_token",
    "prompt_step_s",
    "prompt_context_s",
    "context_s_per_token",
    "mixed_factor",
    "overhead_s",
    "save_s",
    "save_s_per_token",
    "handover_s",
    "tokenize_s_per_token",
)
TABLES = ("step_s", "changed_s", "settle_s")  # fitted values by a number, as step_s.4
ByName = Annotated[Mapping[str, V], AfterValidator(FrozenDict)]
ByNumber = Annotated[Mapping[str, V], AfterValidator(FrozenDict)]  # keys are whole numbers, checked below


def rounded(value: float, digits: int = 6) -> float:
    """Return a number as a profile keeps it: to this many significant digits."""
    return float(f"{value:.{digits}g}")


def _mistake(message: str, *at: str) -> PydanticCustomError:
    """Make an error that `harness.workload.mistakes` points at the key `at` below the model that raised it."""
    return PydanticCustomError("mistake", "{message}", {"message": message, "at": at})


def _check_numbers(name: str, keys: Iterable[str], what: str, *, least: int = 1) -> None:
    for key in keys:
        if not key.isdecimal() or int(key) < least or key != str(int(key)):
            raise _mistake(f'expected {what}, {least} or more, found "{key}"', name, key)


class ProfilePart(BaseModel):
    """Base of everything in a profile: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HeldOut(ProfilePart):
    """The error on calls that were not fitted: |predicted / measured - 1|."""

    calls: PositiveInt
    median_error: Ratio
    worst_error: Ratio


class SlotSetting(ProfilePart):
    """What a server with this many slots costs.

    Every slot count is measured by itself; what a single call costs is shared where it does not differ (`one_call.py`).
    """

    step_s: ByNumber[StepSeconds] = Field(
        description="Seconds of a step by how many slots generate; from 1 to all of them, others are interpolated."
    )
    prefill_s_per_token: Cost | None = Field(description="Seconds per prompt token.")
    prefill_table_s: ByNumber[Cost] | None = Field(
        default=None, description="Instead: seconds that a number of prompt tokens adds to one step."
    )
    prompt_step_s: Cost = Field(default=0.0, description="Fixed cost of a step that has prompt tokens only.")
    prompt_context_s: Cost = Field(
        default=0.0, description="Seconds per prompt token and per token before it in its own prompt."
    )
    prefill_batch_tokens: PositiveInt | None = Field(description="Tokens in one step at most (n_batch).")
    context_s_per_token: Cost | None = Field(
        description="Seconds that each token of context, of all generating slots, adds to a step."
    )
    mixed_factor: Ratio | None = Field(
        default=None, description="Factor on the cost of prompt tokens in a step in which others generate."
    )
    before_s: Cost | None = Field(description="Overhead of a call from sending until it stands in the queue.")
    after_s: Cost | None = Field(description="Overhead from a token's end of step until the client has it.")
    gap_s: Cost | None = Field(
        default=None, description="Seconds between two calls in the queue that the client started at one instant."
    )
    handover_s: Cost = Field(
        default=0.0, description="Seconds from a free slot until a call that waited for it is there."
    )
    tokenize_s_per_token: Cost = Field(
        default=0.0, description="Seconds per prompt token between the queue and the slot, while others go on."
    )
    changed_s: ByNumber[Cost] | None = Field(
        default=None,
        description="Where passes of a step differ: what a pass costs more whose shape is not that of the one "
        "before, by its sequences; with more than the last, the same.",
    )
    settle_s: ByNumber[Cost] | None = Field(
        default=None, description="With `changed_s`: what a pass costs more whose shape is repeated for the first time."
    )
    kv_unified: bool = Field(default=False, description="Whether slots share one KV cache, and so all a pass.")
    save_s: Cost | None = Field(
        default=None, description="Seconds to save one slot's content in the RAM cache, besides its tokens."
    )
    save_s_per_token: Cost | None = Field(
        default=None, description="Seconds per token of it; null = no RAM cache, or it costs nothing."
    )
    ram_cache_tokens: PositiveInt | None = Field(default=None, description="Tokens that the RAM cache holds.")
    noise: Ratio | None = Field(default=None, description="Relative standard deviation of a segment's cost.")
    threads: PositiveInt | None = Field(default=None, description="Engine threads that it was measured with.")
    standard_error: ByName[Ratio] = Field(
        default=FrozenDict(), description="Relative standard error of each fitted value; step times as step_s.4."
    )
    replicates: ByName[tuple[Cost, ...]] = Field(
        default=FrozenDict(),
        description="Each fitted value under the 1st, 2nd, ... resampled calibration; one place, one calibration.",
    )
    drift: Annotated[float, Field(gt=-1, allow_inf_nan=False)] | None = Field(
        default=None, description="Relative change of one and the same call between begin and end of the calibration."
    )
    held_out: HeldOut | None = None

    @model_validator(mode="after")
    def _tables(self) -> SlotSetting:
        _check_numbers("step_s", self.step_s, "a number of generating slots")
        if "1" not in self.step_s:
            raise _mistake("the step time of 1 generating slot is missing", "step_s")
        if self.prefill_table_s is not None:
            if self.prefill_s_per_token is not None:
                raise _mistake("expected one of `prefill_s_per_token` and `prefill_table_s`", "prefill_table_s")
            if not self.prefill_table_s:
                raise _mistake("expected at least one number of prompt tokens", "prefill_table_s")
            _check_numbers("prefill_table_s", self.prefill_table_s, "a number of prompt tokens")
        if (self.changed_s is None) != (self.settle_s is None):
            raise _mistake("expected `changed_s` and `settle_s` together", "changed_s")
        for name, table in (("changed_s", self.changed_s), ("settle_s", self.settle_s)):
            if table is not None:
                _check_numbers(name, table, "a number of sequences")
                if "1" not in table:
                    raise _mistake("the cost of 1 sequence is missing", name)
        self._check_replicates()
        return self

    def _check_replicates(self) -> None:
        tables = {"step_s": self.step_s, "changed_s": self.changed_s or {}, "settle_s": self.settle_s or {}}
        known = [*(f"{name}.{n}" for name, table in tables.items() for n in table), *FITTED]
        lengths = {len(values) for values in self.replicates.values()}
        for name, values in self.replicates.items():
            if name not in known:
                raise _mistake(f'no fitted value "{name}"; expected one of {", ".join(known)}', "replicates", name)
            if len(values) != max(lengths):
                message = f"expected {max(lengths)} values as the others have, found {len(values)}"
                raise _mistake(message, "replicates", name)


class MemoryUse(ProfilePart):
    """What a server takes, where it is known."""

    model_bytes: NonNegativeInt | None = Field(
        default=None,
        description="Of its file, so the weights; else what its server says it takes, less the cache of all slots.",
    )
    slot_bytes: NonNegativeInt | None = Field(default=None, description="Of each slot, at `context_tokens`.")
    context_tokens: PositiveInt | None = None
    kv_type: Literal["f16", "q8_0", "q4_0"] = Field(default="f16", description="Number format of the cache in a slot.")
    machine_bytes: NonNegativeInt | None = Field(
        default=None, description="That the machine has for models and their caches; null = not known."
    )


class TextTokens(ProfilePart):
    """How many tokens of its model a prompt has, by its text. Counted by the server, whatever its speed."""

    tokens_per_piece: Ratio = Field(description="Of a word, a digit, a punctuation mark or a line break.")
    tokens_per_long_letter: Ratio = Field(description="Besides, of each letter of a word from the seventh on.")
    template_tokens: Ratio = Field(
        description="Of the chat template and the number in brackets that begins each prompt, without system message."
    )
    system_template_tokens: Ratio = Field(description="The same of a call with a system message.")
    turn_template_tokens: Ratio | None = Field(
        default=None,
        description="Of the chat template around a question and its answer, for each turn before in a conversation.",
    )
    opening_tokens: Ratio | None = Field(
        default=None,
        description="That every prompt without a system message begins with: of the chat template, and the bracket "
        "before the number. A server finds them again in any slot.",
    )
    system_opening_tokens: Ratio | None = Field(default=None, description="The same of calls with a system message.")
    digit_tokens: tuple[NonNegativeInt, ...] | None = Field(
        default=None,
        description="That two prompts have in common beyond these where their numbers begin with the same digit, with "
        "the same two, and so on.",
    )
    shared_tokens: Ratio | None = Field(
        default=None,
        description="Beside the text of a system message that agents share: what two prompts with it have in common, "
        "up to the bracket before their own numbers.",
    )
    made_up_tokens_per_piece: Ratio | None = Field(
        default=None, description="Of each word and stop of the texts that Slotwise makes up; left out: as of any text."
    )
    held_out: HeldOut = Field(description="The error on each of the texts, fitted on the others.")

    def made_up(self, pieces: int) -> float:
        """Return about how many tokens a made-up text has."""
        rate = self.made_up_tokens_per_piece
        return (self.tokens_per_piece if rate is None else rate) * pieces

    def count(self, text: str) -> float:
        """Return about how many tokens a text has, the template apart."""
        return self.worded(Wording.of(text))

    def worded(self, wording: Wording) -> float:
        """Return about how many tokens a text of that wording has."""
        return self.tokens_per_piece * wording.pieces + self.tokens_per_long_letter * wording.long_letters

    @property
    def of_turn(self) -> float:
        """Tokens that the template adds for each turn before: headers and ends of two messages.

        Not counted, it is taken to be what the template adds to a system message and a question, without the number.
        """
        if self.turn_template_tokens is not None:
            return self.turn_template_tokens
        return max(0.0, min(self.template_tokens, self.system_template_tokens) - self.count("[000000]"))


class Embedding(ProfilePart):
    """What embedding texts costs on this machine and engine, with a model of its own."""

    model: Text = Field(description="The embedding model, as a workload names it.")
    half: bool = Field(default=False, description="On a server with half of the cores (`threads: half`).")
    request_s: Cost = Field(description="Seconds of a request besides its texts, while others are embedded.")
    text_s: Cost = Field(description="Seconds of each text; they are embedded one after the other.")
    token_s: Cost = Field(description="Seconds of each token of a text.")
    stretch: Stretch = Field(
        description="Factor on every step, of both, while this model embeds and the profile's model answers."
    )
    load_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] | None = Field(
        default=None, description="Seconds to load it where it is not in memory; null = not known."
    )
    text: TextTokens | None = Field(default=None, description="Its tokens of a text; null = four characters are taken.")
    standard_error: ByName[Ratio] = Field(default=FrozenDict(), description="Relative standard error of each value.")
    held_out: HeldOut | None = Field(default=None, description="The error on requests that were not fitted.")

    @property
    def costs(self) -> EmbeddingCosts:
        """What a request costs."""
        return EmbeddingCosts(self.request_s, self.text_s, self.token_s)


class Row(ProfilePart):
    """One observation: equal calls sent at once, and the time until the last had ended."""

    slots: PositiveInt
    concurrent: PositiveInt
    prompt_tokens: PositiveInt | None
    output_tokens: PositiveInt
    wall_s: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    fitted: bool = Field(description="Whether this profile was fitted on it; the others test it.")
    half: bool = Field(default=False, description="On a server with half of the cores.")
    repetitions: PositiveInt | None = Field(default=None, description="`wall_s` is the median of this many.")


class Profile(ProfilePart):
    """A profile of one machine, engine and model."""

    version: Literal[1] = Field(description="Version of this format.")
    name: Text = Field(description="As in `--profile NAME`.")
    origin: Literal["measured", "estimated", "published", "assumed"] = Field(description="Where the numbers come from.")
    source: Text = Field(description="Who measured, how, and what was fitted.")
    date: Text | None = Field(description="When it was measured.")
    machine: Text = Field(description="The machine.")
    accelerator: Text | None = Field(
        default=None,
        description="What the model is on, where that is no processor: a GPU has no half of the cores; null = none.",
    )
    engine: Text = Field(description="The engine and its version.")
    model: Text = Field(description="The model that was served.")
    model_id: Text | None = Field(
        default=None,
        description="The same to be compared: a built-in model's name, or a file's or Ollama's in lower case.",
    )
    slots: ByNumber[SlotSetting] = Field(
        description="By the number of slots that the server was started with; it has the machine's cores to itself."
    )
    half: ByNumber[SlotSetting] | None = Field(
        default=None, description="The same for servers with half of the cores (`threads: half`)."
    )
    contention: ByNumber[Stretch] | None = Field(
        description="Factor on every step by how many servers on the machine are busy, from 2; null = not known. "
        "Where there are `half` settings it is theirs."
    )
    contention_replicates: ByNumber[tuple[Stretch, ...]] | None = Field(
        default=None, description="The same under the 1st, 2nd, ... resampled calibration of every setting."
    )
    in_turns: bool = Field(
        default=False, description="Whether all settings were measured in turns, so that a drift hit all of them alike."
    )
    load_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] | None = Field(
        default=None, description="Seconds to load the model where it is not in memory; null = not known."
    )
    embedding: Embedding | None = Field(
        default=None, description="What embedding costs, measured with `calibrate --embed MODEL`; null = not known."
    )
    memory: MemoryUse = MemoryUse()
    text: TextTokens | None = Field(default=None, description="Tokens of prompts; null = four characters are taken.")
    held_out: HeldOut | None = None
    notes: tuple[Text, ...] = Field(default=(), description="Notes on its numbers, such as drift.")
    rows: tuple[Row, ...] = ()

    @model_validator(mode="after")
    def _settings(self) -> Profile:
        if not self.slots:
            raise _mistake("expected at least one slot setting", "slots")
        for family, settings in (("slots", self.slots), ("half", self.half or {})):
            _check_numbers(family, settings, "a number of slots")
            for slots, setting in settings.items():
                beyond = [key for key in setting.step_s if int(key) > int(slots)]
                if beyond:
                    message = f"a server with {slots} slots has no step with {beyond[0]}"
                    raise _mistake(message, family, slots, "step_s")
                if slots not in setting.step_s:
                    message = f"the step time of all {slots} generating slots is missing"
                    raise _mistake(message, family, slots, "step_s")
                batch = setting.prefill_batch_tokens
                if batch is not None and batch <= int(slots):
                    message = f"expected more tokens than the {slots} slots, found {batch}"
                    raise _mistake(message, family, slots, "prefill_batch_tokens")
        if self.contention is not None:
            _check_numbers("contention", self.contention, "a number of busy servers", least=2)
        for busy in self.contention_replicates or {}:
            if busy not in (self.contention or {}):
                raise _mistake(f"there is no contention of {busy} servers", "contention_replicates", busy)
        return self

    @property
    def slot_counts(self) -> tuple[int, ...]:
        """The slot settings that it knows, rising."""
        return tuple(sorted(int(key) for key in self.slots))

    def family(self, threads: int | Literal["half"] | None) -> Mapping[str, SlotSetting]:
        """Return the settings of servers with this many threads (as in a workload); empty where it has none.

        On an accelerator threads change nothing.
        """
        half = self.half or {}
        if threads is None or (self.accelerator is not None and self.half is None):
            return self.slots
        if threads == "half":
            return half
        for family in (self.slots, half):
            if any(setting.threads == threads for setting in family.values()):
                return family
        return {}
