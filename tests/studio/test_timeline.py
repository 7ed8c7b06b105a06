"""The timeline of one repeat: what `slotwise simulate` records of that candidate and repeat, to the last digit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from studio.bench import Bench, bench, same

from harness.app.figures import DesignMachine, DesignOptions
from harness.app.options import Assumptions, SimulateOptions
from harness.app.simulate import simulate
from harness.app.trial import TrialOptions, trial_of
from harness.app.workload import Written
from harness.content import shipped
from harness.report.summary import to_plain
from harness.runs.model import Run

FILE = shipped() / "workloads/research-digest.yaml"
TEXT = FILE.read_text(encoding="utf-8")
ON = {"machine": {"profiles": ["epyc-2core"]}}
REPEATS = 3


@pytest.fixture(scope="module")
def run() -> Run:
    """What the command line simulates."""
    assumed = Assumptions(profiles=("epyc-2core",), resamples=0)
    return simulate(FILE, SimulateOptions(assumptions=assumed, repeats=REPEATS)).run


@pytest.fixture(scope="module")
def working() -> Iterator[Bench]:
    with bench(FILE, TEXT) as found:
        yield found


def named(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of an answer, by field."""
    calls = []
    for row in answer["calls"]:
        one = dict(zip(answer["fields"], row, strict=True))
        for name in [name for name in one if name.endswith("_text")]:
            one[name.removesuffix("_text")] = None if one[name] is None else answer["texts"][one.pop(name)]
        one["server"] = answer["texts"][answer["servers"][one["server"]]["name"]]
        calls.append(one)
    return calls


