"""What a comparison between runs needs of a summary.json, so that one that was kept is as good as the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.analysis.goals import JudgedGoal, judge
from harness.analysis.model import GoalResult
from harness.analysis.statistics import Estimate
from harness.core.records import Origin, Path
from harness.errors import UserError
from harness.runs.older import summary_of_today
from harness.workload.unfit import first_mistake

__all__ = ["KeptCandidate", "KeptPipeline", "Summary", "UsedServer", "read_summary"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # fields may be added without a new version


_Number = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Estimate(_Part):
    value: _Positive
    low: _Positive | None
    high: _Positive | None
    n: int
    origin: Origin
    profile_low: _Positive | None = None
    profile_high: _Positive | None = None

    def whole(self) -> Estimate:
        """Return it as analyses have it."""
        return Estimate(**self.model_dump())


class _Goal(_Part):
    pipeline: str
    goal: Literal["first_token_s", "p50_s", "p95_s"]
    wanted_s: _Number
    found_s: _Number | None
    state: Literal["met", "missed", "not judged"]


class KeptPipeline(_Part):
    """One pipeline under one candidate."""

    pipeline: str
    path: Path
    time_by_repeat: tuple[tuple[int, float], ...]
    jobs_failed: int
    first_token_by_repeat: tuple[tuple[int, float], ...] = ()  # older summaries have none
    time: _Estimate | None = None
    first_token: _Estimate | None = None
    goals: tuple[_Goal, ...] = ()

    @property
    def judgements(self) -> tuple[JudgedGoal, ...]:
        """Its goals, and how sure it is that they are met."""
        time, first_token = (None if one is None else one.whole() for one in (self.time, self.first_token))
        return tuple(judge(GoalResult(**goal.model_dump()), time, first_token) for goal in self.goals)


class UsedServer(_Part):
    """How a candidate used a server, as a summary.json has it."""

    server: str
    slots: int
    concurrency: str
    scheduling: str
    limit: int | None


class KeptCandidate(_Part):
    """One candidate of a run."""

    name: str
    repeats: int = 1  # complete ones
    servers: tuple[UsedServer, ...]
    pipelines: tuple[KeptPipeline, ...]


class _Server(_Part):
    name: str
    kind: str
    model: str
    version: str
    slots_found: int | None
    details: Mapping[str, str | int | float]


class _Head(_Part):
    workload: str
    origin: Origin
    started_at: str
    repeats: int
    seed: int
    machine: Mapping[str, Any]
    servers: tuple[_Server, ...]
    control: Literal["draws", "model"] = "draws"
    work: Mapping[str, str] = {}
    missing: tuple[str, ...] = ()


class _Notice(_Part):
    kind: str
    text: str


class _Choice(_Part):
    candidate: str | None = None


class Summary(_Part):
    """What a comparison needs of a summary.json."""

    summary_version: Literal[2]
    run: _Head
    notices: tuple[_Notice, ...] = ()
    candidates: tuple[KeptCandidate, ...]
    choice: _Choice | None = None

    @property
    def recommended(self) -> KeptCandidate | None:
        """The candidate that it recommends; None: it recommends none, or does not say."""
        name = None if self.choice is None else self.choice.candidate
        return next((candidate for candidate in self.candidates if candidate.name == name), None)


def read_summary(plain: object, name: str) -> Summary:
    """Return what a comparison needs; UserError where `plain` is no summary."""
    try:
        return Summary.model_validate(summary_of_today(plain))
    except ValidationError as error:
        said = first_mistake(error)
        raise UserError(
            f"{name}: expected a summary.json that Slotwise wrote (summary_version 1 or 2); {said}"
        ) from None
