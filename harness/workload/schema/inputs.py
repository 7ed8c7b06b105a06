"""What nodes fan out over and templates name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt, Tag, model_validator

from harness.workload.schema.base import Spec, mistake, one_key_of
from harness.workload.schema.sizes import Amount, distribution

__all__ = ["FileInput", "Input", "ListInput", "Synthetic", "SyntheticInput"]


class FileInput(Spec):
    """Text files, one item each, in the order of their names."""

    files: str = Field(description="A glob below the workload's folder.", examples=["data/*.md"])


class ListInput(Spec):
    """Items written down in the workload."""

    list: tuple[str, ...] = Field(
        max_length=10_000, description="The items.", examples=[["First text.", "Second text."]]
    )


class Synthetic(Spec):
    """Made-up documents of a known size."""

    count: PositiveInt = Field(le=10_000, description="How many documents.", examples=[8])
    tokens: Amount = Field(description="About how many tokens each.", examples=[400, [200, 600]])

    @model_validator(mode="after")
    def _affordable(self) -> Synthetic:
        each = distribution(self.tokens, whole=True)
        most = each.highest
        if most is None:
            raise mistake("made-up text needs a bound; expected `max` beside the distribution's figures", "tokens")
        if most > 100_000:
            raise mistake(f"expected at most 100000, found {most:g}", "tokens")
        if self.count * each.mean > 5_000_000:
            raise mistake(f"expected at most 5000000 tokens in all, found {self.count} x {each.mean:g}")
        return self


class SyntheticInput(Spec):
    """Documents made up from the seed: the same in every candidate, different in every repeat."""

    synthetic: Synthetic = Field(
        description="How many documents, and of what size.", examples=[{"count": 8, "tokens": 400}]
    )


Input = Annotated[
    Annotated[FileInput, Tag("<files>")]
    | Annotated[ListInput, Tag("<list>")]
    | Annotated[SyntheticInput, Tag("<synthetic>")],
    one_key_of(("files", "list", "synthetic")),
]
