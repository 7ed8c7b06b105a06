"""Loops: how often a node or a sub-pipeline runs again, and what grows from pass to pass."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from harness.core.sizes import Distribution
from harness.workload.schema.base import Spec, mistake
from harness.workload.schema.rules import FirstWord, Otherwise, Rule
from harness.workload.schema.sizes import Amount, distribution

__all__ = ["GrowsSpec", "RepeatSpec", "Share", "UntilSpec", "share_or"]

MOST_PASSES = 1000
MOST_TOKENS = 100_000  # of a made-up text
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]

_NAME = "[A-Za-z][A-Za-z0-9_-]{0,62}"
# A node of a sub-pipeline, or one of a sub-pipeline in it: `critic`, `inner/critic`.
Inner = Annotated[str, Field(pattern=rf"^{_NAME}(/{_NAME})*$")]


def _number(value: Any) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "<number>"
    return "<mapping>" if isinstance(value, (dict, BaseModel)) else None


def share_or(mapping: str) -> Discriminator:
    """Choose between a share and a mapping by what was written."""

    return Discriminator(
        _number, custom_error_type="shape", custom_error_message=f"expected a share (0.3) or a mapping ({mapping})"
    )


class UntilSpec(Spec):
    """When a loop ends."""

    p: Share = Field(description="How often a pass is the last.", examples=[0.4])
    when: Rule | None = Field(
        default=None,
        description='`control: model`: end where the answer is so; left out: its first word is "done".',
        examples=[{"regex": "DONE"}],
    )
    node: Inner | None = Field(
        default=None,
        description="The node whose answer decides; left out: the last one of the sub-pipeline.",
        examples=["critic"],
    )

    @property
    def rule(self) -> Rule:
        """The rule that ends it."""
        return self.when or FirstWord(first_word="done")

    @model_validator(mode="after")
    def _can_go_on(self) -> UntilSpec:
        if isinstance(self.when, Otherwise):
            raise mistake("`otherwise` is always true, so the loop would never repeat; expected another rule", "when")
        return self


def _written_out(value: float | UntilSpec) -> UntilSpec:
    return value if isinstance(value, UntilSpec) else UntilSpec(p=value)


class RepeatSpec(Spec):
    """A bounded loop: this node (or sub-pipeline) again and again."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["max"]}, {"required": ["passes"]}]})

    max: Annotated[int, Field(ge=1, le=MOST_PASSES)] | None = Field(
        default=None,
        description="Most passes. A loop needs a bound: this, or `passes`.",
        examples=[3],
    )
    until: (
        Annotated[
            Annotated[
                Annotated[Share, Tag("<number>")] | Annotated[UntilSpec, Tag("<mapping>")],
                share_or("p: 0.3, when: ..."),
            ],
            AfterValidator(_written_out),
        ]
        | None
    ) = Field(
        default=None,
        description="How often a pass is the last, or that and a rule; left out: always `max` passes.",
        examples=[0.4, {"p": 0.4, "when": {"regex": "DONE"}, "node": "critic"}],
    )
    passes: Amount | None = Field(
        default=None,
        description="Instead of `until`: how many passes, drawn when the loop begins.",
        examples=[6, [4, 9], {"lognormal": {"median": 6, "sigma": 0.5, "max": 20}}],
    )

    @property
    def ends(self) -> UntilSpec | None:
        """When it ends before `most` passes; None: never, or that is drawn."""
        return None if self.until is None else _written_out(self.until)

    @property
    def drawn(self) -> Distribution | None:
        """How many passes there are, where that is drawn when the loop begins; no more than `most`."""
        if self.passes is None:
            return None
        passes = distribution(self.passes, whole=True)
        return passes._replace(most=float(self.most))

    @property
    def most(self) -> int:
        """How many passes there are at most."""
        highest = None if self.passes is None else distribution(self.passes, whole=True).highest
        bounds = [bound for bound in (self.max, highest) if bound is not None]
        return max(1, int(min(bounds)))

    @model_validator(mode="after")
    def _has_a_bound(self) -> RepeatSpec:
        if self.passes is None:
            if self.max is None:
                raise mistake("a loop needs a bound: `max`, such as max: 3, or `passes`, such as passes: [4, 9]")
            return self
        if self.until is not None:
            raise mistake("`passes` and `until` do not go together: both say when the loop ends; remove one", "passes")
        highest = distribution(self.passes, whole=True).highest
        if self.max is None and highest is None:
            raise mistake(
                "a loop needs a bound; expected `max` beside the distribution's figures, or beside `passes`", "passes"
            )
        if self.max is None and highest is not None and highest > MOST_PASSES:
            raise mistake(f"expected at most {MOST_PASSES} passes, found {highest:g}", "passes")
        return self


class GrowsSpec(Spec):
    """A conversation that goes on from pass to pass of a loop: a tool's result comes in, the agent sees all before."""

    by: Amount = Field(
        description="New tokens of each further pass: a made-up result of a tool.",
        examples=[400, [100, 900], {"lognormal": {"median": 300, "sigma": 0.8, "max": 2000}}],
    )
    reuse_prefix: bool = Field(
        default=True,
        description="Let the server keep the conversation in its prompt cache; false: every pass reads all of it.",
        examples=[False],
    )

    @model_validator(mode="after")
    def _has_a_bound(self) -> GrowsSpec:
        highest = distribution(self.by, whole=True).highest
        if highest is None:
            raise mistake("made-up text needs a bound; expected `max` beside the distribution's figures", "by")
        if highest > MOST_TOKENS:
            raise mistake(f"expected at most {MOST_TOKENS} tokens, found {highest:g}", "by")
        return self
