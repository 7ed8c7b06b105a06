"""The nodes of a graph: agent calls, fan-outs, embeddings, tools, sub-pipelines; branches, loops and fan-in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, PositiveInt, Tag, model_validator

from harness.workload.schema.agents import AgentSpec
from harness.workload.schema.base import FrozenDict, Name, PositiveSeconds, Seconds, Spec, Table, mistake, shape
from harness.workload.schema.embedding import EmbedSpec
from harness.workload.schema.loops import GrowsSpec, RepeatSpec, Share, share_or
from harness.workload.schema.rules import FirstWord, Otherwise, Rule
from harness.workload.schema.sizes import Amount, Duration

__all__ = ["ItemsSpec", "LabelSpec", "NodeSpec", "RetrySpec", "SubpipelineSpec", "ToolSpec"]

Priority = Annotated[int, Field(ge=-1000, le=1000)]

_NAME = "[A-Za-z][A-Za-z0-9_-]{0,62}"
# A node, or the label of a branch: `triage`, `triage.billing`.
Before = Annotated[str, Field(pattern=rf"^{_NAME}(\.{_NAME})?$")]

_SUM = 1e-6  # of the shares of a branch: three thirds written as decimals are good enough


class ToolSpec(Spec):
    """A tool call that no model makes: a delay."""

    delay_s: Duration = Field(description="Seconds the tool takes.", examples=[0.5, [0.2, 1.5]])


class LabelSpec(Spec):
    """One way out of a branch."""

    p: Share = Field(description="How often this label is taken.", examples=[0.3])
    when: Rule | None = Field(
        default=None,
        description="`control: model`: take it where the answer is so; left out: its first word is the label.",
        examples=[{"regex": "(?i)error|crash"}],
    )


class ItemsSpec(Spec):
    """How long the list is that an agent answers and a node fans out over."""

    count: Amount = Field(description="How many items are drawn.", examples=[[2, 5]])
    max: PositiveInt | None = Field(
        default=None,
        le=10_000,
        description="Most items; a longer list is an error of the job. Left out: the most that `count` can give.",
        examples=[8],
    )


class RetrySpec(Spec):
    """Try a failed call again."""

    times: Annotated[int, Field(ge=1, le=20)] = Field(description="Attempts after the first.", examples=[2])
    backoff_s: Seconds = Field(
        default=0.0,
        description="Seconds before the first retry; twice as long before each one after it.",
        examples=[0.5],
    )


Branch = Annotated[
    Table[
        Annotated[
            Annotated[Share, Tag("<number>")] | Annotated[LabelSpec, Tag("<mapping>")],
            share_or("p: 0.3, when: ..."),
        ]
    ],
    AfterValidator(
        lambda value: FrozenDict(
            {
                label: written if isinstance(written, LabelSpec) else LabelSpec(p=written)
                for label, written in value.items()
            }
        )
    ),
]
Need = Annotated[
    Annotated[PositiveInt, Tag("<number>")] | Annotated[Literal["all", "any"], Tag("<text>")],
    Discriminator(
        lambda value: "<text>" if isinstance(value, str) else "<number>" if isinstance(value, int) else None,
        custom_error_type="shape",
        custom_error_message='expected a number, "all" or "any"',
    ),
]


class NodeSpec(Spec):
    """A vertex of the graph: an agent call, a fan-out of calls (`over`), an embedding, a tool delay, a sub-pipeline."""

    agent: (
        Annotated[
            Annotated[Name, Tag("<text>")] | Annotated[AgentSpec, Tag("<mapping>")],
            shape("an agent's name", "an inline agent (prompt: ..., output_tokens: ...)"),
        ]
        | None
    ) = Field(default=None, description="Agent name (agents/NAME.md or `agents:`) or inline.", examples=["summarizer"])
    tool: ToolSpec | None = Field(
        default=None, description="A tool delay instead of an agent call.", examples=[{"delay_s": 0.5}]
    )
    embed: EmbedSpec | None = Field(
        default=None,
        description="Texts to embed instead of an agent call.",
        examples=[{"model": "nomic-embed-text", "texts": "documents", "batch": 16}],
    )
    pipeline: Name | None = Field(
        default=None, description="A sub-pipeline (`subpipelines:`) instead of an agent call.", examples=["review"]
    )
    over: Name | None = Field(
        default=None,
        description="Fan out: one call per item of this input, or of the JSON list that this node answers.",
        examples=["documents"],
    )
    items: ItemsSpec | None = Field(
        default=None,
        description="With `over: NODE`: how long the list is.",
        examples=[{"count": [2, 5], "max": 8}],
    )
    after: tuple[Before, ...] = Field(
        default=(),
        description="Nodes that must be done first; NODE.LABEL: only where that branch was taken.",
        examples=[["plan"], ["triage.billing"]],
    )
    need: Need = Field(
        default="all",
        description="How many of `after` must be done: `all`, `any` or a number; those that were skipped do not count.",
        examples=["any", 2],
    )
    enough: PositiveInt | None = Field(
        default=None, description="How many items of a fan-out must be done; left out: all.", examples=[2]
    )
    losers: Literal["cancel", "run"] = Field(
        default="cancel",
        description="What happens to calls in flight that are no longer needed: cancelled, or left to run.",
        examples=["run"],
    )
    branch: Branch | None = Field(
        default=None,
        description="Labels, one of which is taken: a share each (adding up to 1), and a rule where wanted. "
        "A tool's branch is always drawn.",
        examples=[{"billing": 0.6, "other": {"p": 0.4, "when": {"otherwise": True}}}],
    )
    repeat: RepeatSpec | None = Field(
        default=None, description="A bounded loop over this node.", examples=[{"max": 3, "until": 0.4}]
    )
    grows: GrowsSpec | None = Field(
        default=None,
        description="In a loop: each further pass sends the conversation so far and something new, as an agent does "
        "that calls tools.",
        examples=[{"by": 400}],
    )
    timeout_s: PositiveSeconds | None = Field(
        default=None, description="Time limit of one attempt, after which it is given up.", examples=[20]
    )
    retry: RetrySpec | None = Field(
        default=None, description="Try failed calls again.", examples=[{"times": 2, "backoff_s": 0.5}]
    )
    answers: bool = Field(
        default=False,
        description="Interactive paths: this call's answer is the reply that a person waits for; what comes "
        "after it in the job is load. Left out: the reply is there when the job has ended.",
        examples=[True],
    )
    priority: Priority | None = Field(
        default=None,
        description="Higher goes first on a server; among equals the candidate's scheduling policy decides. "
        "Left out: the pipeline's.",
        examples=[2],
    )

    @property
    def labels(self) -> dict[str, LabelSpec]:
        """The labels of its branch, in the file's order; none where it has no branch."""
        return {} if self.branch is None else {k: v for k, v in self.branch.items() if isinstance(v, LabelSpec)}

    def rule(self, label: str) -> Rule:
        """Return the rule that takes a label of its branch."""
        return self.labels[label].when or FirstWord(first_word=label)

    @model_validator(mode="after")
    def _one_kind(self) -> NodeSpec:
        kinds = [key for key in ("agent", "embed", "tool", "pipeline") if getattr(self, key) is not None]
        if not kinds:
            raise mistake("a node needs `agent`, `embed`, `tool` or `pipeline`, found none of them")
        if len(kinds) > 1:
            raise mistake(f"a node has either `{kinds[0]}` or `{kinds[1]}`, found both", kinds[1])
        for key in ("over", "branch", "grows", "timeout_s", "retry"):
            if getattr(self, key) is not None and self.agent is None:
                if key == "branch" and self.tool is not None:  # plain code decides: always drawn
                    continue
                if key != "branch" and self.embed is not None:
                    continue
                raise mistake(f"`{key}` goes with `agent`, not with `{kinds[0]}`{_elsewhere(key, kinds[0])}", key)
        for label, spec in self.labels.items() if self.tool is not None else ():
            if spec.when is not None:
                raise mistake(
                    "a tool answers no text that a rule could look at, so its branch is always drawn; remove `when`",
                    "branch",
                    label,
                )
        if self.answers and self.agent is None:
            where = (
                "a node of that sub-pipeline" if self.pipeline is not None else "the node whose answer a person reads"
            )
            raise mistake(f"`answers` goes with `agent`, not with `{kinds[0]}`; give it to {where}", "answers")
        for key in ("repeat", "priority"):
            if getattr(self, key) is not None and self.tool is not None:
                raise mistake(f"`{key}` goes with `agent` or `pipeline`, not with `tool`", key)
        if self.embed is not None:
            self._embeds(self.embed)
        return self

    def _embeds(self, embed: EmbedSpec) -> None:
        if self.repeat is not None:
            raise mistake("`repeat` goes with `agent` or `pipeline`; put the embedding in a sub-pipeline", "repeat")
        if self.over is not None and embed.texts != "item":
            raise mistake("with `over` each request embeds one item: expected `texts: item`", "embed", "texts")
        if self.over is None and embed.texts == "item":
            raise mistake("there is an item only where the node fans out; add `over: INPUT`", "embed", "texts")
        if self.over is not None and embed.batch is not None:
            raise mistake("`over` and `batch` do not go together: with `over` a request has one text", "embed", "batch")

    @model_validator(mode="after")
    def _fits(self) -> NodeSpec:
        if self.over is not None:
            if self.branch is not None:
                raise mistake("`over` and `branch` do not go together; give a node after this one the branch", "branch")
            if self.answers:
                raise mistake(
                    "`over` and `answers` do not go together: a fan-out has several answers; give the node that puts "
                    "them together `answers`",
                    "answers",
                )
            if self.repeat is not None:
                raise mistake("`over` and `repeat` do not go together; put the fan-out in a sub-pipeline", "repeat")
        else:
            for key in ("enough", "items"):
                if getattr(self, key) is not None:
                    raise mistake(f"`{key}` goes with `over`", key)
        if self.branch is not None and self.repeat is not None:
            raise mistake("`branch` and `repeat` do not go together; give a node after this one the branch", "branch")
        if isinstance(self.need, int) and self.need > len(self.after):
            nodes = "1 node" if len(self.after) == 1 else f"{len(self.after)} nodes"
            raise mistake(
                f"expected at most {len(self.after)}, because `after` names {nodes}, found {self.need}", "need"
            )
        if self.need == "any" and not self.after:
            raise mistake("`need` goes with `after`", "need")
        if self.losers == "run" and self.need == "all" and self.enough is None:
            raise mistake("`losers` goes with `need` or `enough`: without them there are none", "losers")
        return self

    @model_validator(mode="after")
    def _labels(self) -> NodeSpec:
        if self.branch is None:
            return self
        labels = self.labels
        if len(labels) < 2:
            raise mistake(f"expected at least two labels, found {len(labels)}", "branch")
        total = sum(spec.p for spec in labels.values())
        if abs(total - 1) > _SUM:
            shares = " + ".join(f"{spec.p:g}" for spec in labels.values())
            raise mistake(f"expected shares that add up to 1, found {shares} = {total:g}", "branch")
        *before, _ = labels
        for label in before:
            if isinstance(labels[label].when, Otherwise):
                raise mistake("`otherwise` is always true, so it must be the last label", "branch", label)
        return self


def _elsewhere(key: str, kind: str) -> str:
    if kind != "pipeline":
        return ""
    return {
        "over": "; put the fan-out into the sub-pipeline",
        "branch": "; give a node after it the branch",
        "grows": "; give it to an agent in the sub-pipeline",
    }.get(key, "; give it to the nodes of the sub-pipeline")


class SubpipelineSpec(Spec):
    """A graph that is used as a node of pipelines (or of other sub-pipelines)."""

    nodes: Table[NodeSpec] = Field(
        min_length=1,
        description="The graph. Those without `after` start when the node does that uses it.",
        examples=[{"critic": {"agent": "critic"}}],
    )
