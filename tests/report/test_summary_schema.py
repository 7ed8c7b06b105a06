"""summary.json and its schema: one is what the types say, the other is what is written."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from analysis.scenarios import scenario, steady, with_goal
from conftest import Golden

from harness.analysis.analyse import analyse
from harness.content import shipped
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.report.summary import summary_text
from harness.report.summary_schema import summary_schema
from harness.runs.model import Run
from harness.workload.load import load_workload


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    text = files("harness.report").joinpath("summary.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def runs() -> dict[str, Run]:
    path = shipped() / "workloads/concurrency-ladder.yaml"
    loaded = load_workload(path)
    two = {"serial": steady(16), "batched": steady(13)}
    whole = scenario(two)
    jobs = tuple(job._replace(outcome="error") if job.candidate == "serial" else job for job in whole.jobs)
    return {
        "partial": whole._replace(trials=whole.trials[::2], partial=True, file="w.yaml"),
        "failed": whole._replace(jobs=jobs),
        "emulated": whole._replace(origin="emulated"),
        "measured": scenario(two, {"serial": steady(2), "batched": steady(1)}, spec=with_goal(p50_s=1.5)),
        "one repeat": scenario({"serial": [16.0]}),
        "nothing": scenario({"serial": []}),
        "predicted": predict(loaded, load_profile("epyc-2core", path.parent), repeats=2, extrapolate=True).run,
    }


def test_the_shipped_schema_is_that_of_the_types(schema: dict[str, Any], golden: Golden) -> None:
    golden(Path(str(files("harness.report"))) / "summary.schema.json", json.dumps(summary_schema(), indent=1) + "\n")
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", list(runs()))
def test_what_is_written_is_valid(schema: dict[str, Any], name: str) -> None:
    plain = json.loads(summary_text(analyse(runs()[name], Path("reports/x"))))
    closed = json.loads(json.dumps(schema))
    for definition in (closed, *closed["$defs"].values()):  # nothing that the schema does not know
        if "properties" in definition:
            definition["additionalProperties"] = False
    jsonschema.Draft202012Validator(closed).validate(plain)


@pytest.mark.parametrize(
    "change", [{"summary_version": 1}, {"notices": [{"kind": 3, "text": ""}]}, {"choice": {}}, {"candidates": None}]
)
def test_the_schema_refuses(schema: dict[str, Any], change: dict[str, Any]) -> None:
    plain = json.loads(summary_text(analyse(runs()["one repeat"])))
    assert not jsonschema.Draft202012Validator(schema).is_valid({**plain, **change})
