"""`--policies FILE` on every command that reads a workload; a run remembers its file, and a report needs none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from fake_ollama import FakeOllama

from harness.cli.app import _main
from harness.runs.folder import read_run

HALF = '''
def half(queue):
    """At most half of the slots."""
    return max(1, queue.slots // 2)


CONCURRENCY = {"half": half}
'''
WORKLOAD = """
version: 1
name: tiny
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: 4}, over: items}
      join: {agent: {prompt: "Join {part}", output_tokens: 4}, after: [part]}
inputs:
  items: {list: [a, b, c]}
servers:
  s: {kind: ollama, model: m, slots: 2, url: "URL"}
compare:
  serial: {placement: s, concurrency: serial}
  mine: {placement: s, concurrency: half}
measure: {repeats: 1, warmup: 0}
timeout_s: 5
"""
PROFILE = """
version: 1
name: toy
origin: assumed
source: made up
date: null
machine: none
engine: none
model: none
slots:
  2: {step_s: {1: 0.02, 2: 0.03}, prefill_s_per_token: 0.001, prefill_batch_tokens: 64, context_s_per_token: 0.0,
      before_s: 0.002, after_s: 0.001}
contention: null
"""

Slotwise = Callable[..., tuple[int, str, str]]


@pytest.fixture
def slotwise(
    server: FakeOllama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Slotwise:
    """Return what types a command, beside a workload, its policies file and a profile: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path / "cache"))
    Path("w.yaml").write_text(WORKLOAD.replace("URL", server.url), encoding="utf-8")
    Path("mine.py").write_text(HALF, encoding="utf-8")
    Path("toy.yaml").write_text(PROFILE, encoding="utf-8")

    def slotwise(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["slotwise", *words])
        code = _main()
        return code, *capsys.readouterr()

    return slotwise


@pytest.fixture
def folder(slotwise: Slotwise) -> Path:
    """A run of that workload."""
    code, _, err = slotwise("run", "w.yaml", "--policies", "mine.py")
    assert code == 0, err
    (found,) = (entry for entry in Path("reports").iterdir() if entry.is_dir())
    return found


def cut(folder: Path) -> None:
    """Leave of a run what a kill during its last trial would have left."""
    trials = folder / "trials.jsonl"
    trials.write_text("".join(trials.read_text().splitlines(keepends=True)[:-1]))


ON = ("--profile", "toy.yaml")
PREDICTED = {
    "simulate": ("simulate", "w.yaml", *ON, "--repeats", "2", "--resamples", "0"),
    "recommend": ("recommend", "w.yaml", *ON, "--no-measure", "--seeds", "2", "--resamples", "0", "--workers", "2"),
}
READ_A_WORKLOAD = {
    **PREDICTED,
    "run": ("run", "w.yaml"),
    "score": ("score", "w.yaml", *ON),
    "check": ("check", "w.yaml"),
    "export": ("export", "w.yaml", "--as", "mermaid"),
}


@pytest.mark.parametrize("command", READ_A_WORKLOAD)
def test_a_policy_of_ones_own_needs_its_file(command: str, slotwise: Slotwise) -> None:
    code, out, err = slotwise(*READ_A_WORKLOAD[command])
    assert (code, out) == (2, "")
    assert err.startswith("slotwise: w.yaml:17:37: compare.mine.concurrency: expected ")
    assert err.endswith('found "half"; a policy of your own comes with --policies FILE\n')


def test_with_its_file_it_is_a_policy_like_the_others(slotwise: Slotwise) -> None:
    code, out, err = slotwise("check", "w.yaml", "--policies", "mine.py")
    assert code == 0, err
    assert "mine    s: half, at most 1 call at once" in out
    code, out, err = slotwise(*PREDICTED["simulate"], "--policies", "mine.py", "--json")
    assert code == 0, err
    assert [one["name"] for one in json.loads(out)["candidates"]] == ["serial", "mine"]
    assert slotwise(*READ_A_WORKLOAD["export"], "--policies", "mine.py")[0] == 0
    assert slotwise(*READ_A_WORKLOAD["score"], "--policies", "mine.py")[0] == 0


def test_it_travels_to_the_processes_of_a_search(slotwise: Slotwise) -> None:
    code, out, err = slotwise(*PREDICTED["recommend"], "--policies", "mine.py", "--json")
    assert code == 0, err
    Path("w.yaml").write_text(Path("w.yaml").read_text().replace("concurrency: half", "concurrency: window"))
    code, without, err = slotwise(*PREDICTED["recommend"], "--json")
    assert code == 0, err
    assert json.loads(out)["candidates"] > json.loads(without)["candidates"]