@pytest.mark.parametrize("repeat", range(REPEATS))
@pytest.mark.parametrize("candidate", ["serial", "batched", "split"])
def test_the_calls_are_those_that_simulate_records(working: Bench, run: Run, candidate: str, repeat: int) -> None:
    answer = working.ask("timeline", text=TEXT, candidate=candidate, repeat=repeat, **ON)
    assert answer["state"] == "ok", answer
    recorded = [call for call in run.calls if (call.candidate, call.repeat) == (candidate, repeat)]
    calls = named(answer)
    assert answer["calls_of_trial"] == len(calls) == len(recorded)
    trial = next(one for one in run.trials if (one.candidate, one.repeat) == (candidate, repeat))
    assert (answer["makespan_s"], answer["until_s"], answer["origin"]) == (trial.makespan_s, None, trial.origin)

    def key(one: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(one[name] for name in ("pipeline", "job", "node", "item", "iteration", "attempt"))

    expected = {key(flat): flat for flat in ({**call._asdict(), **call.reply._asdict()} for call in recorded)}
    equal = ("server", "agent", "model", "ready_s", "started_s", "sent_s", "outcome", "prompt_tokens", "output_tokens")
    for one in calls:
        flat = expected.pop(key(one))
        assert same([one[name] for name in equal], [flat[name] for name in equal])
        assert one["sent_s"] <= one["slot_s"] <= one["prefill_s"] <= one["decode_s"] <= one["end_s"] <= flat["end_s"]
    assert not expected


def test_jobs_and_their_critical_paths_are_those_of_the_analysis(working: Bench, run: Run) -> None:
    answer = working.ask("timeline", text=TEXT, candidate="batched", repeat=1, **ON)
    calls = named(answer)
    jobs = [job for job in run.jobs if (job.candidate, job.repeat) == ("batched", 1)]
    assert [(one["pipeline"], one["job"], one["end_s"] - one["due_s"]) for one in answer["jobs"]] == [
        (job.pipeline, job.job, job.pipeline_time_s) for job in jobs
    ]
    for one in answer["jobs"]:
        steps = [calls[step] for step in one["steps"]]
        assert {(step["pipeline"], step["job"]) for step in steps} == {(one["pipeline"], one["job"])}
        assert all(a["end_s"] <= b["ready_s"] for a, b in pairwise(steps))
    digest = next(one for one in answer["jobs"] if one["pipeline"] == "digest")
    assert len(digest["steps"]) == 2  # reading one of the documents, and the digest


def test_the_split_of_a_repeat_is_that_of_the_report_of_this_repeat(working: Bench) -> None:
    assumed = Assumptions(profiles=("epyc-2core",), resamples=0)
    analysis = simulate(FILE, SimulateOptions(assumptions=assumed, repeats=1)).analysis
    for candidate in analysis.candidates:
        answer = working.ask("timeline", text=TEXT, candidate=candidate.name, **ON)
        for mine, theirs in zip(answer["split"], candidate.pipelines, strict=True):
            assert mine["pipeline"] == theirs.pipeline
            assert {part["kind"]: part["seconds"] for part in mine["parts"]} == to_plain(theirs.job_parts)


def test_what_is_turned_is_in_it_too(working: Bench) -> None:
    asked = {"text": TEXT, "candidate": "batched", "extrapolate": True, **ON}
    before = working.ask("timeline", **asked)
    after = working.ask("timeline", **asked, turned={"slots": {"four-slot": 2}})
    assert [one["slots"] for one in before["servers"]] == [4]
    assert [one["slots"] for one in after["servers"]] == [2]


def test_memory_is_what_check_knows_and_says_what_is_not_known(working: Bench) -> None:
    (row,) = working.ask("timeline", text=TEXT, candidate="split", **ON)["memory"]
    assert [(one["server"], one["slots"], one["weights_bytes"]) for one in row["runners"]] == [
        ("one-half", 1, 98_362_432),
        ("four-half", 4, 98_362_432),
    ]
    parts = sum(one["weights_bytes"] + one["cache_bytes"] for one in row["runners"])
    assert row["needed_bytes"] == round(1.1 * parts)
    if row["room_bytes"] is None:  # the profile is of another machine
        assert row["fits"] is None
        assert "is not known" in row["room_text"]


def test_memory_against_that_of_a_device(working: Bench) -> None:
    on = {"machine": {"device": "RTX 4090", "model": "llama3.2:1b"}, "extrapolate": True}
    (row,) = working.ask("timeline", text=TEXT, candidate="batched", **on)["memory"]
    assert row["room_bytes"] > 20e9
    assert row["fits"] is True


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"candidate": "bached"}, 'there is no candidate "bached"; did you mean "batched"?'),
        ({"candidate": "batched", "repeat": 200}, "repeat: expected 1 to 200, found 201"),
        ({"candidate": "batched", "text": TEXT.replace("jobs:", "job:")}, "did you mean"),
        ({"candidate": "batched", "machine": {"profiles": ["/etc/x.yaml"]}}, "expected the name of a profile"),
    ],
)
def test_what_cannot_be_shown_is_a_mistake(working: Bench, asked: dict[str, Any], says: str) -> None:
    answer = working.ask("timeline", **{"text": TEXT, **ON, **asked})
    assert answer["state"] == "mistake"
    assert says in answer["mistakes"][0]["whole"]
    assert answer["calls"] == []


def test_of_very_many_calls_the_first_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.app.trial.MOST_CALLS", 5)
    design = DesignOptions(machine=DesignMachine(profiles=("epyc-2core",)))
    shown = trial_of(Written(FILE, TEXT), TrialOptions(candidate="batched", design=design))
    assert len(shown.calls) == 5 < shown.calls_of_trial
    assert shown.until_s is not None
    assert all(step < 5 for job in shown.jobs for step in job.steps)


def test_delays_of_tools_are_on_the_path() -> None:
    text = (shipped() / "workloads/sub-agents.yaml").read_text(encoding="utf-8")
    design = DesignOptions(machine=DesignMachine(profiles=("epyc-2core",)))
    shown = trial_of(Written(FILE, text), TrialOptions(candidate="four", design=design))
    ends = shown.fields.index("end_s")
    for job in shown.jobs:
        at = [float(shown.calls[i][ends] or 0) if i >= 0 else shown.delays[-1 - i].end_s for i in job.steps]
        assert at == sorted(at)
        delays = [shown.delays[-1 - step] for step in job.steps if step < 0]
        assert delays
        assert {(one.pipeline, one.job) for one in delays} == {(job.pipeline, job.job)}
