"""Embeddings in traces: their texts, tokens and models, and what a trace does not tell about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean, median
from typing import NamedTuple

from harness.imports.draft import DraftNote, ask
from harness.imports.steps import TraceStep

__all__ = ["GUESSED_TOKENS", "EmbedSeen", "embed_seen"]

GUESSED_MODEL, GUESSED_TOKENS = "all-minilm", 100
MAX_TEXTS = 10_000  # of one node


class EmbedSeen(NamedTuple):
    """What was seen of an embedding: `texts` of a job, in requests of `batch`; `tokens` of a text, for each request."""

    model: str
    texts: int
    batch: int | None  # None: one request
    tokens: tuple[int, ...]  # empty: not counted
    notes: tuple[DraftNote, ...]


def embed_seen(name: str, turns: Sequence[Sequence[TraceStep]]) -> EmbedSeen:
    """Return what the turns of an embedding tell; the requests of a turn overlap. Questions ask for the rest."""
    requests = [step for turn in turns for step in turn]
    notes: list[DraftNote] = []
    named = ("".join(c for c in step.model if c.isprintable()).strip() for step in requests)
    models = [model for model, _ in Counter(filter(None, named)).most_common()]
    if len(models) == 1:
        notes.append(ask(f"which model of your server stands for {models[0]}, with which {name} embeds?", models[0]))
    elif models:
        notes.append(ask(f"{name} embedded with {', '.join(models)}. Which of them is it?", f"always {models[0]}"))
    else:
        notes.append(ask(f"with which model does {name} embed? The traces do not say.", GUESSED_MODEL))

    told = [step.texts for step in requests if step.texts]
    if not told:
        notes.append(ask(f"how many texts has a request of {name}? The traces do not say.", "one, with all tokens"))
    elif min(told) < max(told):
        notes.append(
            ask(f"requests of {name} had {min(told)} to {max(told)} texts. How many?", f"always {round(fmean(told))}")
        )
    each = min(round(fmean(told)), MAX_TEXTS) if told else 1
    wide = [len(turn) for turn in turns]
    width = min(round(median(wide)), MAX_TEXTS // each)
    if min(wide) < max(wide):
        notes.append(ask(f"{name} made {min(wide)} to {max(wide)} requests at once. How many?", f"always {width}"))

    counted = [step.input_tokens for step in requests if step.input_tokens]
    tokens = tuple(max(1, round(value / each)) for value in counted)
    if not counted:
        notes.append(ask(f"how many tokens has a text of {name}? The traces count none.", f"{GUESSED_TOKENS}"))
    return EmbedSeen(
        models[0] if models else GUESSED_MODEL, each * width, each if width > 1 else None, tokens, tuple(notes)
    )
