"""Loads that agents cause by what they ask an Ollama for, in words: how many, what they cost, what to do."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.reloads import Reloads
from harness.units import count, seconds
from harness.wording.figures import listed

__all__ = ["reloads_texts"]


def reloads_texts(found: Sequence[Reloads]) -> tuple[str, ...]:
    """Say for each model and reason what it costs under one candidate, in a sentence each."""
    several = len({(one.server, one.model) for one in found}) > 1
    return tuple(_text(one, f" on {one.server}" if several else "") for one in found)


def _text(one: Reloads, on: str) -> str:
    if one.reason == "num_ctx":
        contexts = listed(tuple("the server's own" if tokens is None else str(tokens) for tokens in one.contexts))
        why = f"Agents ask {one.model} for {contexts} tokens of context, so Ollama loads it{on}"
        known = all(tokens is not None for tokens in one.contexts)
        what = f"num_ctx {one.contexts[-1]}" if known else "one num_ctx"
        todo = f"give all of them {what}, and it is loaded once"
    else:
        why = f"A keep_alive of agents has {one.model} leave, so Ollama loads it again{on}"
        todo = "leave it out, and set OLLAMA_KEEP_ALIVE"
    times = count(round(one.loads), "time") if one.loads == round(one.loads) else f"{one.loads:.3g} times"
    return f"{why} {times} a repeat, {_cost(one)}: {todo}."


def _cost(one: Reloads) -> str:
    """Say how much of it lies on the paths of jobs, or how long calls waited where that is not known."""
    if not one.paths:
        return f"{seconds(one.total_s)} in all"
    on = [(pipeline, path_s) for pipeline, path_s in one.paths if path_s > 0]
    if not on:
        return "none of it on the path of a job"
    return listed(tuple(f"{seconds(path_s)} on the path of a job of {pipeline}" for pipeline, path_s in on))
