"""`import harness` as a program or a notebook uses it: light, typed errors, the command line's facts, any loop."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import processes
import pytest
from fake_ollama import FakeOllama
from recommend.workloads import PROFILE, fan

import harness
from harness.app.loops import finished, terminable
from harness.cli.app import _main

ROOT = Path(__file__).parents[2]
BOTH = "compare: {one: serial, two: window}\nmeasure: {repeats: 2, warmup: 0}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    Path("fan.yaml").write_text(fan(4) + BOTH, encoding="utf-8")
    Path("paper.yaml").write_text(PROFILE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    server = FakeOllama(duration=lambda user: 0.002)
    with server.listening():
        text = fan(4).replace("model: gemma4}", f"model: m, slots: 2, url: '{server.url}'}}")
        Path("live.yaml").write_text(text + BOTH, encoding="utf-8")
        yield server.url


def simulate(workload: Any = "fan.yaml", **more: Any) -> harness.RunResult:
    return harness.simulate(workload, **{"profile": "paper.yaml", "repeats": 3, "resamples": 0, **more})


def test_importing_it_loads_nothing_and_a_folder_does_not_hide_a_function() -> None:
    code = (
        "import sys, harness;"
        "assert {m for m in sys.modules if m.startswith('harness')} == {'harness', 'harness.compiled'};"
        "import harness.measure.progress, harness.recommend.model;"
        "assert harness.measure.__module__ == 'harness.interface.servers';"
        "assert harness.recommend.__module__ == 'harness.interface.calls';"
        "from harness import measure; assert measure is harness.measure;"
        "assert all(getattr(harness, name).__doc__ for name in harness.__all__)"
    )
    processes.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True)


def test_every_public_name_is_there_and_another_is_not() -> None:
    assert set(harness.__all__) <= set(dir(harness)) and (ROOT / "harness/py.typed").is_file()
    with pytest.raises(AttributeError, match="module 'harness' has no attribute 'simulat'"):
        _ = harness.simulat


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    monkeypatch.setattr("sys.argv", ["slotwise", *words])
    assert _main() == 0
    return json.loads(capsys.readouterr().out)


def test_it_has_the_facts_that_the_command_line_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = simulate().to_dict()
    assert capsys.readouterr() == ("", "")
    options = ("--profile", "paper.yaml", "--resamples", "0", "--json")
    theirs = printed(capsys, monkeypatch, "simulate", "fan.yaml", "--repeats", "3", *options)
    for one in (mine, theirs):  # but for when, and what was typed
        del one["run"]["started_at"], one["run"]["command"]
        for part in one["answer"]["parts"]:
            for line in part["lines"]:
                line["text"] = line["text"].replace("slotwise run fan.yaml", "slotwise run FILE")
    assert json.loads(json.dumps(mine)) == theirs

    found = harness.recommend("fan.yaml", profile="paper.yaml", seeds=2, workers=1, resamples=0)
    searched = (*options, "--no-measure", "--seeds", "2", "--workers", "1")
    theirs = printed(capsys, monkeypatch, "recommend", "fan.yaml", *searched)
    assert found.to_dict()["front"] == theirs["front"] and list(found.recommended) == theirs["answer"]
    assert found.answer.headline == theirs["answer_text"]["headline"]


def test_a_workload_is_a_file_text_or_data_and_is_changed_without_a_file() -> None:
    text = Path("fan.yaml").read_text()
    loaded = harness.load("fan.yaml")
    same = simulate(loaded).to_frame().to_dict()
    assert simulate(text).to_frame().to_dict() == same
    assert loaded.candidates == ("one", "two") and loaded.check().description.pipelines
    one = simulate(loaded, only="one")
    assert [candidate.name for candidate in one.candidates] == ["one"]
    pipeline = loaded.check().description.pipelines[0].name
    more = simulate(loaded, set={f"pipelines.{pipeline}.jobs": 3})
    assert len(more.jobs) == len({(job.candidate, job.repeat, job.job) for job in more.jobs}) == 3 * 3 * 2
    assert simulate(loaded).to_frame().to_dict() == same  # it is as it was
    import yaml

    assert simulate(yaml.safe_load(text)).to_frame().to_dict() == same


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: harness.load("none.yaml"), "WorkloadError", "^none.yaml: no such file$"),
        (lambda: harness.load(3), "UserError", "^load: expected a path, YAML text or a dict, found int$"),  # type: ignore[arg-type]
        (lambda: harness.load({"x": object()}), "UserError", r"^<data>\.x: expected plain data .*, found object$"),
        (lambda: harness.load({1: 2}), "UserError", "^<data>: expected text as a key, found int$"),  # type: ignore[dict-item]
        (lambda: harness.simulate("fan.yaml"), "UserError", "^a prediction needs the profile of a machine"),
        (lambda: simulate(profile="paper"), "UserError", '^no profile "paper"; there is: '),
        (lambda: simulate(repeats=0), "UserError", "^repeats: expected 1 to 100000, found 0$"),
        (lambda: simulate(only="tw"), "UserError", '^--only: no candidate "tw"; did you mean "two"'),
        (lambda: simulate(set={"compare.x": "mine"}), "WorkloadError", r"^<changed fan\.yaml>:\d+:\d+: compare.x: exp"),
        (lambda: simulate(set={"nodes.x": 1}), "UserError", '^changed: "nodes.x": there is no "nodes"; there is: '),
        (lambda: simulate(policies={"x": len}), "PolicyError", '^policies: "x": expected Concurrency'),
        (lambda: simulate().to_frame("x"), "UserError", '^to_frame: expected "candidates"'),  # type: ignore[arg-type]
        (lambda: harness.read_run("nowhere"), "UserError", "^nowhere"),
        (lambda: harness.score(simulate(), simulate()), "UserError", "^score: expected a measured run"),
    ],
)
def test_what_is_wrong_is_a_typed_error(call: Callable[[], object], kind: str, message: str) -> None:
    with pytest.raises(harness.UserError, match=message) as caught:
        call()
    assert type(caught.value) is getattr(harness, kind)


def test_a_mistake_in_text_or_data_is_where_check_finds_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("fan.yaml").read_text().replace("measure:", "measures:")
    Path("wrong.yaml").write_text(text)
    monkeypatch.setattr("sys.argv", ["slotwise", "check", "wrong.yaml"])
    assert _main() == 2
    said = capsys.readouterr().err
    with pytest.raises(harness.WorkloadError) as caught:
        harness.load(text)
    assert str(caught.value).replace("<text>", "wrong.yaml") in said
    assert caught.value.__notes__ == [f"line {text.count(chr(10))}: measures: {{repeats: 2, warmup: 0}}"]
    with pytest.raises(harness.WorkloadError, match=r'<data>:\d+:1: unknown key "measures"; did you mean "measure"'):
        import yaml

        harness.load(yaml.safe_load(text))


class LastFirst:
    """The call that became ready last goes first."""

    def key(self, call: Any, node: Any, job: Any, settings: Any) -> float:
        return float(-call.ready_s)


@pytest.mark.parametrize(
    "given",
    [
        {"SCHEDULING": {"last-first": LastFirst}},
        {"last-first": harness.Scheduling(LastFirst().key, about="Last come, first served.")},
        [harness.Scheduling(LastFirst().key, about="Last come, first served.", name="last-first")],
    ],
    ids=["a table", "by name", "a list"],
)
def test_a_policy_of_ones_own_is_an_object(given: Any) -> None:
    mine = {"compare.mine": {"concurrency": "serial", "scheduling": "last-first"}}
    found = simulate(set=mine, policies=given)
    assert [candidate.name for candidate in found.candidates] == ["one", "two", "mine"]
    assert found.run.plans[-1].queues[0].scheduling.name == "last-first"
    loaded = harness.load("fan.yaml", policies=given)
    assert harness.recommend(loaded, profile="paper.yaml", seeds=2, resamples=0).recommended
    with pytest.raises(harness.WorkloadError, match='found "last-first"'):
        simulate(set=mine)


@pytest.mark.drawn
def test_the_view_is_escaped_has_no_script_and_loads_nothing() -> None:
    text = Path("fan.yaml").read_text().replace("  two: window", "x").replace("two:", '"two<b>":', 1)
    found = simulate(text) if "<b>" not in text else simulate()
    html = found._repr_html_()
    assert "<svg" in html and found.answer.headline in html.replace("\u00a0", " ")
    assert not re.search(r"<script|\bon\w+=|src=|href=\"http|@import|url\(http", html)
    assert str(found).startswith(found.answer.headline) and "slotwise report DIR --full" not in str(found)


def test_it_measures_reads_and_scores(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    told: list[str] = []
    measured = harness.measure("live.yaml", progress=told.append, repeats=1)
    assert measured.folder is not None and (measured.folder / "report.html").is_file()
    assert told[0] == f"run folder: {measured.folder}" and measured.failure is None
    again = harness.read_run(measured.folder)
    assert again.to_dict() == measured.to_dict() and again.calls
    scored = harness.score(simulate("live.yaml"), measured)
    assert scored.to_dict()["against"] == "measured" and len(scored.to_frame()) == len(scored.to_dict()["rows"])
    assert scored.answer.headline and capsys.readouterr() == ("", "")


def test_it_measures_where_an_event_loop_is_running_and_in_other_threads(url: str) -> None:
    async def cell() -> harness.RunResult:
        return harness.measure("live.yaml", repeats=1)

    assert asyncio.run(cell()).recommended == harness.measure("live.yaml", repeats=1).recommended
    found: list[harness.RunResult] = []
    thread = threading.Thread(target=lambda: found.append(harness.measure("live.yaml", repeats=1)))
    thread.start()
    thread.join()
    assert found[0].calls


def test_an_interrupt_is_heard_where_an_event_loop_is_running() -> None:
    ended: list[str] = []
    here = threading.main_thread().ident
    assert here is not None

    async def endless() -> None:
        signal.pthread_kill(here, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    async def cell() -> None:
        with pytest.raises(KeyboardInterrupt):
            finished(endless())

    # As in a kernel: the handler is Python's own, and not that of asyncio.run.
    loop = asyncio.new_event_loop()
    loop.run_until_complete(cell())
    loop.close()
    assert ended == ["cleaned up"]


def test_a_polite_kill_is_an_interrupt_in_the_main_thread_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with terminable():
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        heard: list[object] = []

        def elsewhere() -> None:
            with terminable():
                heard.append(1)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert heard == [1] and signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_a_server_is_calibrated_and_a_prediction_is_made_with_it(folder: Path) -> None:
    """A simulated one at twenty times its speed, so what is fitted is emulated: its origin says so."""
    command = ["serve", "--profile", "epyc-2core", "--slots", "1", "--speed-up", "20", "--port", "0"]
    with processes.started(
        [sys.executable, "-u", "-m", "harness", *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as served:
        try:
            assert served.stdout is not None
            lines = iter(served.stdout.readline, "")
            url = next(found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
            made = harness.calibrate(url, effort="quick", name="twenty", out="twenty.yaml")
        finally:
            served.send_signal(signal.SIGINT)
            served.communicate(timeout=30)
    assert (made.path, made.profile.origin, list(made.profile.slots)) == (Path("twenty.yaml"), "assumed", ["1"])
    assert made.path.is_file()
    with pytest.raises(harness.UserError, match=r"twenty\.yaml"):  # nothing is overwritten unasked
        harness.calibrate("llamacpp", out="twenty.yaml")
    fan_one = fan(4).replace("slots: 4", "slots: 1").replace("gemma4", "epyc-2core")
    predicted = harness.simulate(fan_one, profile="twenty.yaml", repeats=2, resamples=0)
    assert predicted.run.origin == "predicted" and len(predicted.run.calls) > 0
