"""`slotwise recommend` from the outside: answers, files, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recommend.workloads import PROFILE, both, fan

from harness.app import sweep as sweeping
from harness.app.options import SweepOptions
from harness.cli.app import _main
from harness.cli.options import memory_bytes, time_s
from harness.errors import UserError
from harness.measure.progress import Progress


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "fan.yaml").write_text(fan(8), encoding="utf-8")
    small = both("p50_s: 4").replace("jobs: 2", "jobs: 1").replace('"two", "three", "four", "five"', '"two"')
    (tmp_path / "both.yaml").write_text(small, encoding="utf-8")
    embedded = fan(8).replace("kind: ollama, model: gemma4", "kind: llamacpp, context_tokens: 1024")
    (tmp_path / "embedded.yaml").write_text(embedded, encoding="utf-8")
    (tmp_path / "paper.yaml").write_text(PROFILE, encoding="utf-8")
    return tmp_path


def slotwise(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["slotwise", "recommend", *arguments])
    return _main()


QUICK = ("--no-measure", "--workers", "1", "--seeds", "2", "--resamples", "0")
M1 = ("--profile", "m1-published", "--assume", "prefill_s_per_token=0.0004")


def test_the_terminal_report_fits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert slotwise(monkeypatch, "both.yaml", "--profile", "paper.yaml", *QUICK, "--full") == 0
    text = capsys.readouterr().out
    for title in ("Why", "Pareto front", "Sensitivity", "Lower bounds"):
        assert title in text
    commands = ("OLLAMA_", "  ")  # to be copied: not broken
    assert all(len(line) <= 80 for line in text.splitlines() if not any(word in line for word in commands))


def test_json_and_files(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert slotwise(monkeypatch, "fan.yaml", *M1, *QUICK, "--json", "--out", "reports") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["answer"] == ["window-on-4"]
    assert found["origin"] == "predicted"
    assert found["useful_concurrency"]["in_flight"] == 4
    (written,) = (folder / "reports").glob("*/recommendation.md")
    text = written.read_text(encoding="utf-8")
    assert text.startswith("# fan: recommendation")
    assert "## Pareto front" in text
    assert json.loads(written.with_suffix(".json").read_text(encoding="utf-8"))["answer"] == found["answer"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [("serve", "OLLAMA_NUM_PARALLEL=4"), ("systemd", "[Service]"), ("asyncio", "asyncio.Semaphore(4)")],
)
def test_settings_alone_and_whole_in_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, kind: str, said: str
) -> None:
    assert slotwise(monkeypatch, "fan.yaml", *M1, *QUICK, "--settings", kind, "--out", "reports") == 0
    text = capsys.readouterr().out
    assert said in text
    assert "recommendation" not in text
    (written,) = (folder / "reports").glob("*/recommendation.md")
    assert text.strip() in written.read_text(encoding="utf-8")


def test_a_budget_too_short_is_said_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = QUICK[1:]
    assert slotwise(monkeypatch, "fan.yaml", *M1, *quick, "--budget", "1s") == 0
    assert "Prediction only: a budget of 1.00 s is too short" in " ".join(capsys.readouterr().out.split())


EPYC = ("--profile", "epyc-2core", *QUICK)


def test_slots_have_less_context_where_only_so_they_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """140 MB hold one slot of 1024 tokens, or four of 256."""
    assert slotwise(monkeypatch, "embedded.yaml", "--memory", "140MB", *EPYC, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    (cut,) = [text for text in found["left_out"] if text.startswith("slots of 1024 tokens in ")]
    assert cut.endswith("140.0 MB that is given (--memory); they have 256, enough for the longest call")
    for use in found["uses"]:
        assert use["context_tokens"] == (256 if use["candidate"].endswith("-in-256") else 1024)
    assert "OLLAMA_CONTEXT_LENGTH=" in json.dumps(found["analysis"])


def test_slots_have_more_context_where_the_longest_call_needs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    text = fan(8, 300).replace("kind: ollama, model: gemma4", "kind: llamacpp, context_tokens: 256")
    (folder / "long.yaml").write_text(text, encoding="utf-8")
    assert slotwise(monkeypatch, "long.yaml", *EPYC, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert "slots of 256 tokens, as in the file: too short for the longest call; all have 512" in found["left_out"]
    assert {use["context_tokens"] for use in found["uses"]} == {512}
    assert not any("would be cut or refused" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fan.yaml", *QUICK), "no profile of this machine with gemma4"),
        (("fan.yaml", *M1, *QUICK, "--settings", "sytemd"), 'did you mean "systemd"?'),
        (("fan.yaml", *M1, *QUICK, "--budget", "soon"), "--budget: expected a time"),
        (("fan.yaml", *M1, *QUICK, "--memory", "much"), "--memory: expected a size"),
        (("fan.yaml", "--profile", "m1-published", *QUICK), "prefill_s_per_token"),
        (("none.yaml", *QUICK), "none.yaml"),
        (("fan.yaml", "--server", "four-slot=somewhere", *QUICK), "--server four-slot: expected an address"),
        ((), "name a workload, or a model with --model"),
        (
            ("embedded.yaml", "--memory", "50MB", *EPYC),
            "there is no memory for even one slot of smollm2-135m: it takes 1",
        ),
        (("fan.yaml", "--profile", "gemma4=m1-published", *QUICK), "--profile: expected --profile NAME"),
        (("fan.yaml", "--profile", "paper.yaml", "--profile", "m1-publishd", *QUICK), 'did you mean "m1-published"'),
    ],
)
def test_mistakes_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert slotwise(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_without_a_workload_it_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[tuple[str, ...], SweepOptions]] = []

    def fake(models: tuple[str, ...], options: SweepOptions, progress: Progress) -> sweeping.Swept:
        asked.append((models, options))
        return sweeping.Swept((), {}, interrupted=False, failure=None)

    monkeypatch.setattr(sweeping, "sweep", fake)
    assert slotwise(monkeypatch, "--model", "m", "--max-slots", "8") == 0
    assert slotwise(monkeypatch, "--model", "m", "--server", "http://127.0.0.1:1", "--json") == 0
    (first, second) = asked
    assert first == (("m",), SweepOptions(engine="llamacpp", most=8))
    assert second == (("m",), SweepOptions(engine="llamacpp", most=64, server="http://127.0.0.1:1"))


def test_times_and_sizes() -> None:
    assert [time_s("--budget", text) for text in ("90s", "5m", "1.5h", "30")] == [90, 300, 5400, 30]
    assert [memory_bytes(text) for text in ("8GB", "512 MiB")] == [8 * 10**9, 512 * 2**20]
    with pytest.raises(UserError):
        time_s("--budget", "-1s")


def test_what_of_the_file_cannot_be_predicted_is_said_before_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    three = "servers:\n  one: {kind: ollama, model: gemma4}\n  two: {kind: ollama, model: gemma4, slots: 3}\n"
    text = fan(4).partition("servers:")[0] + three
    compare = "compare:\n  serial: {placement: one, concurrency: serial}\n  three: {placement: two}\n"
    (folder / "named.yaml").write_text(text + compare, encoding="utf-8")
    assert slotwise(monkeypatch, "named.yaml", "--profile", "paper.yaml", *QUICK) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '! Missing: "three" could not be predicted. The answer covers the others only.'
    assert lines[1].startswith("Run ")
    assert slotwise(monkeypatch, "named.yaml", "--profile", "paper.yaml", *QUICK, "--full") == 0
    assert '- "three" is not predicted: ' in " ".join(capsys.readouterr().out.split())
