"""What rules a candidate out before anything is simulated: memory, and prompts that do not fit into a slot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.core.records import CallRecord
from harness.errors import UserError
from harness.measure.machine import machine_name
from harness.profiles.schema import Profile
from harness.servers.gguf import read_gguf
from harness.servers.machine import memory
from harness.servers.models import BUILTIN, fetched
from harness.units import size
from harness.workload.schema import LlamaCppServer, OllamaServer, ServerSpec, SimulatedServer

__all__ = ["Longest", "Memory", "check_one_slot", "longest_call", "memory_of"]

SPARE = 1.1  # compute buffers and the process itself, beside weights and cache


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


def check_one_slot(memory: Memory, like: ServerSpec) -> None:
    """Raise UserError where there is no room for even one slot."""
    one = like.model_copy(update={"slots": 1})
    if memory.too_much([one]):
        raise UserError(
            f"there is no memory for even one slot of {like.model}: it takes {size(memory.needed([one]) or 0)} with a "
            f"context of {like.context_tokens} tokens, and {size(memory.limit_bytes or 0)} {memory.limit_source}; give "
            "it a smaller context_tokens, or take a smaller model"
        )


def _model_file(spec: ServerSpec) -> Path | None:
    if isinstance(spec, SimulatedServer) or not isinstance(spec, LlamaCppServer | OllamaServer):
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

    @property
    def fits(self) -> bool:
        """Whether prompt and answer fit into the context of a slot."""
        return self.prompt_tokens + self.output_tokens <= self.context_tokens

    @property
    def enough(self) -> int:
        """The context that it needs, in steps of 256 tokens."""
        return -(-(self.prompt_tokens + self.output_tokens) // 256) * 256

    def sentence(self) -> str:
        """Say what does not fit, and what to do."""
        return (
            f'A call of "{self.node}" in "{self.pipeline}" needs {self.prompt_tokens} prompt and {self.output_tokens} '
            f"answer tokens, and a slot has {self.context_tokens}: it would be cut or refused. Set context_tokens to "
            f"{self.enough} or more; every slot then takes more memory."
        )

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
    """Return the call that needs most context, drawn answers and the turns of a conversation included.

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
