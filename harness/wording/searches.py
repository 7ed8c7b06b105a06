"""A search in words: how it went, what was not looked at, and what memory and context allow."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.context import ABOUT
from harness.recommend.facts import (
    DoNotFit,
    Excluded,
    FixedSlots,
    LessContext,
    LimitSource,
    LongestCall,
    MemoryNeed,
    MemorySource,
    MoreMachines,
    NotInProfile,
    NotTried,
    NoTwoServers,
    OneEach,
    OneServerForBoth,
    OtherModel,
    Room,
    SameMachines,
    SearchSummary,
    ShortContext,
    TooMuch,
)
from harness.units import count, percent, size

__all__ = [
    "excluded_text",
    "excluded_what",
    "excluded_why",
    "limit_text",
    "memory_text",
    "room_text",
    "search_sentences",
    "too_long_text",
]

SURE = 0.005  # a chance below it is written as such


def search_sentences(search: SearchSummary) -> tuple[str, ...]:
    """Say how many were tried, and how sure it is that nothing better was dropped."""
    evaluations = f"{count(search.evaluations, 'evaluation')}, all candidates on the same draws"
    looked_at = count(search.candidates, "candidate")
    if search.interrupted:
        return (f"{looked_at} tried before the interruption ({evaluations}).",)
    first, last = search.rounds[0], search.rounds[-1]
    if search.exhaustive:
        seeds = count(last.seeds, "seed")
        if search.merged:
            return (
                f"All {looked_at} were tried on {count(first.seeds, 'seed')}, and the {search.kept} that differ there "
                f"on {seeds} ({evaluations}); none was dropped.",
                _merged(search),
            )
        return (f"All {looked_at} were tried on {seeds} ({evaluations}); none was dropped.",)
    steps = ", then ".join(f"{step.candidates} on {step.seeds}" for step in search.rounds)
    again = f", and {search.again} of the dropped on more" if search.again else ""
    lines = [f"Candidates by seeds: {steps}{again} ({evaluations})."]
    if search.merged:
        lines.append(_merged(search))
    if search.doubt is not None:
        chance = f"at most {percent(search.doubt)}" if search.doubt >= SURE else f"below {percent(SURE)}"
        dropped = search.candidates - search.merged - search.kept
        lines.append(
            f"The chance that one of the {dropped} dropped is over 5 % faster on a path than the fastest that was "
            f"kept is {chance}, if the profile is right."
        )
    return tuple(lines)


def _merged(search: SearchSummary) -> str:
    """Say how many are not searched by themselves, and how they are made sure of."""
    return (
        f"Merged: {count(search.merged, 'candidate')} that did exactly the same on the first draws as a simpler one, "
        "which stands for them. Those merged with a possible answer were tried on every seed."
    )


def excluded_text(item: Excluded) -> str:
    """Say what was left out, and why, without a full stop."""
    return f"{excluded_what(item)}: {excluded_why(item)}"


def excluded_what(item: Excluded) -> str:
    """Name what was left out."""
    match item:
        case ShortContext(context_tokens):
            where = f" with {item.model}" if item.model else ""
            return f"slots of {context_tokens} tokens{where}, as in the file"
        case LessContext():
            return f"slots of {item.context_tokens} tokens in {count(item.candidates, 'candidate')}"
        case DoNotFit(number, what):
            return count(number, "candidate") if what == "candidate" else count(number, "pair of servers")
        case NoTwoServers("loads"):
            return "two servers side by side of which one loads a model again"
        case NoTwoServers():
            return "two servers side by side"
        case FixedSlots(slots):
            return f"other numbers of slots than {slots}"
        case NotTried(levers):
            return f"the {'lever' if len(levers) == 1 else 'levers'} {', '.join(levers)}"
        case NotInProfile(slots):
            return f"{', '.join(map(str, slots))} slots"
        case OneServerForBoth():
            return "both models on one server"
        case OneEach():
            return "two servers on one machine"
        case SameMachines(machines):
            return f"one server alone on {', '.join(machines)}"
        case OtherModel(machines) | MoreMachines(machines):
            return ", ".join(machines)
        case _:
            return "two servers with different scheduling"


def excluded_why(item: Excluded) -> str:
    """Say why it was left out."""
    match item:
        case ShortContext(_, enough):
            return f"too short for the longest call; all have {enough}"
        case LessContext(_, enough, _, why):
            return f"{_too_much(why)}; they have {enough}, enough for the longest call"
        case DoNotFit(_, _, why):
            return _too_much(why)
        case NoTwoServers("contention", profile):
            return f'profile "{profile}" does not say how two busy servers slow each other'
        case NoTwoServers("embedding"):
            return "how three models on one machine slow each other is not known, and each server would embed too"
        case NoTwoServers("loads"):
            return "what a load does to the other server is not known; give the agents of a model one num_ctx"
        case NoTwoServers():
            return "the server sets its own threads, and the profile has two servers with half of the cores each"
        case FixedSlots():
            return "a running server has the slots it has"
        case NotInProfile(_, profile):
            return f'not in profile "{profile}" (--extrapolate tries them)'
        case NotTried(levers, profile):
            them = _them(levers)
            return (
                f'not in profile "{profile}", so nothing can be said of {them}; try {them}: '
                f"`levers: {{{levers[0]}: ...}}` of a server, and slotwise run (docs/reference/levers.md)"
            )
        case OneServerForBoth():
            return "name it in `compare` (max_loaded_models)"
        case OneEach(machines):
            return f"each of {', '.join(machines)} has one; name others in `compare`"
        case SameMachines(machines, like):
            return f"{'it is' if len(machines) == 1 else 'they are'} like {like}, which stands for {_them(machines)}"
        case MoreMachines():
            return "each of the two models has one server; name others in `compare`"
        case OtherModel(machines, model):
            return f"they have no server with {model}"
        case _:
            return "both have the same scheduling, or one of them first come, first served"


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _too_much(why: TooMuch) -> str:
    beyond = f"more memory than the {size(why.limit_bytes)} that {limit_text(why.source)}"
    if why.prompt_cache_bytes:
        return (
            f"{beyond}, with the {size(why.prompt_cache_bytes)} that engines may fill with earlier prompts "
            "(`levers: {ram_cache: off}` does without)"
        )
    layers = "; layers would be computed on the CPU, which is many times slower" if why.source.accelerator else ""
    return f"{beyond}{layers}"


def limit_text(source: LimitSource) -> str:
    """Say where it is known from how much memory there is: the end of a sentence about it."""
    match source.kind:
        case "given":
            return "is given (--memory)"
        case "free":
            return f"is free on {source.accelerator or 'this machine'}"
        case "file":
            return f"{source.machine} has"
        case "profile":
            return f'the machine of profile "{source.profile}" has'
        case _:
            return f'how much memory there is on the machine of profile "{source.profile}" is not known (--memory)'


def memory_text(need: MemoryNeed, longest: LongestCall | None) -> str:
    """Say what servers take and what there is, of each model, and what slots of less context would save."""
    texts = (_need(need), _beside(need), _prompt_cache(need), room_text(longest, need) if longest else "")
    return " ".join(filter(None, texts))


def _beside(need: MemoryNeed) -> str:
    """Say what a second server leaves of an accelerator's memory; "" where that is no accelerator, or not known."""
    left, first = need.left_beside(2), need.left_beside(1)
    if not need.limit_source.accelerator or need.rooms or left is None or first is None:
        return ""
    second = f"and {size(left)} beside those of two" if left else "and there is no room for a second server"
    return (
        f"The context of all slots has {size(first)} of {need.limit_source.accelerator} beside the weights of one "
        f"server, {second}. What does not fit is computed on the CPU."
    )


