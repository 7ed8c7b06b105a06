"""What rules a candidate out before anything is simulated: memory, and prompts that do not fit into a slot."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence

from harness.analysis.sweep import Footprint
from harness.core.concurrency import SERIAL
from harness.core.levers import kv_share
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord
from harness.errors import UserError
from harness.measure.footprint import footprint_of_file, model_file
from harness.measure.machine import machine_name
from harness.predict.servers import Given, Profiles
from harness.predict.simulation import predict
from harness.profiles.schema import Profile
from harness.recommend.facts import LimitSource, LongestCall, MemoryNeed, MemorySource, Room
from harness.recommend.levers import without_prompts
from harness.servers.accelerator import accelerators, free_bytes
from harness.servers.gguf import read_gguf
from harness.servers.machine import memory
from harness.units import size
from harness.wording.searches import limit_text
from harness.workload.candidates import most_slots
from harness.workload.load import Loaded
from harness.workload.longest import needs_of
from harness.workload.machines import by_machine
from harness.workload.schema import ServerSpec

__all__ = ["check_one_slot", "header_of", "longest_call", "longest_of", "memory_of", "rooms_of"]

LENGTH_DRAWS = 16  # of a workload, to find its longest call
LENGTH_CALLS = 20_000  # in all of them: about a second


def memory_of(spec: ServerSpec, profile: Profile, limit_bytes: int | None = None) -> MemoryNeed:
    """Return what servers like `spec` take: by the model's own header, else by the profile.

    Args:
        spec: one server of the workload.
        profile: of the machine; says what there is only where that is this machine.
        limit_bytes: what there is, where it is given.
    """
    limit, limit_source = _room(profile, limit_bytes)
    unknown = MemorySource("unknown", profile.name, spec.model)
    need = MemoryNeed(None, None, limit, unknown, limit_source, prompt_cache_bytes=spec.prompt_cache_bytes)
    need = need._replace(running=spec.running, main=_main_memory(profile))
    header = header_of(spec)
    if header is not None and header.kv_bytes_per_token:
        return need._replace(
            weights_bytes=header.weights_bytes,
            token_bytes=header.kv_bytes_per_token * kv_share(spec.levers),
            source=MemorySource("header"),
            kv_type=spec.levers.get("kv_type", need.kv_type),
        )
    known = profile.memory
    if known.model_bytes is not None and known.slot_bytes is not None and known.context_tokens:
        kind = spec.levers.get("kv_type", known.kv_type)
        per_token = known.slot_bytes / known.context_tokens / kv_share({"kv_type": known.kv_type})
        return need._replace(
            weights_bytes=known.model_bytes,
            token_bytes=per_token * kv_share({"kv_type": kind}),
            source=MemorySource("profile", profile.name),
            kv_type=kind,
        )
    return need


def header_of(spec: ServerSpec) -> Footprint | None:
    """Return what a server's model takes by the header of its file; None where no file lies here, or it is none."""
    path = model_file(spec)
    try:
        return None if path is None else footprint_of_file(path)
    except UserError:
        return None  # the server will say what is wrong with it


def _room(profile: Profile, limit_bytes: int | None) -> Room:
    """Return what memory the machine of a profile has: what is given, or what is free where that is this machine.

    Where the profile is of an accelerator it is that one's: what does not fit there is computed on the CPU.
    """
    device = profile.accelerator or ""
    if limit_bytes is not None:
        return Room(limit_bytes, LimitSource("given", accelerator=device))
    if device:
        free = free_bytes(accelerators()) if profile.machine == machine_name() else None
        if free is not None:
            return Room(free, LimitSource("free", accelerator=device))
        there = profile.memory.machine_bytes
        known = LimitSource("unknown" if there is None else "profile", profile.name, accelerator=device)
        return Room(there, known)
    return _main_memory(profile)


def _main_memory(profile: Profile) -> Room:
    """Return what main memory is free, where the machine of a profile is this one."""
    here = memory()
    if profile.machine == machine_name() and here.available_bytes:
        return Room(here.available_bytes, LimitSource("free"))
    if profile.accelerator is None and profile.memory.machine_bytes is not None:
        return Room(profile.memory.machine_bytes, LimitSource("profile", profile.name))
    return Room(None, LimitSource("unknown", profile.name))


