"""Searches, measurements and comparisons of the workbench: begun, watched, stopped; their answers are those of commands."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studio.bench import Bench, bench
from typer.testing import CliRunner

from harness.cli.app import command_line
from harness.content import shipped

FILE = shipped() / "workloads/chat-only.yaml"
TEXT = FILE.read_text(encoding="utf-8")
SMALL = """
version: 1
name: small
pipelines: {ask: {path: batch, jobs: 2, nodes: {call: {agent: {prompt: "Say it.", output_tokens: 5}}}}}
servers:
  one: {kind: simulated, profile: epyc-2core, slots: 1}
  four: {kind: simulated, profile: epyc-2core, slots: 4}
compare:
  serial: {placement: one, concurrency: serial}
  window: {placement: four, concurrency: window}
"""
ON = {"machine": {"profiles": ["epyc-2core"]}}
LIMIT_S = 240


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    with bench(FILE, TEXT, works=False) as found:
        yield found


def ended(at: Bench, answer: dict[str, Any], tab: str = "t") -> dict[str, Any]:
    """Wait for the end of a job, and return its answer."""
    until_s = time.monotonic() + LIMIT_S
    while answer["running"]:
        assert time.monotonic() < until_s
        time.sleep(0.1)
        answer = at.ask("job-state", tab=tab)
    return answer


def test_a_search_is_that_of_recommend(at: Bench) -> None:
    begun = at.ask("job", kind="recommend", text=TEXT, version=4, **ON)
    assert (begun["running"], begun["kind"], begun["version"]) == (True, "recommend", 4)
    found = ended(at, begun)
    assert (found["state"], found["mistakes"], found["message"]) == ("ok", [], "")
    command = ["recommend", str(FILE), "--profile", "epyc-2core", "--no-measure", "--json"]
    told = json.loads(CliRunner().invoke(command_line(), command).stdout)
    assert [row["name"] for row in found["result"]["table"]["rows"] if row["recommended"]] == told["answer"]
    shown = " ".join(CliRunner().invoke(command_line(), command[:-1]).stdout.split())
    assert found["result"]["headline"] in shown
    assert {kind for kind, _ in found["settings"]} >= {"serve", "asyncio"}


def test_candidates_are_measured_and_stand_beside_what_was_predicted(at: Bench, tmp_path: Path) -> None:
    found = ended(at, at.ask("job", kind="measure", text=SMALL, candidates=["serial", "window"], **ON))
    assert found["state"] == "ok", found
    assert (tmp_path / found["folder"] / "report.html").is_file()
    assert [(row["candidate"], row["pipeline"]) for row in found["beside"]] == [("serial", "ask"), ("window", "ask")]
    for row in found["beside"]:
        assert row["error"] == row["predicted_s"] / row["measured_s"] - 1 and abs(row["error"]) < 1
    assert found["result"]["basis"][-1].startswith("emulated")


def test_machines_are_compared(at: Bench) -> None:
    machines = [{"profiles": ["epyc-2core"]}, {"device": "Apple M4 Pro", "model": "llama3.1:8b"}]
    found = ended(at, at.ask("job", kind="compare", text=TEXT, machines=machines))
    assert found["state"] == "ok", found
    assert {row["name"] for row in found["result"]["table"]["rows"]} == {"epyc-2core", "apple-m4-pro"}
    alone = ended(at, at.ask("job", kind="compare", text=TEXT, machines=machines[:1]))
    assert alone["state"] == "mistake" and "two to 4 machines, found 1" in alone["mistakes"][0]["message"]


def test_a_job_is_stopped_and_leaves_no_process(at: Bench) -> None:
    long = SMALL.replace("jobs: 2", "jobs: 500")
    at.ask("job", kind="measure", text=long)
    until_s = time.monotonic() + LIMIT_S
    while not at.ask("job-state")["total"]:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    pid = at.job_process("t")
    stopped = at.ask("job-stop")
    assert not stopped["running"]
    assert stopped["interrupted"] or stopped["state"] == "failed"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not at.ask("job-state")["running"]


def test_two_tabs_have_jobs_of_their_own_and_a_mistake_is_one(at: Bench) -> None:
    assert at.ask("job-state", tab="other")["kind"] is None
    first = at.ask("job", kind="recommend", text="version: 1\n", tab="a", version=1)
    second = at.ask("job", kind="recommend", text=TEXT, tab="b", machine={"profiles": ["nobody"]}, version=2)
    wrong, unknown = ended(at, first, "a"), ended(at, second, "b")
    assert (wrong["state"], unknown["state"]) == ("mistake", "mistake")
    assert "name" in wrong["mistakes"][0]["message"] and "nobody" in unknown["mistakes"][0]["message"]
    assert (wrong["version"], unknown["version"]) == (1, 2)


def test_a_page_names_no_file(at: Bench) -> None:
    found = ended(at, at.ask("job", kind="compare", text=TEXT, machines=[{"profiles": ["/etc/passwd"]}] * 2))
    assert found["state"] == "mistake" and "expected the name of a profile" in found["mistakes"][0]["message"]