FILES = {
    "a syntax error": ("def half(:\n", "mine.py:1: SyntaxError: invalid syntax"),
    "an exception": ("\n1 / 0\n", "mine.py:2: ZeroDivisionError: division by zero"),
    "no dict": (
        "half = 1\n",
        "mine.py: no policy is in it; put yours into a dict CONCURRENCY, SCHEDULING or PLACEMENT",
    ),
    "a name that is taken": (
        HALF.replace('{"half"', '{"window"'),
        'mine.py: there is a concurrency policy "window" already; give yours another name',
    ),
    "no docstring": (
        'CONCURRENCY = {"half": lambda queue: 1}\n',
        "mine.py): it needs a docstring that says what it does; reports show it",
    ),
    "a limit below 0": (
        HALF.replace("max(1, queue.slots // 2)", "-1"),
        "mine.py): expected a `limit` of 1 or more calls, found -1",
    ),
}


@pytest.mark.parametrize("command", ["simulate", "recommend", "run", "check"])
@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_used_is_one_line(case: str, command: str, slotwise: Slotwise) -> None:
    text, message = FILES[case]
    Path("mine.py").write_text(text, encoding="utf-8")
    code, out, err = slotwise(*READ_A_WORKLOAD[command], "--policies", "mine.py")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert message in line
    assert not Path("reports").exists()


CLASS = '''
class Half:
    """At most half of the slots."""

    def limit(self, queue):
        return 1

    def start(self, view, now_s):
        return NUMBER


CONCURRENCY = {"half": Half}
'''
BROKEN = {
    "a negative number": ("-1", "expected `start` to return a whole number, 0 or more, found -1"),
    "an exception": ("1 // 0", "ZeroDivisionError: integer division or modulo by zero"),
    "more than its limit": ("3", "its `limit`, found 3 more beside 0"),
    "nothing, ever": ("0", "nothing would ever start again: `start` returned 0 and `wake_s` no time"),
}


