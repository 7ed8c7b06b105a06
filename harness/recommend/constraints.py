"""What rules a candidate out before anything is simulated: memory, and prompts that do not fit into a slot."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.core.concurrency import SERIAL
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord
from harness.errors import UserError
from harness.measure.machine import machine_name
from harness.predict.servers import Given
from harness.predict.simulation import predict
from harness.profiles.schema import Profile
from harness.servers.gguf import read_gguf
from harness.servers.machine import memory
from harness.servers.models import BUILTIN, fetched
from harness.units import size
from harness.workload.candidates import most_slots
from harness.workload.load import Loaded
from harness.workload.schema import ServerSpec

__all__ = ["Longest", "Memory", "check_one_slot", "longest_call", "longest_of", "memory_of"]

SPARE = 1.1  # compute buffers and the process itself, beside weights and cache
PROMPT_MARGIN = 1.1  # predicted prompts are off by up to so much (`text.held_out` of a profile)
CONTEXT_STEP = 256  # tokens
LENGTH_DRAWS = 16  # of a workload, to find its longest call
LENGTH_CALLS = 20_000  # in all of them: about a second


class Memory(NamedTuple):
    """What the servers of a workload take, and what there is. Bytes; None = not known.

    A server takes its weights once and for each slot the KV cache of a whole context; a second server takes its own.
    """

    weights_bytes: int | None
    token_bytes: float | None  # of KV cache, for each token of context
    limit_bytes: int | None
    source: str  # in words, where the first two come from
    limit_source: str
    others: Mapping[str, Memory] = {}  # of servers with another model, by its name

    @property
    def known(self) -> bool:
        """Whether a candidate's memory can be told."""
        return self.weights_bytes is not None and self.token_bytes is not None

    def needed(self, servers: Sequence[ServerSpec]) -> int | None:
        """Return what these servers take together: weights and KV cache, a tenth more for buffers."""
        needed = 0.0
        for spec in servers:
            of = self.others.get(spec.model, self)
            if of.weights_bytes is None or of.token_bytes is None:
                return None
            needed += of.weights_bytes + spec.slots * spec.context_tokens * of.token_bytes
        return round(needed * SPARE)

    def too_much(self, servers: Sequence[ServerSpec]) -> str:
        """Say why these servers do not fit together; "" where they do, or where it is not known."""
        needed = self.needed(servers)
        if needed is None or self.limit_bytes is None or needed <= self.limit_bytes:
            return ""
        return f"more memory than the {size(self.limit_bytes)} that {self.limit_source}"

    def sentence(self) -> str:
        """Say what is known, and where from, of each model where there are several."""
        if self.others:
            return " ".join(f"With {model}: {of.sentence()}" for model, of in self.others.items())
        if self.weights_bytes is None or self.token_bytes is None:
            return f"Memory is not looked at: {self.source}."
        text = (
            f"Memory of a server: {size(self.weights_bytes)} of weights and {size(self.token_bytes)} for each token of "
            f"context of each slot ({self.source}), a tenth more for buffers."
        )
        if self.limit_bytes is None:
            return f"{text} Whether it fits is not looked at: {self.limit_source}."
        return f"{text} It has to fit into the {size(self.limit_bytes)} that {self.limit_source}."


def memory_of(spec: ServerSpec, profile: Profile, limit_bytes: int | None = None) -> Memory:
    """Return what servers like `spec` take: by the model's own header, else by the profile.

    Args:
        spec: one server of the workload.
        profile: of the machine; says what there is only where that is this machine.
        limit_bytes: what there is, where it is given.
    """
    limit, limit_source = limit_bytes, "is given (--memory)"
    if limit is None:
        here = memory()
        if profile.machine == machine_name() and here.available_bytes:
            limit, limit_source = here.available_bytes, "is free on this machine"
        else:
            limit_source = (
                f'how much memory there is on the machine of profile "{profile.name}" is not known (--memory)'
            )
    if (path := _model_file(spec)) is not None:
        try:
            header = read_gguf(path)
        except UserError:
            header = None  # the server will say what is wrong with it
        if header is not None and header.kv_bytes_per_token:
            source = "from the model's header, cache at f16"
            return Memory(header.file_bytes, header.kv_bytes_per_token, limit, source, limit_source)
    known = profile.memory
    if known.model_bytes is not None and known.slot_bytes is not None and known.context_tokens:
        per_token = known.slot_bytes / known.context_tokens
        return Memory(known.model_bytes, per_token, limit, f'from profile "{profile.name}"', limit_source)
    source = f'neither a model file here nor profile "{profile.name}" says what {spec.model} takes'
    return Memory(None, None, limit, source, limit_source)


