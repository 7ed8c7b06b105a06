"""Every fault x `run`, `probe` and `calibrate`: an exit code, one line that says what the server did, and no hang."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.commands import Hostile, Hung, Said, at_most, command
from faults.hostile import FAULTS, comes_to

from harness.report import files
from harness.report.drawing import Drawings
from harness.report.text import plain
from harness.runs.folder import read_run

LOADS = "Say yes."  # the prompt that loads a model
MEASURED = "essay"  # in every prompt of a probe and a calibration after that
WORKLOAD = """
version: 1
name: hostile
timeout_s: 30
measure: {repeats: 1, warmup: 0}
servers:
  s: {kind: ollama, model: m, slots: 2, url: "http://fake:1"}
compare:
  window: {placement: s, concurrency: unbounded}
pipelines:
"""
PIPELINE = '  {name}: {{path: {path}, jobs: 1, nodes: {{n: {{agent: {{prompt: "do it", output_tokens: 60}}}}}}}}\n'

Do = Callable[..., Said]


@pytest.fixture
def do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Do:
    """Return what executes a command before a server whose every call of a kind has the fault."""

    def do(name: str, fault: str, meant: Callable[[str], bool], *, charts: bool = False) -> Said:
        does = FAULTS[fault]
        paths = {"whole": "batch", "streamed": "interactive"} if does.whole else {"streamed": "interactive"}
        pipelines = [PIPELINE.format(name=name, path=path) for name, path in paths.items()]
        (tmp_path / "w.yaml").write_text(WORKLOAD + "".join(pipelines), encoding="utf-8")
        if not charts:  # a second to import
            monkeypatch.setattr(files, "drawings_of", lambda *_: Drawings({}, "no charts here"))
        hostile = Hostile(lambda prompt: does if meant(prompt) else None)
        said = command(name, hostile, tmp_path, monkeypatch, capsys)
        assert hostile.hit > 0
        assert said.code in (0, 3)
        assert said.code == 0 or (said.error.startswith("slotwise: ") and len(said.error) < 400)
        assert plain(said.error) == said.error and "Traceback" not in said.out + said.err
        return said

    return do


@pytest.mark.parametrize("fault", FAULTS)
def test_run_with_each_fault_in_its_calls(do: Do, tmp_path: Path, fault: str) -> None:
    _, outcome, says, whole = FAULTS[fault]
    said = do("run", fault, lambda prompt: "do it" in prompt, charts=fault == "a duration of a day")
    assert f"{said.code}" == comes_to(fault, "run")
    (folder,) = (tmp_path / "reports").glob("hostile-*")
    run = read_run(folder)
    assert not run.partial
    assert [call.outcome for call in run.calls] == [outcome] * (2 if whole else 1)
    assert all((call.reply.error or "").startswith(says) for call in run.calls)
    if outcome == "error":
        assert " ".join(f"The first call that failed: {says}"[:60].split()) in " ".join(said.out.split())
    if outcome == "ok" and says:
        assert "the server said times or counts that cannot be; they were left out" in said.out
    json.loads((folder / "summary.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("fault", FAULTS)
def test_run_before_a_server_that_is_so_from_the_first_look_on(do: Do, fault: str) -> None:
    said = do("run", fault, lambda prompt: prompt != LOADS)
    _, outcome, says, whole = FAULTS[fault]
    assert said.code == (0 if outcome == "ok" and whole else 3)
    assert said.code == 0 or (comes_to(fault, "probe")[3:] or says.strip()) in said.error


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["probe", "calibrate"])
def test_what_each_fault_comes_to_in_a_command(do: Do, tmp_path: Path, name: str, fault: str) -> None:
    said = do(name, fault, lambda prompt: MEASURED in prompt)
    code, _, message = comes_to(fault, name).partition(": ")
    says = message.strip() or FAULTS[fault].says.strip()
    assert (f"{said.code}", says in said.err) == (code, True), said.err
    assert said.code == 0 or says in said.error
    assert (tmp_path / "p.yaml").exists() == (name == "calibrate" and said.code == 0)


WHOLE = [name for name, fault in FAULTS.items() if fault.whole]
MIDDLE: list[Any] = [(command, 20, name) for command in ("probe", "calibrate") for name in WHOLE]
LATER = [(number, name) for number in (30, 40, 50, 60) for name in WHOLE]
MIDDLE += [pytest.param("calibrate", number, name, marks=pytest.mark.slow) for number, name in LATER]


@pytest.mark.parametrize(("name", "number", "fault"), MIDDLE)
def test_one_call_in_the_middle(do: Do, name: str, number: int, fault: str) -> None:
    count = iter(range(10**6))
    said = do(name, fault, lambda prompt: MEASURED in prompt and next(count) == number)
    goes_on = FAULTS[fault].outcome == "ok" or fault == "a redirect in circles"  # the second time it is none
    untold = name == "calibrate" and fault in ("no figures at all", "figures that are all 0")
    assert said.code == (0 if goes_on and not untold else 3)
    assert said.code == 0 or FAULTS[fault].says.strip() in said.error


FAIL_TO_LOAD = [name for name in FAULTS if name.startswith(("status", "a redirect", "no connection", "the connection"))]


@pytest.mark.parametrize(
    "fault", [*FAIL_TO_LOAD, "HTML", "no last line", "a count that is a text", "a duration of a day"]
)
def test_while_the_model_is_loaded(do: Do, fault: str) -> None:
    """The answer is not looked at, so only a status and a broken connection count."""
    said = do("probe", fault, lambda prompt: prompt == LOADS)
    assert said.code == (3 if fault in FAIL_TO_LOAD else 0)
    assert said.code == 0 or " load" in said.error


def test_the_watchdog_rings() -> None:
    with pytest.raises(Hung), at_most(0.05):
        while True:
            pass
