"""Embedding nodes: which texts become vectors, with which model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from harness.workload.schema.base import Name, Spec

__all__ = ["EmbedSpec"]


class EmbedSpec(Spec):
    """Texts that a model turns into vectors (`/api/embed`); nothing can read these."""

    model: Annotated[str, Field(min_length=1)] = Field(
        description="The embedding model, as Ollama names it.", examples=["nomic-embed-text"]
    )
    texts: Name = Field(
        description="What is embedded: all items of this input, or the answers of this node; `item`: with `over`, the "
        "item.",
        examples=["documents", "item"],
    )
    batch: PositiveInt | None = Field(
        default=None,
        le=10_000,
        description="Most texts of one request; the requests are sent as a fan-out. Left out: all texts in one.",
        examples=[16],
    )