@pytest.mark.parametrize("command", ["simulate", "recommend", "run"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_policy_that_breaks_its_contract_is_one_line_with_its_name(
    case: str, command: str, slotwise: Slotwise
) -> None:
    number, message = BROKEN[case]
    Path("mine.py").write_text(CLASS.replace("NUMBER", number), encoding="utf-8")
    only = ("--only", "mine") if command == "run" else ()  # nothing is measured then, and so nothing is reported
    code, out, err = slotwise(*READ_A_WORKLOAD[command], "--policies", "mine.py", *only)
    assert (code, out) == (2, "")
    said = [line for line in err.splitlines() if line.startswith("slotwise: ")]
    assert len(said) == 1 and said[0] == err.splitlines()[-1]
    assert said[0].startswith(f'slotwise: policy "half" ({Path("mine.py").absolute()}): ')
    assert message in said[0]


# --- a run that is there ----------------------------------------------------------------------------------------------


def test_a_run_goes_on_where_its_file_is_named_again(slotwise: Slotwise, folder: Path) -> None:
    cut(folder)
    assert len(read_run(folder).trials) == 1
    code, _, err = slotwise("run", "--resume", str(folder))
    assert code == 2
    assert f"add --policies {Path('mine.py').absolute()} (a copy is {folder}/policies.py)" in err
    code, _, err = slotwise("run", "--resume", str(folder), "--policies", "mine.py")
    assert code == 0, err
    run = read_run(folder)
    assert {trial.candidate for trial in run.trials} == {"serial", "mine"}
    assert run.notes[0].text.startswith("Resumed on ")
    Path("mine.py").rename("moved.py")  # the same, elsewhere
    cut(folder)
    code, _, err = slotwise("run", "--resume", str(folder), "--policies", "moved.py")
    assert code == 0, err


def test_a_changed_file_is_noticed(slotwise: Slotwise, folder: Path) -> None:
    cut(folder)
    Path("mine.py").write_text(HALF.replace("// 2", "// 3"), encoding="utf-8")
    before = (folder / "calls.jsonl").read_bytes()
    for command in (("run", "--resume", str(folder)), ("score", "w.yaml", *ON, "--run", str(folder))):
        code, out, err = slotwise(*command, "--policies", "mine.py")
        assert (code, out) == (2, "")
        assert err == (
            f"slotwise: {folder}: the run was begun with this policies file as it was before it was changed; go on "
            f"with the same (a copy is in {folder}/policies.py), or begin a new run\n"
        )
    assert (folder / "calls.jsonl").read_bytes() == before
    assert (folder / "policies.py").read_text(encoding="utf-8") == HALF


def test_a_score_and_measured_lengths_need_the_file_named(slotwise: Slotwise, folder: Path) -> None:
    for command in (("score", "w.yaml", *ON, "--run", str(folder)), (*PREDICTED["simulate"], "--lengths", str(folder))):
        code, _, err = slotwise(*command)
        assert code == 2 and "add --policies /" in err
        code, out, err = slotwise(*command, "--policies", "mine.py")
        assert code == 0, err
    Path("other.py").write_text(HALF.replace("// 2", "// 1"), encoding="utf-8")  # lengths are of use to another policy
    code, other, err = slotwise(*PREDICTED["simulate"], "--lengths", str(folder), "--policies", "other.py")
    assert code == 0, err
    assert out != other


def test_a_run_begun_without_is_not_gone_on_with(slotwise: Slotwise) -> None:
    Path("w.yaml").write_text(Path("w.yaml").read_text().replace("concurrency: half", "concurrency: window"))
    assert slotwise("run", "w.yaml", "--policies", "mine.py")[0] == 0  # it may name policies, and names none
    (folder,) = (entry for entry in Path("reports").iterdir() if entry.is_dir())
    assert read_run(folder).policy_files == ()
    cut(folder)
    code, _, err = slotwise("run", "--resume", str(folder), "--policies", "mine.py")
    assert code == 2
    assert "the run was begun without policies of your own" in err
    assert slotwise("run", "--resume", str(folder))[0] == 0


def test_a_candidate_that_was_left_out_may_have_had_a_policy_of_its_own(slotwise: Slotwise) -> None:
    Path("both.py").write_text(f"{HALF}\nCONCURRENCY['third'] = CONCURRENCY['half']\n", encoding="utf-8")
    text = Path("w.yaml").read_text(encoding="utf-8")
    Path("w.yaml").write_text(text.replace("compare:\n", "compare:\n  other: {concurrency: third}\n"), encoding="utf-8")
    code, _, err = slotwise(*PREDICTED["simulate"], "--policies", "both.py", "--only", "mine", "--out", "kept")
    assert code == 0, err
    (folder,) = Path("kept").iterdir()
    code, out, err = slotwise("report", str(folder))
    assert code == 0, err
    assert "mine" in out


def test_what_only_reads_a_run_needs_no_file(slotwise: Slotwise, folder: Path) -> None:
    shutil.copytree(folder, "reports/other")
    Path("mine.py").unlink()
    for command in (
        ("report", str(folder)),
        ("report", str(folder), "--settings", "asyncio", "--candidate", "mine"),
        ("compare", str(folder), "reports/other"),
        ("runs",),
        ("export", str(folder), "--as", "csv"),
        ("export", str(folder), "--as", "mermaid"),
    ):
        code, out, err = slotwise(*command)
        assert code == 0, err
        assert out
    assert "half" in (folder / "report.md").read_text(encoding="utf-8")
    cut(folder)
    code, _, err = slotwise("run", "--resume", str(folder))
    assert code == 2
    assert "a file is only executed where the command line names it: add --policies /" in err
    code, _, err = slotwise("export", str(folder), "--as", "mermaid", "--policies", "mine.py")
    assert (code, err) == (2, "slotwise: --policies goes with a workload file; a run's folder needs none\n")


def test_nothing_that_a_folder_or_a_workload_names_is_executed(slotwise: Slotwise, folder: Path) -> None:
    """Somebody else's run: its policies.py and the file that it names would leave a trace."""
    trace = Path("executed").absolute()
    evil = f"open({str(trace)!r}, 'w').close()\n{HALF}"
    (folder / "policies.py").write_text(evil, encoding="utf-8")
    Path("mine.py").write_text(evil, encoding="utf-8")
    head = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    assert head["policy_files"][0]["where"] == str(Path("mine.py").absolute())
    shutil.copytree(folder, "reports/other")
    for command in (
        ("report", str(folder)),
        ("compare", str(folder), "reports/other"),
        ("runs",),
        ("export", str(folder), "--as", "mermaid"),
        ("export", str(folder), "--as", "otlp"),
    ):
        code, _, err = slotwise(*command)
        assert code == 0, err
    cut(folder)
    resumed = ("run", "--resume", str(folder))
    for where in (folder / "policies.py", Path("mine.py")):  # the same to the last byte, but somebody else's
        named = {"where": str(where.absolute()), "sha256": sha256(evil.encode()).hexdigest()}
        (folder / "environment.json").write_text(json.dumps({**head, "policy_files": [named]}), encoding="utf-8")
        for again in (resumed, (*PREDICTED["simulate"], "--lengths", str(folder))):
            code, _, err = slotwise(*again)
            assert code == 2 and f"add --policies {where.absolute()}" in err
    text = Path("w.yaml").read_text(encoding="utf-8")
    Path("w.yaml").write_text(f"policies: mine.py\n{text}", encoding="utf-8")
    code, _, err = slotwise("check", "w.yaml")
    assert code == 2 and 'unknown key "policies"' in err
    assert not trace.exists()
    slotwise("check", "w.yaml", "--policies", "mine.py")  # it would have been seen
    assert trace.exists()
