"""What an answer says to do: every server of it, or where all of them are."""

from __future__ import annotations

from pathlib import Path

from harness.analysis.analyse import analyse
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.wording.to_do import to_do
from harness.workload.load import load_workload

WORKLOADS = Path(__file__).parents[2] / "workloads"


def commands(candidate: str) -> list[str]:
    path = WORKLOADS / "sub-agents.yaml"
    made = predict(load_workload(path), load_profile("epyc-2core", path), repeats=1)
    return [line.text for line in to_do(analyse(made.run), candidate, "AGAIN") if line.code]


def test_servers_that_share_pipelines_are_all_named_or_none() -> None:
    """A screen has room for one of them, and one alone would be wrong."""
    assert commands("sticky")[0] == "AGAIN --settings serve"
