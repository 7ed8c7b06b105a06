"""Arrivals and sessions of a workload file: what they compile to, what is said about them, every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from workload.mistaken import one_of

from harness.core.arrival_processes import Bursts, Closed, Every, GammaGaps, Listed, Poisson, Ramp
from harness.core.graph import Session
from harness.core.sizes import Distribution
from harness.errors import WorkloadError
from harness.workload.arrival_file import COLUMNS
from harness.workload.describe import describe
from harness.workload.load import Loaded, Overrides, load_workload

HEAD = """version: 1
name: w
pipelines:
  p:
    path: batch
"""
NODES = "    nodes: {n: {agent: {prompt: Hello there, output_tokens: 8}}}\n"


def load(folder: Path, lines: str, **files: str) -> Loaded:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    path = folder / "w.yaml"
    path.write_text(HEAD + "".join(f"    {line}\n" for line in lines.split("\n")) + NODES)
    return load_workload(path)


def mistake(folder: Path, monkeypatch: pytest.MonkeyPatch, lines: str, **files: str) -> str:
    monkeypatch.chdir(folder)
    with pytest.raises(WorkloadError) as caught:
        load(Path(), lines, **files)
    return str(caught.value)


COMPILED = {
    "jobs: 9\narrival: {poisson_per_s: 0.2}": (Poisson(0.2), 9, "0.2 jobs a second at random (Poisson)"),
    "jobs: 9\narrival: {ramp: {from_per_s: 0, to_per_s: 2, over_s: 60}}": (
        Ramp(0, 2, 60),
        9,
        "0 to 2 jobs a second at random (Poisson), over 60 s",
    ),
    "jobs: 9\narrival: {bursts: {size: 4, every_s: 30}}": (
        Bursts(4, 30),
        9,
        "4 jobs at once every 30 s",
    ),
    "jobs: 9\narrival: {closed: 2, think_s: [1, 3]}": (
        Closed(2, Distribution("uniform", (1, 3))),
        9,
        "2 users, 1 to 3 s between reply and next request",
    ),
    "jobs: 9\narrival: {gamma: {per_s: 0.2, cv: 2}}": (
        GammaGaps(0.2, 2),
        9,
        "0.2 jobs a second at random (gamma gaps, cv 2)",
    ),
    "jobs: 9\narrival: {every_s: 2.5}": (Every(2.5), 9, "a job every 2.5 s"),
}


@pytest.mark.parametrize("lines", COMPILED)
def test_compiled(lines: str, tmp_path: Path) -> None:
    arrival, jobs, said = COMPILED[lines]
    loaded = load(tmp_path, lines)
    assert (loaded.pipelines[0].arrival, loaded.pipelines[0].jobs) == (arrival, jobs)
    assert describe(loaded).pipelines[0].arrivals == f"{said}, {jobs} jobs"


TRACES = {
    "a number a line": ("t_txt", "# seconds\n0\n0.5\n\n3\n"),
    "a CSV file without a header": ("t_csv", "0,a\n0.5,b\n3,c\n"),
    "a CSV file with a header": ("t_csv", "user,Time_s\na,0\nb,0.5\nc,3\n"),
    "one unknown column": ("t_csv", "seconds\n0\n0.5\n3\n"),
    "dates": ("t_csv", "timestamp\n2026-03-01 23:59:59.75\n2026-03-02 00:00:00.25\n2026-03-02 00:00:02.75\n"),
    "dates with zones": (
        "t_jsonl",
        '{"timestamp": "2026-03-01T12:00:00Z"}\n{"timestamp": "2026-03-01T13:00:00.5+01:00"}\n'
        '{"timestamp": "2026-03-01T12:00:03Z"}\n',
    ),
    "JSON lines of numbers": ("t_ndjson", "0\n0.5\n3\n"),
    "rows of Mooncake": (
        "t_jsonl",
        "".join(
            f'{{"timestamp": {ms}, "input_length": 9, "output_length": 3, "hash_ids": [1]}}\n' for ms in (0, 500, 3000)
        ),
    ),
    "rows of Bailian": (
        "t_jsonl",
        "".join(f'{{"chat_id": 1, "timestamp": {s}, "input_length": 9, "hash_ids": [1]}}\n' for s in (0, 0.5, 3)),
    ),
    "JSON lines": ("t_jsonl", '{"arrival_s": 0, "who": "a"}\n\n{"arrival_s": 0.5}\n{"arrival_s": 3}\n'),
}


@pytest.mark.parametrize("case", TRACES)
def test_a_trace_file_becomes_times(case: str, tmp_path: Path) -> None:
    file, text = TRACES[case]
    loaded = load(tmp_path, f"arrival: {{trace: {file.replace('_', '.')}}}", **{file: text})
    assert (loaded.pipelines[0].arrival, loaded.pipelines[0].jobs) == (Listed((0.0, 0.5, 3.0)), 3)
    assert describe(loaded).pipelines[0].arrivals == "3 jobs, at 0, 0.5, 3 s"
    plain = loaded.workload.to_plain()  # what a run folder keeps needs no other file
    assert plain["pipelines"]["p"]["arrival"]["trace"] == [0.0, 0.5, 3.0]
    assert type(loaded.workload).model_validate(plain).to_plain() == plain


AT = "w.yaml:6:22: pipelines.p.arrival.trace: "
BAD_TRACES = {
    "out of order": ("0\n3\n2\n", 't.csv:3:1: times must not decrease, found "2" after "3"'),
    "negative": ("-1\n", 't.csv:1:1: expected a time of 0 or more, found "-1"'),
    "no time": ("0\nsoon\n", 't.csv:2:1: expected a time in seconds or a date with a time, found "soon"'),
    "a short line": (
        "user,time\na,0\nb\n",
        "t.csv:3:1: expected a time in seconds or a date with a time, found nothing",
    ),
    "not finite": ("0\nnan\n", 't.csv:2:1: expected a time in seconds or a date with a time, found "nan"'),
    "mixed": ("0\n2026-03-01 12:00\n", 't.csv:2:1: expected seconds as in the lines before, found "2026-03-01 12:00"'),
    "mixed the other way": ("2026-03-01 12:00\n7\n", 't.csv:2:1: expected a date as in the lines before, found "7"'),
    "no time column": (
        "user,tokens\na,3\n",
        f't.csv:1:1: expected a column named {one_of(COLUMNS, "")}, found "user", "tokens"',
    ),
    "empty": ("\n\n", "t.csv: expected arrival times, found none"),
}


@pytest.mark.parametrize("case", BAD_TRACES)
def test_mistakes_in_a_trace_file(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = BAD_TRACES[case]
    assert mistake(tmp_path, monkeypatch, "arrival: {trace: t.csv}", t_csv=text) == AT + expected


BAD_JSON = {
    "no JSON": ("0\n{x\n", "t.jsonl:2:1: expected a line of JSON: Expecting property name enclosed in double quotes"),
    "no field": ('{"a": 1}\n', f"t.jsonl:1:1: expected a field named {one_of(COLUMNS, '')}"),
    "no number": ('{"time": true}\n', "t.jsonl:1:1: expected a time in seconds or a date with a time, found true"),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_mistakes_in_a_trace_of_json_lines(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, expected = BAD_JSON[case]
    assert mistake(tmp_path, monkeypatch, "arrival: {trace: t.jsonl}", t_jsonl=text).startswith(AT + expected)


def test_too_long_a_trace_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.workload.arrival_file.MAX_ARRIVALS", 3)
    said = mistake(tmp_path, monkeypatch, "arrival: {trace: t.csv}", t_csv="1\n2\n3\n4\n")
    assert said == AT + "t.csv:4:1: expected at most 3 arrivals, found more"


MISTAKES = {
    "a file elsewhere": (
        "arrival: {trace: ../t.csv}",
        AT + "../t.csv: expected a path that stays in the workload's folder",
    ),
    "a missing file": ("arrival: {trace: none.csv}", AT + "none.csv: no such file"),
    "a rate of 0": (
        "jobs: 3\narrival: {poisson_per_s: 0}",
        "w.yaml:7:30: pipelines.p.arrival.poisson_per_s: expected more than 0, found 0",
    ),
    "gaps that hardly vary": (
        "jobs: 3\narrival: {gamma: {per_s: 1, cv: 0}}",
        "w.yaml:7:37: pipelines.p.arrival.gamma.cv: expected 0.05 or more, found 0",
    ),
    "gaps that vary too much": (
        "jobs: 3\narrival: {gamma: {per_s: 1, cv: 11}}",
        "w.yaml:7:37: pipelines.p.arrival.gamma.cv: expected at most 10, found 11",
    ),
    "a ramp that ends in nothing": (
        "jobs: 3\narrival: {ramp: {from_per_s: 1, to_per_s: 0, over_s: 5}}",
        "w.yaml:7:47: pipelines.p.arrival.ramp.to_per_s: expected more than 0, found 0",
    ),
    "a misspelt ramp": (
        "jobs: 3\narrival: {ramp: {from_per_s: 1, to_pers: 2, over_s: 5}}",
        'w.yaml:7:37: unknown key "to_pers" in pipelines.p.arrival.ramp; did you mean "to_per_s"?',
    ),
    "a trace and while": (
        "while: q\narrival: {at_s: [0, 3]}",
        "w.yaml:7:5: pipelines.p: with `while` jobs need a pace without an end: expected an `arrival` with `closed`, "
        "with a rate or with `every_s` above 0, found 2 jobs, at 0, 3 s",
    ),
    "no number of jobs": (
        "arrival: {poisson_per_s: 1}",
        "w.yaml:5:5: pipelines.p: expected `jobs: NUMBER` or `while: PIPELINE`, found neither",
    ),
    "a session without turns": (
        "jobs: 3\nsession: {think_s: 2}",
        "w.yaml:7:5: pipelines.p.session.turns is missing (turns of a conversation, a job each)",
    ),
    "a misspelt key of a session": (
        "jobs: 3\nsession: {turns: 2, reuse_prefx: true}",
        'w.yaml:7:25: unknown key "reuse_prefx" in pipelines.p.session; did you mean "reuse_prefix"?',
    ),
    "turns that cannot be": (
        "jobs: 3\nsession: {turns: [5, 2]}",
        "w.yaml:7:22: pipelines.p.session.turns: expected a range [low, high], found 5 above 2",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, expected = MISTAKES[case]
    assert any(line.startswith(expected) for line in mistake(tmp_path, monkeypatch, lines).splitlines())


def test_a_session_is_compiled_and_described(tmp_path: Path) -> None:
    loaded = load(tmp_path, "jobs: 12\narrival: {poisson_per_s: 0.1}\nsession: {turns: 4, think_s: [1, 3]}")
    assert loaded.pipelines[0].session == Session(
        Distribution("fixed", (4,), whole=True), Distribution("uniform", (1, 3)), False
    )
    (facts,) = describe(loaded).pipelines
    assert facts.arrivals == (
        "0.1 conversations a second at random (Poisson), 4 turns each with 1 to 3 s between them, 12 jobs"
    )
    assert (facts.jobs, facts.width_all_jobs) == (12, 3)
    # "Hello there": 3 tokens and 8 of the answer; turns hold 0, 1, 2, 3 of them before: 16.5 tokens more on average
    assert facts.work.prompt_tokens == round(3 + 1.5 * (3 + 8))


def test_a_list_of_times_opens_conversations_and_jobs_bounds_their_turns(tmp_path: Path) -> None:
    def jobs(lines: str) -> int | None:
        return load(tmp_path, lines).pipelines[0].jobs

    assert jobs("arrival: {at_s: [0, 1, 2]}\nsession: {turns: 4}") == 12
    assert jobs("arrival: {at_s: [0, 1, 2]}\nsession: {turns: [2, 4]}") is None
    assert jobs("jobs: 5\narrival: {at_s: [0, 1, 2]}\nsession: {turns: 4}") == 5
    facts = describe(load(tmp_path, "arrival: {at_s: [0, 1, 2]}\nsession: {turns: [2, 4]}")).pipelines[0]
    assert facts.arrivals == "3 conversations, at 0, 1, 2 s, 2 to 4 turns each with 0 s between them"
    assert (facts.width_all_jobs, facts.total) == (3, None)


def test_scale_leaves_recorded_arrivals_alone(tmp_path: Path) -> None:
    load(tmp_path, "jobs: 2\narrival: {trace: t.csv}", t_csv="0\n1\n")
    assert load_workload(tmp_path / "w.yaml", Overrides(scale=3)).pipelines[0].jobs == 2
