"""`slotwise calibrate`: what is asked for, what is refused before anything is measured, what is shown."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.app import calibrate as calibrating
from harness.app import machine
from harness.app.calibrate import to_calibrate
from harness.cli.calibrate import calibrate
from harness.cli.options import whole_numbers
from harness.errors import ServerFailure, UserError
from harness.measure import calibrate as measuring
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.report.calibration import calibration_report
from harness.workload.schema import ENGINES

SETTING: dict[str, Any] = {
    "step_s": {"1": 0.00901, "4": 0.0245},
    "prefill_s_per_token": 0.004,
    "prompt_step_s": 0.003,
    "prefill_batch_tokens": 512,
    "context_s_per_token": 2e-6,
    "mixed_factor": 0.9,
    "before_s": 0.004,
    "after_s": 0.004,
    "noise": 0.012,
    "threads": 2,
    "standard_error": {"step_s.1": 0.004},
    "drift": 0.081,
    "held_out": {"calls": 12, "median_error": 0.013, "worst_error": 0.041},
}
PROFILE = Profile.model_validate(
    {
        "version": 1,
        "name": "box",
        "origin": "measured",
        "source": "a test",
        "date": "2026-11-22",
        "machine": "Some \x1b[31mCPU",
        "engine": "engine 1",
        "model": "model",
        "slots": {"4": SETTING},
        "half": {"4": SETTING | {"step_s": {"1": 0.016, "4": 0.05}, "drift": None, "held_out": None}},
        "contention": {"2": 1.25},
        "held_out": {"calls": 12, "median_error": 0.013, "worst_error": 0.041},
        "notes": ["4 slots: the machine changed speed meanwhile"],
    }
)


def calibrated(monkeypatch: pytest.MonkeyPatch, profile: Profile | BaseException = PROFILE) -> list[Any]:
    """Replace the measuring; return what it was asked for."""
    asked: list[Any] = []

    async def fake(*arguments: Any, **options: Any) -> Profile:
        asked.append((arguments, options))
        if isinstance(profile, BaseException):
            raise profile
        return profile

    monkeypatch.setattr(measuring, "calibrate", fake)
    monkeypatch.setattr(machine, "busy_cores", lambda: 1.7)
    monkeypatch.setattr(calibrating, "cores", lambda: 2)
    return asked


def go(server: str = "llamacpp", **options: Any) -> None:
    calibrate(server, **options)


def test_what_is_calibrated() -> None:
    wanted, both = to_calibrate("llamacpp", None, None, None, 2)
    assert [(w.name, w.spec.slots, getattr(w.spec, "threads", None), w.half) for w in wanted] == [
        ("llamacpp-1", 1, None, False),
        ("llamacpp-4", 4, None, False),
        ("llamacpp-1-half", 1, "half", True),
        ("llamacpp-4-half", 4, "half", True),
    ]
    assert both
    shared = None  # where they turn out to share an accelerator
    for given, pair in (
        (("llamacpp", (1, 4), None, False, 2), False),
        (("ollama", (1, 4), "m", False, 2), False),
        (("llamacpp", (1, 4), None, None, 1), shared),
        (("ollama", (1, 4), "m", None, 2), shared),
    ):
        wanted, both = to_calibrate(*given)
        assert ([w.spec.slots for w in wanted], both) == ([1, 4], pair)
    (one,), both = to_calibrate("ollama", (4,), "m", None, 2)
    assert both is False
    wanted, both = to_calibrate("llamacpp", (8, 1, 2), "x.gguf", None, 4)
    assert [w.spec.slots for w in wanted] == [1, 2, 8, 1, 8]
    (one,), both = to_calibrate("http://u:p@127.0.0.1:11434", None, "m", None, 4)
    assert (one.name, one.spec.model, both) == ("127.0.0.1:11434", "m", False)


@pytest.mark.parametrize(
    ("server", "slots", "pair", "cores", "message"),
    [
        (
            "llamacp",
            None,
            None,
            2,
            rf'^expected {", ".join(ENGINES)} or a URL, found "llamacp"; did you mean "llamacpp"\?$',
        ),
        ("llamacpp:4", None, None, 2, r'found "llamacpp:4"; do: slotwise calibrate llamacpp --slots 4$'),
        ("llamacpp", "0", None, 2, r'^--slots: expected numbers from 1 to 64, such as 1,4, found "0"$'),
        ("llamacpp", "1,x", None, 2, r'^--slots: expected numbers from 1 to 64, such as 1,4, found "1,x"$'),
        ("llamacpp", "4", True, 2, r"^--pair: it needs two slot counts, such as --slots 1,4$"),
        ("llamacpp", "1,4", True, 1, r"^--pair: the machine has one core$"),
        ("http://u:p@h:1/", "4", None, 2, r"^http://h:1/: a running server has the slots that it has; leave --slots"),
        ("http://h:1/", None, True, 2, r"--pair starts two servers"),
    ],
)
def test_what_cannot_be_is_refused(server: str, slots: str | None, pair: bool | None, cores: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        counts = None if slots is None else whole_numbers("--slots", slots, "from 1 to 64, such as 1,4")
        to_calibrate(server, counts, None, pair, cores)


def test_the_profile_is_written_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = calibrated(monkeypatch)
    go(model="models/Tiny Model.gguf", quick=True)
    path = tmp_path / "profiles" / "llamacpp-Tiny-Model.yaml"
    clean = PROFILE.model_copy(update={"machine": "Some [31mCPU"})
    assert load_profile(str(path)) == clean
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    ((name, _, effort, _), options) = asked[0]
    assert (name, effort.budget_s, options["pair"]) == ("llamacpp-Tiny-Model", 20.0, True)
    shown = capsys.readouterr()
    assert "other programs keep 1.7 cores busy" in shown.err
    assert "\x1b" not in shown.out
    assert "Held-out error: 1.3 % (median), 4.1 % at worst (12 calls)" in shown.out

    with pytest.raises(UserError, match=r"^profiles/llamacpp-Tiny-Model.yaml exists already; .* --force$"):
        go(model="models/Tiny Model.gguf")
    assert len(asked) == 1  # refused before anything was measured
    go(model="models/Tiny Model.gguf", force=True, as_json=True)
    answer = json.loads(capsys.readouterr().out)
    assert answer["path"] == "profiles/llamacpp-Tiny-Model.yaml"
    assert Profile.model_validate(answer["profile"]) == clean


def test_a_calibration_that_fails_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for error in (ServerFailure("it died"), KeyboardInterrupt(), asyncio.CancelledError()):
        calibrated(monkeypatch, error)
        with pytest.raises(type(error)):
            go()
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quick": True, "thorough": True}, r"^expected at most one of --quick and --thorough$"),
        ({"name": "../x"}, r'^--name: expected letters, digits, "-", "_" and ".", found "../x"$'),
        ({"out": Path("x.json")}, r"^x.json: expected the name of a .yaml file$"),
        ({"out": Path("file/x.yaml")}, r"^file: the folder cannot be made: "),
    ],
)
def test_where_it_cannot_go(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert not calibrated(monkeypatch)
    with pytest.raises(UserError, match=message):
        go(**options)


def test_the_report_fits_a_narrow_terminal() -> None:
    console = Console(width=80, record=True, file=None, quiet=False, force_terminal=False, highlight=False)
    with console.capture() as captured:
        console.print(calibration_report(PROFILE, "profiles/box.yaml"))
    text = captured.get()
    assert max(len(line) for line in text.splitlines()) <= 80
    for words in (
        "4 slots on half of the cores",
        "9.01 ms",
        "0.4 %",
        "163 tok/s",
        "prompts     250 tok/s, 3.0 ms a prompt step",
        "overhead    8.0 ms a call",
        "noise       1.2 %",
        "drift       +8.1%",
        "every step takes 1.25 times",
        "nothing was held out",
        "the machine changed speed",
        "Profile box: profiles/box.yaml",
    ):
        assert words in text, words
    assert "\x1b" not in text


def test_what_to_know_comes_first() -> None:
    console = Console(width=80, record=True, file=None, quiet=False, force_terminal=False, highlight=False)
    note = "1 slot: layers on the CPU: 40 % of the model did not fit onto the accelerator."
    with console.capture() as captured:
        console.print(calibration_report(PROFILE.model_copy(update={"notes": (note,)}), "profiles/box.yaml"))
    assert captured.get().splitlines()[2] == note


def test_what_is_said_of_two_servers_on_one_device() -> None:
    shared = {"half": None, "accelerator": "NVIDIA \x1b[31mL4"}
    console = Console(width=200, record=True, file=None, quiet=False, force_terminal=False, highlight=False)
    with console.capture() as captured:
        console.print(calibration_report(PROFILE.model_copy(update=shared), "profiles/box.yaml"))
    said = "Two servers side by side, sharing NVIDIA [31mL4: every step takes 1.25 times as long."
    assert said in captured.get()
