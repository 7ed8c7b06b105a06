"""Arrivals and conversations of a pipeline, in words and in figures: what is known of them before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.core.context import enough_tokens
from harness.core.graph import Pipeline
from harness.units import count
from harness.workload.estimate import pass_tokens

__all__ = [
    "arrivals_in_words",
    "generated_tokens",
    "history_tokens",
    "jobs_at_once",
    "most_turns",
    "needed_tokens",
    "too_long",
    "turn_tokens",
]

TURN_TEMPLATE_TOKENS = 10  # what a chat template puts around a question and its answer: ChatML 11, Gemma 10


def turn_tokens(node: Mapping[str, Any]) -> int:
    """Return how much longer each turn makes the prompts of the next: what was asked and what was answered.

    Where a node grows from pass to pass, so it does in every pass of every turn.
    """
    asked = node["prompt_tokens"] - node["system_tokens"] + node["output_tokens"]
    return int(asked + (node["run"].mean - 1) * pass_tokens(node))


def jobs_at_once(pipeline: Pipeline) -> int | None:
    """Return the most jobs that can be under way together; None: no bound. Of a conversation it is one.

    A user who has the reply goes on while the rest of the job runs, so where a node answers all jobs may be.
    """
    if any(node.answers for node in pipeline.graph.nodes):
        return pipeline.jobs
    if pipeline.arrival.users:
        users = pipeline.arrival.users
        return users if pipeline.jobs is None else min(users, pipeline.jobs)
    session = pipeline.session
    if session is None:
        return pipeline.jobs
    opened = pipeline.arrival.starts
    if opened is not None:
        return opened if pipeline.jobs is None else min(opened, pipeline.jobs)
    if pipeline.jobs is None or session.turns.kind != "fixed":
        return pipeline.jobs
    return -(-pipeline.jobs // max(1, int(session.turns.mean)))


def history_tokens(pipeline: Pipeline, node: Mapping[str, Any]) -> float:
    """Return how many tokens of the turns and passes before it a prompt holds, on average over a conversation."""
    turns = 1.0 if pipeline.session is None else pipeline.session.turns.mean
    return (turns - 1) / 2 * turn_tokens(node) + float(node["grown_tokens"])


def most_turns(pipeline: Pipeline) -> int:
    """Return how many turns a conversation has at most, or as its 99.9th percentile where nothing bounds them."""
    if pipeline.session is None:
        return 1
    most = int(pipeline.session.turns.largest)
    return max(1, most if pipeline.jobs is None else min(most, pipeline.jobs))


def needed_tokens(pipeline: Pipeline, node: Mapping[str, Any]) -> int:
    """Return the context that one call needs, of a conversation in the last pass of its last turn; an estimate."""
    before = (most_turns(pipeline) - 1) * _grows(node) + _passes_before(node) * _grows_by(node)
    return int(node["prompt_tokens"] + before) + generated_tokens(node)


def _passes_before(node: Mapping[str, Any]) -> int:
    """Return how many passes of a node that grows there are before its last one, at most."""
    return 0 if node["grows"] is None else int(node["run"].most - 1)


def _grows_by(node: Mapping[str, Any]) -> int:
    """Return by how much of its context a conversation grows in a pass, the chat template included."""
    return int(pass_tokens(node)) + TURN_TEMPLATE_TOKENS


def generated_tokens(node: Mapping[str, Any]) -> int:
    """Return how many tokens one call generates: thinking, which no later prompt has, and the answer."""
    return int(node["output_tokens"] + node.get("thinking_tokens", 0))


def _grows(node: Mapping[str, Any]) -> int:
    """Return by how much of its context a conversation grows in a turn, the chat template included."""
    asked = node["prompt_tokens"] - node["system_tokens"] + node["output_tokens"] + TURN_TEMPLATE_TOKENS
    return int(asked) + _passes_before(node) * _grows_by(node)


def too_long(
    pipeline: Pipeline, name: str, node: Mapping[str, Any], server: str, context_tokens: int, about: str = "about"
) -> str:
    """Say that a call of this node does not fit a slot, and which would do; of conversations, how much of them fits.

    `about` is how sure its tokens are.
    """
    where, turns, needed = f"{pipeline.name}.{name}", most_turns(pipeline), needed_tokens(pipeline, node)
    key = "context_tokens" if node["num_ctx"] is None else "num_ctx"
    enough = enough_tokens(needed - generated_tokens(node), generated_tokens(node))
    if turns == 1 and _passes_before(node):
        passes = _passes_before(node) + 1
        fits = passes - -(-(needed - context_tokens) // _grows_by(node))
        first = f"about {fits} of its {passes} passes" if fits > 0 else "not even one pass"
        return (
            f"{where}: a conversation that grows over {passes} passes needs {about} {needed} tokens; {server} holds "
            f"{context_tokens} a slot, {first}, and the passes after that fail: raise {key} to {enough}, or "
            "have fewer passes or less that comes in with each."
        )
    if turns == 1:
        return (
            f"{where} needs {about} {needed} tokens; {server} holds {context_tokens} a slot: raise {key} to "
            f"{enough} or shorten the prompt."
        )
    grows = _grows(node)
    fits = turns - -(-(needed - context_tokens) // grows)
    first = f"about {fits} of its {turns} turns" if fits > 0 else "not even one turn"
    return (
        f"{where}: a conversation of {turns} turns needs {about} {needed} tokens; {server} holds {context_tokens} a "
        f"slot, {first}, and the turns after that fail: raise {key} to {enough}, or have fewer or shorter "
        "turns."
    )


def arrivals_in_words(pipelines: tuple[Pipeline, ...], pipeline: Pipeline) -> str:
    """Say in words when jobs start, and how many there are."""
    arrival, session, jobs = pipeline.arrival, pipeline.session, pipeline.jobs
    text = arrival.words("job", jobs) if session is None else arrival.words("conversation", None)
    if session is not None:
        text += f", {session.turns.words} turns each with {session.think.words} s between them"
    if pipeline.until is not None:
        text += f" until {pipelines[pipeline.until].name} has ended"
    elif jobs is not None and (session is not None or arrival.endless):
        text += f", {count(jobs, 'job')}"
    return text if pipeline.after is None else f"{text}, when {pipelines[pipeline.after].name} has ended"
