"""Search, measurement and machines side by side over the API: how far they are, stopping them, and what they answer."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studio.bench import Bench, bench
from typer.testing import CliRunner

from harness.app import advice
from harness.app.advice import cannot_start
from harness.cli.app import command_line
from harness.content import shipped
from harness.studio import tasks
from harness.workload.schema import LlamaCppServer, OllamaServer, SimulatedServer

FILE = shipped() / "workloads/chat-only.yaml"
TEXT = FILE.read_text(encoding="utf-8")
ON = {"machine": {"profiles": ["epyc-2core"]}}
BOTH = {"machines": [{"profiles": ["epyc-2core"]}, {"profiles": ["m1-published"]}]}
SAME = ("name", "machine", "model", "origin", "candidate", "slots", "needed_bytes", "there_bytes", "why_not")
NONE_YET = "there is no recommendation to measure: search for one first"

# Servers whose times are a thousandth of the profile's: a measurement of them takes moments.
EMULATED = """
version: 1
name: emulated
pipelines:
  chat:
    path: interactive
    jobs: 4
    arrival: {closed: 2}
    nodes:
      reply: {agent: {prompt: "Hello", output_tokens: 8}}
servers:
  s: {kind: simulated, profile: epyc-2core, slots: 4, speed_up: 1000}
compare:
  both: {placement: s, concurrency: window}
measure: {repeats: 2, warmup: 0}
timeout_s: 30
"""


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Its processes stand in a folder of their own, so that runs do."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("studio"))
    try:
        with bench(FILE, TEXT, works=False) as found:
            yield found
    finally:
        os.chdir(before)


def until_ended(working: Bench, tab: str, sort: str = "recommend") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Follow a task; return its last answer, and all."""
    seen = [working.ask("follow", tab=tab, sort=sort)]
    for _ in range(3000):
        if not seen[-1]["at_work"]:
            return seen[-1], seen
        time.sleep(0.05)
        seen.append(working.ask("follow", tab=tab, sort=sort))
    raise AssertionError(seen[-1])


def children() -> set[str]:
    """Return the command lines of our own processes of tasks, and of what they started."""
    listed = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if parent == str(os.getpid()) and "task_child" in command:
            listed.add(path.name)
    return listed


def until_children(before: set[str], number: int) -> None:
    """Wait until there are this many more: a process that has just begun has no command line yet."""
    for _ in range(400):
        if len(children() - before) == number:
            return
        time.sleep(0.05)
    raise AssertionError(children() - before)


def without_when(found: dict[str, Any]) -> dict[str, Any]:
    for key in ("started_at", "command"):
        found["analysis"]["run"].pop(key)
    return found


def test_the_answer_is_that_of_recommend(working: Bench) -> None:
    begun = working.ask("recommend", tab="same", version=3, text=TEXT, **ON)
    assert (begun["stage"], begun["at_work"], begun["about"]) == ("search", True, 3)
    last, _ = until_ended(working, "same")
    command = ["recommend", str(FILE), "--profile", "epyc-2core", "--no-measure", "--json"]
    printed = json.loads(CliRunner().invoke(command_line(), command).stdout)
    found = last["advice"]
    assert last["state"] == "ok" and last["about"] == 3
    assert without_when(found["recommendation"]) == without_when(printed)
    assert found["answer"] == printed["answer_text"]
    assert found["settings"][0]["candidate"] in printed["answer"]
    assert found["settings"][0]["texts"]
    assert any(line.startswith("simulating ") and "candidates" in line for line in last["progress"]["lines"])


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("recommend", {"text": TEXT.replace("jobs:", "job:"), **ON}, 'did you mean "jobs"?'),
        ("recommend", {"text": TEXT, "machine": {"profiles": ["/etc/passwd"]}}, "expected the name of a profile"),
        ("recommend", {"text": TEXT, "turned": {"slots": {"other": 2}}, **ON}, 'no server "other"'),
        ("compare", {"text": TEXT, "machines": [ON["machine"], ON["machine"]]}, "expected different machines"),
        ("compare", {"text": TEXT, "machines": [ON["machine"], {}]}, "one profile or one device for each machine"),
        ("compare", {"text": TEXT, "machines": [{"profiles": ["a/b.yaml"]}, ON["machine"]]}, "the name of a profile"),
    ],
)
def test_mistakes_are_said(working: Bench, name: str, body: dict[str, Any], says: str) -> None:
    working.ask(name, tab="bad", **body)
    last, _ = until_ended(working, "bad", name)
    assert last["state"] == "mistake"
    assert says in "\n".join(one["whole"] for one in last["mistakes"])


def test_a_stopped_search_leaves_no_process_and_another_tab_goes_on(working: Bench) -> None:
    text = (shipped() / "workloads/research-digest.yaml").read_text(encoding="utf-8")
    before = children()
    working.ask("recommend", tab="one", text=text, **ON)
    working.ask("compare", tab="two", text=TEXT, **BOTH)
    until_children(before, 2)
    assert working.ask("stop", tab="one")["stopping"]
    last, _ = until_ended(working, "one")
    assert last["state"] == "failed" or last["advice"]["interrupted"]
    other, _ = until_ended(working, "two", "compare")
    assert other["state"] == "ok", other
    until_children(before, 1)  # that of the other tab
    refused = working.ask("measure", tab="one")
    assert (refused["state"], refused["message"]) == (
        "failed",
        "there is no recommendation to measure: search for one first",
    )


