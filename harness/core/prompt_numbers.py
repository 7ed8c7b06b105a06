"""The numbers in brackets that prompts begin with: pure functions of what a call is.

A prompt that begins like no other finds nothing in a server's prompt cache, whatever ran before it. Six digits are the
same number of tokens in every call. The same for a run, which sends them, and for a simulation: two numbers that begin
with the same digits have these in common, and a server finds them again.
"""

from __future__ import annotations

import hashlib

from harness.core.draws import integer
from harness.core.events import Call
from harness.core.graph import Pipeline
from harness.core.talks import begins_as

__all__ = ["DIGITS", "own_number", "shared_number"]

DIGITS = 6


def own_number(plan: str, pipeline: Pipeline, call: Call, seed: int, repeat: int) -> str:
    """Return the digits of a call's own number.

    A conversation that may be found again has one in all its turns and passes; every other call one for each attempt.

    Args:
        plan: name of the candidate.
        seed, repeat: keys of the draws.
    """
    node, alike = pipeline.graph.nodes[call.node].name, begins_as(pipeline, call)
    key: tuple[int | str, ...] = (repeat, pipeline.name, call.job, node, call.item, call.iteration, call.attempt)
    if alike is not None:
        key = (repeat, pipeline.name, alike.who, node, call.item, *alike.run, "turns")
    return _digits(integer(10**DIGITS, seed, *key, plan, "prefix"))


def shared_number(plan: str, system: str, seed: int, repeat: int) -> str:
    """Return the digits before a system message that agents share: one for each text, so that no other begins alike."""
    text = hashlib.sha256(system.encode()).hexdigest()
    return _digits(integer(10**DIGITS, seed, repeat, plan, text, "shared prefix"))


def _digits(number: int) -> str:
    return f"{number:0{DIGITS}d}"