def check_one_slot(memory: Memory, like: ServerSpec, context_tokens: int | None = None) -> None:
    """Raise UserError where there is no room for even one slot, not even of the context that the longest call needs."""
    context = min(like.context_tokens, context_tokens or like.context_tokens)
    one = like.model_copy(update={"slots": 1, "context_tokens": context})
    if memory.too_much([one]):
        needs, do = ", which the longest call needs", "have shorter prompts and answers"
        if context_tokens is None:
            needs, do = "", "give it a smaller context_tokens"
        raise UserError(
            f"there is no memory for even one slot of {like.model}: it takes {size(memory.needed([one]) or 0)} with a "
            f"context of {context} tokens{needs}, and {size(memory.limit_bytes or 0)} {memory.limit_source}; {do}, or "
            "take a smaller model"
        )


def longest_of(loaded: Loaded, profile: Profile, given: Given = None) -> Longest | None:
    """Return the longest call of a workload with one model before anything is searched.

    How long prompts and answers are is a matter of the draws, not of who runs where: it is predicted on one slot.

    Raises:
        UserError: the profile cannot predict this workload.
    """
    base = most_slots(loaded.servers)
    like = loaded.servers[base].model_copy(update={"slots": min(profile.slot_counts)})
    place = tuple((0,) * len(pipeline.graph.nodes) for pipeline in loaded.pipelines)
    alone = loaded._replace(
        servers={base: like},
        plans=(Plan("longest", (ServerQueue(base, like.slots, SERIAL),), place),),
        derived=(),
        models={base: loaded.models.get(base) or (like.model,)},
    )

    def calls_of(repeats: int) -> Sequence[CallRecord]:
        return predict(alone, profile, repeats=repeats, given=given, extrapolate=True).run.calls

    calls = calls_of(1)
    if (repeats := min(LENGTH_DRAWS, LENGTH_CALLS // max(1, len(calls)))) > 1:
        calls = calls_of(repeats)
    longest = longest_call(calls, {base: like.context_tokens})
    return None if longest is None else longest._replace(trained_tokens=_trained_tokens(like))


def _trained_tokens(spec: ServerSpec) -> int | None:
    try:
        path = _model_file(spec)
        found = None if path is None else read_gguf(path)
    except UserError:
        return None  # the server will say what is wrong with it
    if found is None:
        return None
    trained = found.metadata.get(f"{found.metadata.get('general.architecture')}.context_length")
    return trained if isinstance(trained, int) and trained > 0 else None


def _model_file(spec: ServerSpec) -> Path | None:
    if spec.simulated:
        return None
    if spec.model in BUILTIN:
        return fetched(spec.model)
    path = Path(spec.model).expanduser()
    return path if path.suffix.lower() == ".gguf" and path.is_file() else None


class Longest(NamedTuple):
    """The call that needs most of a slot's context, as far as it can be predicted."""

    pipeline: str
    node: str
    prompt_tokens: int
    output_tokens: int
    context_tokens: int
    trained_tokens: int | None = None  # the most that the model was made for; None = not known

    @property
    def fits(self) -> bool:
        """Whether prompt and answer fit into the context of a slot."""
        return self.prompt_tokens + self.output_tokens <= self.context_tokens

    @property
    def enough(self) -> int:
        """The context that it needs, a tenth more for its prompt, in steps of 256 tokens; no more than there can be."""
        needed = PROMPT_MARGIN * self.prompt_tokens + self.output_tokens
        return min(math.ceil(needed / CONTEXT_STEP) * CONTEXT_STEP, self.trained_tokens or sys.maxsize)

    def sentence(self) -> str:
        """Say what does not fit, and what to do."""
        text = (
            f'A call of "{self.node}" in "{self.pipeline}" needs {self.prompt_tokens} prompt and {self.output_tokens} '
            f"answer tokens, and a slot has {self.context_tokens}: it would be cut or refused."
        )
        if self.trained_tokens is not None and self.prompt_tokens + self.output_tokens > self.trained_tokens:
            return f"{text} The model was trained with {self.trained_tokens}: have shorter prompts or answers."
        return f"{text} Set context_tokens to {self.enough} or more; every slot then takes more memory."

    def room_sentence(self, memory: Memory) -> str:
        """Say what a smaller context would save; "" where this one is needed."""
        saved = (self.context_tokens - self.enough) * (memory.token_bytes or 0.0)
        if self.enough >= self.context_tokens:
            return ""
        needed = self.prompt_tokens + self.output_tokens
        text = (
            f"The longest call needs {needed} of the {self.context_tokens} tokens of a slot: context_tokens "
            f"{self.enough} would do"
        )
        return f"{text}, and take {size(saved)} less for each slot." if saved else f"{text}."


def longest_call(calls: Iterable[CallRecord], contexts: Mapping[str, int]) -> Longest | None:
    """Return the call that lacks most context or has least left, drawn answers and a conversation's turns included.

    Args:
        calls: predicted.
        contexts: of a slot, by server.
    """
    found: Longest | None = None
    most = -math.inf
    for call in calls:
        reply, context = call.reply, contexts.get(call.server)
        if reply.prompt_tokens is None or reply.output_tokens is None or context is None:
            continue
        beyond = reply.prompt_tokens + reply.output_tokens - context
        if beyond > most:
            most = beyond
            found = Longest(call.pipeline, call.node, reply.prompt_tokens, reply.output_tokens, context)
    return found