def test_a_later_search_takes_the_place_of_an_earlier_one(working: Bench) -> None:
    working.ask("recommend", tab="again", version=5, text=TEXT, **ON)
    assert working.ask("recommend", tab="again", version=4, text=TEXT, **ON)["state"] == "replaced"
    assert working.ask("recommend", tab="again", version=6, text=TEXT, **ON)["about"] == 6
    assert until_ended(working, "again")[0]["about"] == 6


def test_what_there_is_not(working: Bench) -> None:
    assert working.ask("follow", tab="none")["stage"] == "none"
    assert working.ask("stop", tab="none", sort="compare")["stage"] == "none"
    assert working.ask("measure", tab="none")["state"] == "failed"


@pytest.mark.slow
def test_the_best_are_measured_and_stand_beside_their_prediction(working: Bench) -> None:
    working.ask("recommend", tab="real", version=1, text=EMULATED, **ON)
    found, _ = until_ended(working, "real")
    assert found["advice"]["why_not"] == "", found
    begun = working.ask("measure", tab="real", version=9, budget_s=60)
    assert (begun["stage"], begun["at_work"], begun["about"]) == ("measurement", True, 1)
    last, seen = until_ended(working, "real")
    measured = last["advice"]
    assert measured["answer"]["basis"], last
    assert measured["differences"], (measured["answer"], last["progress"])
    assert len({one["candidate"] for one in measured["differences"]}) <= advice.MOST_MEASURED
    for one in measured["differences"]:
        assert one["error"] == pytest.approx(one["predicted_s"] / one["measured_s"] - 1)
    folder = Path(measured["folder"])
    assert folder.parent == Path("reports") and (folder / "report.html").exists()
    assert any(one["progress"] and one["progress"]["number"] for one in seen)


def test_a_measurement_that_is_stopped_keeps_what_it_has(working: Bench) -> None:
    slow = EMULATED.replace("speed_up: 1000", "speed_up: 1")
    working.ask("recommend", tab="halt", text=slow, **ON)
    until_ended(working, "halt")
    working.ask("measure", tab="halt", budget_s=600)
    for _ in range(400):
        stands = working.ask("follow", tab="halt")
        if stands["progress"] and stands["progress"]["servers"]:
            break
        time.sleep(0.05)
    one = stands["progress"]["servers"][0]
    assert one["in_flight"] <= one["slots"]
    assert working.ask("stop", tab="halt")["stopping"]
    last, _ = until_ended(working, "halt")
    assert last["advice"]["interrupted"], last


def test_machines_side_by_side(working: Bench) -> None:
    chosen = [{"profiles": ["epyc-2core"]}, {"profiles": ["m1-published"]}]
    working.ask("compare", tab="side", version=2, text=TEXT, machines=chosen)
    last, _ = until_ended(working, "side", "compare")
    assert last["state"] == "ok" and last["about"] == 2, last
    command = ["simulate", str(FILE), "--profile", "epyc-2core", "--profile", "m1-published", "--json"]
    printed = json.loads(CliRunner().invoke(command_line(), command).stdout)
    for mine, theirs in zip(last["beside"]["machines"], printed["machines"], strict=True):
        assert {name: mine[name] for name in SAME} == {name: theirs[name] for name in SAME}
        assert [one["time_s"] for one in mine["times"]] == list(map(shown_s, theirs["times"]))


def shown_s(time: dict[str, Any]) -> float | None:
    """The time of a pipeline as it is shown: the median where a goal is about that."""
    judged = [goal["found_s"] for goal in time["goals"] if goal["goal"] == "p50_s" and goal["found_s"] is not None]
    shown: float | None = judged[0] if judged else time["time"] and time["time"]["value"]
    return shown


def test_a_device_says_that_it_is_estimated(working: Bench) -> None:
    chosen = [{"profiles": ["epyc-2core"]}, {"device": "RTX 4090", "model": "llama3.1:8b"}]
    working.ask("compare", tab="device", text=TEXT, machines=chosen)
    last, _ = until_ended(working, "device", "compare")
    assert [one["origin"] for one in last["beside"]["machines"]] == ["measured", "estimated"], last


def test_where_servers_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    own = LlamaCppServer.model_validate({"kind": "llamacpp", "slots": 1})
    ollama = OllamaServer.model_validate({"kind": "ollama", "slots": 1, "model": "m"})
    running = OllamaServer.model_validate({"kind": "ollama", "slots": 1, "model": "m", "url": "http://127.0.0.1:1"})
    emulated = SimulatedServer.model_validate({"kind": "simulated", "slots": 1, "profile": "epyc-2core"})
    monkeypatch.setattr(advice, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert "embedded engine is not installed" in cannot_start([own])
    assert "no `ollama` on the PATH" in cannot_start([ollama])
    assert cannot_start([running, emulated]) == ""


def test_all_tasks_end_with_the_workbench() -> None:
    before = children()
    with bench(FILE, TEXT, works=False) as own:
        own.ask("recommend", tab="one", text=TEXT, **ON)
        own.ask("compare", tab="one", text=TEXT, **BOTH)
        until_children(before, 2)
    assert children() <= before


def test_no_more_tasks_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MOST_TASKS", 1)
    with bench(FILE, TEXT, works=False) as own:
        own.ask("recommend", tab="one", text=TEXT, **ON)
        refused = own.ask("recommend", tab="two", text=TEXT, **ON)
        assert (refused["state"], refused["message"][:10]) == ("failed", "1 searches")
        until_ended(own, "one")
        assert own.ask("recommend", tab="two", text=TEXT, **ON)["at_work"]
        assert own.ask("follow", tab="one")["stage"] == "none"