def _prompt_cache(need: MemoryNeed) -> str:
    """Say what engines may fill with earlier prompts, and whether that is counted."""
    if not need.prompt_cache_bytes:
        return ""
    said = (
        f"Besides, the engine of each server keeps up to {size(need.prompt_cache_bytes)} of earlier prompts in main "
        "memory (LLAMA_ARG_CACHE_RAM=0 turns that off)"
    )
    if need.running:
        return f"{said}."
    main = need.main if need.limit_source.accelerator else Room(need.limit_bytes, need.limit_source)
    if need.rooms:
        return f"{said}, which is counted where the main memory of its machine is known."
    if main.limit_bytes is None:
        return f"{said}; whether there is room for that is not checked."
    there = f", of which {size(main.limit_bytes)} {limit_text(main.source)}" if need.limit_source.accelerator else ""
    return f"{said}{there}: candidates without room for that are left out, or tried with `ram_cache: off`."


def _need(need: MemoryNeed) -> str:
    if need.others:
        return " ".join(f"With {model}: {_need(one)}" for model, one in need.others.items())
    if need.weights_bytes is None or need.token_bytes is None:
        return f"Memory is not checked: {_source(need.source)}."
    text = (
        f"Memory of a server: {size(need.weights_bytes)} of weights and {size(need.token_bytes)} for each token of "
        f"context of each slot ({_source(need.source, need.kv_type)}), plus a tenth for buffers."
    )
    if need.asked_tokens is not None:
        text += f" Where an agent asks for a context (num_ctx, {need.asked_tokens} tokens at most), that one counts."
    if need.rooms:
        return " ".join((text, *(_room(machine, room) for machine, room in need.rooms.items())))
    if need.limit_bytes is None:
        return f"{text} Whether it fits is not checked: {limit_text(need.limit_source)}."
    return f"{text} It has to fit into the {size(need.limit_bytes)} that {limit_text(need.limit_source)}."