def rooms_of(loaded: Loaded, profiles: Profiles, limit_bytes: int | None = None) -> dict[str, Room]:
    """Return what memory each machine has that a server names: what the file says of it, else as for any other.

    Args:
        loaded: the workload.
        profiles: of its machines.
        limit_bytes: what every machine has of which the file does not say it, where it is given.
    """
    rooms: dict[str, Room] = {}
    for machine in by_machine(loaded.known_servers):
        if machine is None:
            continue
        spec = loaded.workload.machines.get(machine)
        told = None if spec is None else spec.memory_bytes
        known = _room(profiles.on(machine).first, limit_bytes)
        rooms[machine] = (
            known
            if told is None
            else Room(
                told, LimitSource("file", machine=machine, accelerator=profiles.on(machine).first.accelerator or "")
            )
        )
    return rooms


def check_one_slot(memory: MemoryNeed, like: ServerSpec, context_tokens: int | None = None) -> None:
    """Raise UserError where there is no room for even one slot, not even of the context that the longest call needs.

    Nor without the RAM cache of prompts, where the file leaves that open.
    """
    context = min(like.context_tokens, context_tokens or like.context_tokens)
    one = like.model_copy(update={"slots": 1, "context_tokens": context})
    if too_much := memory.too_much([one.with_levers(without_prompts(one))]):
        needs, do = ", which the longest call needs", "shorten prompts and answers"
        if context_tokens is None:
            needs, do = "", "give it a smaller context_tokens"
        if memory.asked_tokens is not None:
            needs, do = ", which an agent asks for", "give that agent a smaller num_ctx"
        there = f"{size(too_much.limit_bytes)} {limit_text(too_much.source)}"
        if too_much.prompt_cache_bytes:
            raise UserError(
                f"there is no memory for {like.model} and the {size(too_much.prompt_cache_bytes)} that its engine may "
                f"fill with earlier prompts: {there}; say `levers: {{ram_cache: off}}` of its server, or leave the "
                "lever out"
            )
        raise UserError(
            f"there is no memory for even one slot of {like.model}: it takes {size(memory.needed([one]) or 0)} with a "
            f"context of {context} tokens{needs}, and {there}; {do}, or take a smaller model"
        )


def longest_of(loaded: Loaded, profile: Profile, given: Given = None) -> LongestCall | None:
    """Return the longest call of a workload with one model before anything is searched; None where no context is known.

    How long prompts and answers are is a matter of the draws, not of who runs where: it is predicted on one slot. Where
    sizes vary it is the largest possible call, see `harness.workload.longest`.

    Raises:
        UserError: the profile cannot predict this workload.
    """
    base = most_slots(loaded.servers)
    context = loaded.servers[base].known_context
    if context is None:
        return None
    # In a context without end: what a slot refuses has no length.
    like = loaded.servers[base].model_copy(update={"slots": min(profile.slot_counts), "context_tokens": sys.maxsize})
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
    longest = longest_call(calls, {base: context})
    largest = max((n for n in needs_of(loaded) if n.how_sure != "fixed"), key=lambda need: need.tokens, default=None)
    if largest is not None and (longest is None or largest.tokens > longest.needed):  # no draw was as long
        pipeline, node, prompt, output, how_sure = largest
        longest = LongestCall(pipeline, node, prompt, output, context, how_sure=how_sure)
    return None if longest is None else longest._replace(trained_tokens=_trained_tokens(like))


def _trained_tokens(spec: ServerSpec) -> int | None:
    try:
        path = model_file(spec)
        found = None if path is None else read_gguf(path)
    except UserError:
        return None  # the server will say what is wrong with it
    if found is None:
        return None
    trained = found.metadata.get(f"{found.metadata.get('general.architecture')}.context_length")
    return trained if isinstance(trained, int) and trained > 0 else None


def longest_call(calls: Iterable[CallRecord], contexts: Mapping[str, int | None]) -> LongestCall | None:
    """Return the call that lacks most context or has least left, drawn answers and a conversation's turns included.

    Args:
        calls: predicted.
        contexts: of a slot, by server; None = not known.
    """
    found: LongestCall | None = None
    most = -math.inf
    for call in calls:
        reply, context = call.reply, contexts.get(call.server)
        if reply.prompt_tokens is None or reply.output_tokens is None or context is None:
            continue
        beyond = reply.prompt_tokens + reply.output_tokens - context
        if beyond > most:
            most = beyond
            found = LongestCall(call.pipeline, call.node, reply.prompt_tokens, reply.output_tokens, context)
    return found
