"""What profiles know of embedding: found by model, compiled, and put beside the model that answers."""

from __future__ import annotations

from collections.abc import Iterable

from harness.errors import UserError
from harness.profiles.schema import Embedding, Profile
from harness.workload.schema import same_model

__all__ = ["embedding_of", "stretch_with"]


def embedding_of(profiles: Iterable[Profile], model: str) -> Embedding:
    """Return what embedding with a model costs; UserError where none of the profiles knows it."""
    known = list(profiles)
    for profile in known:
        if profile.embedding is not None and same_model(profile.embedding.model, model):
            return profile.embedding
    others = [one.embedding.model for one in known if one.embedding is not None]
    have = f"; it knows {', '.join(others)}" if others else ""
    names = " and ".join(f'"{one.name}"' for one in known)
    raise UserError(
        f'the cost of embedding with "{model}" is unknown: profile {names} has no `embedding` section for it{have}; '
        f"measure it: slotwise calibrate ... --embed {model}"
    )


def stretch_with(embeddings: Iterable[Embedding], answering: int, busy: int) -> dict[int, float]:
    """Return the factors on every step where models that embed and models that answer share a machine.

    Args:
        embeddings: the models that embed.
        answering: how many models answer there.
        busy: how many models can be busy at the same time.

    Raises:
        UserError: it is not known: more than two models can be busy, or two that embed.
    """
    if busy < 2:
        return {}
    (first, *others) = embeddings
    if others or answering != 1:
        raise UserError(
            f"how {answering + 1 + len(others)} models on one machine slow each other is not known where some of them "
            "embed; measure it, or give them machines of their own (`machine`)"
        )
    return {2: first.stretch}