def _room(machine: str, room: Room) -> str:
    """Say what the servers on one machine have to fit into."""
    if room.limit_bytes is None:
        return f"Whether it fits on {machine} is not checked: {limit_text(room.source)}."
    return f"On {machine} it has to fit into the {size(room.limit_bytes)} that {limit_text(room.source)}."


def _source(source: MemorySource, kv_type: str = "f16") -> str:
    match source.kind:
        case "header":
            return f"from the model's header, cache at {kv_type}"
        case "profile":
            return f'from profile "{source.profile}"'
        case _:
            return f'neither a model file here nor profile "{source.profile}" says what {source.model} takes'


def room_text(longest: LongestCall, need: MemoryNeed) -> str:
    """Say what a smaller context would save; "" where this one is needed."""
    saved = (longest.context_tokens - longest.enough) * (need.token_bytes or 0.0)
    if longest.enough >= longest.context_tokens:
        return ""
    text = (
        f"The longest call needs {_about(longest)}{longest.needed} of the {longest.context_tokens} tokens of a slot: "
        f"context_tokens {longest.enough} is enough"
    )
    return f"{text}, and saves {size(saved)} per slot." if saved else f"{text}."


def _about(call: LongestCall) -> str:
    return "" if call.how_sure == "fixed" else f"{ABOUT[call.how_sure]} "


def too_long_text(call: LongestCall) -> str:
    """Say that a call does not fit into a slot, and what to do."""
    text = (
        f'A call of "{call.node}" in "{call.pipeline}" needs {_about(call)}{call.prompt_tokens} prompt and '
        f"{call.output_tokens} answer tokens, and a slot has {call.context_tokens}: it would be truncated or refused."
    )
    if call.trained_tokens is not None and call.needed > call.trained_tokens:
        return f"{text} The model was trained with {call.trained_tokens}: shorten the prompts or answers."
    return f"{text} Set context_tokens to {call.enough} or more; every slot then takes more memory."
