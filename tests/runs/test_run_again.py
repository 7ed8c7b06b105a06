"""From a run's folder alone its workload can be checked and run again: the same work, on the same servers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
import yaml
from analysis import records as make
from hypothesis import given, settings
from hypothesis import strategies as st
from predict.paper import knowing
from runs import virtual_run as virtual

from harness.app.export import export
from harness.cli.app import _main
from harness.content import shipped
from harness.errors import UserError, WorkloadError
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.runs.folder import RunFolder, read_run
from harness.runs.head import head_files, read_head
from harness.runs.model import Run
from harness.runs.resume import check_same
from harness.servers.simulated import profile_of
from harness.workload.inputs import fixed_inputs
from harness.workload.load import Loaded, Overrides, load_workload
from harness.workload.mistakes import Mistakes
from harness.workload.portable import copies, portable
from harness.workload.schema import SimulatedServer, Workload
from harness.workload.source import Source, parse_yaml

WORKLOADS = sorted((shipped() / "workloads").glob("*.yaml"))


def header(loaded: Loaded) -> Run:
    return virtual.header(loaded)._replace(copies=loaded.copies())


def written(parent: Path, run: Run) -> Path:
    with RunFolder.create(parent, "w", virtual.STARTED) as folder:
        folder.write_header(run)
        folder.add_records(run)
    return folder.path


def simulated(loaded: Loaded) -> Run:
    profile = knowing(load_profile("epyc-2core"), loaded)
    models = {model: profile for models in loaded.models.values() for model in models}
    models = {model: profile for model in models if model not in loaded.embedding_models}
    several = models if len(models) > 1 else None  # what one model's calls cost does for all here
    given = {"load_s": 0.5} if several else None
    return predict(loaded, profile, repeats=2, extrapolate=True, by_model=several, given=given).run


def same(copy: Loaded, loaded: Loaded) -> None:
    """Both do the same work, in the same ways, on the same servers."""
    assert (copy.pipelines, copy.plans, copy.servers) == (loaded.pipelines, loaded.plans, loaded.servers)
    assert (copy.models, copy.derived, copy.inputs) == (loaded.models, loaded.derived, loaded.inputs)
    assert (copy.agents, copy.prompts, copy.work()) == (loaded.agents, loaded.prompts, loaded.work())
    assert (copy.workload.measure, copy.workload.seed) == (loaded.workload.measure, loaded.workload.seed)


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.stem)
def test_every_shipped_workload_runs_again_from_its_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_workload(path)
    folder = written(tmp_path / "reports", header(loaded))
    monkeypatch.chdir(tmp_path)  # nothing of the repository is near
    moved = folder.rename(tmp_path / "elsewhere")
    copy = load_workload(moved / "workload.yaml")
    same(copy, loaded)
    first, again = simulated(loaded), simulated(copy)
    assert list(again.calls) == list(first.calls)
    assert (again.jobs, again.delays, again.trials) == (first.jobs, first.delays, first.trials)

    # As short as it was written, but for the role cards.
    text, plain = (parse_yaml((at).read_text(encoding="utf-8"), "w").data for at in (path, moved / "workload.yaml"))
    plain.pop("agents")
    if "inputs" in plain:
        assert set(plain.pop("inputs")) == set(text.pop("inputs"))
    assert plain == {key: value for key, value in text.items() if key != "agents"}

    # Once more: a copy's copy is the copy.
    last = written(tmp_path / "again", header(copy))
    assert (last / "workload.yaml").read_bytes() == (moved / "workload.yaml").read_bytes()


CARD = """\
---
output_tokens: {empirical: lengths.txt}
---
## Prompt
Say of {item}:
  - 08
"""
EVERYTHING = """\
version: 1
name: everything
description: "1e3"
pipelines:
  chat:
    path: interactive
    arrival: {trace: arrivals.csv}
    nodes:
      reply: {agent: mine, over: documents, enough: 1}
      sort: {agent: {prompt: "yes", output_tokens: 2}, branch: {a: 0.25, b: {p: 0.75}}, after: [reply]}
      wait: {tool: {delay_s: {empirical: lengths.txt}}, after: [sort.a]}
  more:
    path: batch
    jobs: 2
    nodes:
      again: {pipeline: loop, repeat: {max: 2, until: 0.5}}
subpipelines:
  loop:
    nodes:
      call: {agent: {prompt: "go on", output_tokens: 2}}
  unused:
    nodes:
      call: {agent: spare}
inputs:
  documents: {files: "texts/*"}
  listed: {list: ["08", " ", "a\\n b", "null", "a: b", "#"]}
servers:
  by-name: {kind: simulated, profile: toy, slots: 1}
  by-path: {kind: simulated, profile: DIR/other/toy.yaml, slots: 2, threads: null}
  beside: {kind: simulated, profile: profiles/paths/toy.yaml, slots: 2}
compare:
  short: serial
  long: {placement: by-path, scheduling: interactive-first, ageing_s: 30, limit: 2}
  third: {placement: {least-loaded: [by-name, beside]}, concurrency: {beside: waves}, max_wait_s: 1.0}
seed: 3
"""
PROFILE = """\
version: 1
name: NAME
origin: assumed
source: made up
date: null
machine: none
engine: none
model: none
slots:
  1: {step_s: {1: 0.125}, prefill_s_per_token: 0.0078125, prefill_batch_tokens: 512, context_s_per_token: 0,
      before_s: 0, after_s: 0}
contention: null
"""
ITEMS = {"b.md": "one\r\n\ntwo ", "a.txt": "\ufeffthree \x0c \u202e four\u2028", "c": "five\r\r\nsix\rseven"}


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """A workload that names files of every kind."""
    here, other = tmp_path / "here", tmp_path / "other"
    for name in ("texts", "agents", "profiles/paths"):
        (here / name).mkdir(parents=True)
    other.mkdir()
    for name, text in ITEMS.items():
        (here / "texts" / name).write_bytes(text.encode("utf-8-sig"))
    (here / "agents/mine.md").write_text(CARD)
    (here / "agents/spare.md").write_text("---\noutput_tokens: 3\n---\nSpare\n")
    (here / "profiles/toy.yaml").write_text(PROFILE.replace("NAME", "first"))
    (other / "toy.yaml").write_text(PROFILE.replace("NAME", "second"))
    (here / "profiles/paths/toy.yaml").write_text(PROFILE.replace("NAME", "third"))
    (here / "arrivals.csv").write_text("time_s\n" + "".join(f"{number / 7!r}\n" for number in range(25_000)))
    for folder in (here, here / "agents"):
        (folder / "lengths.txt").write_text("".join(f"{number % 9 + 1}\n" for number in range(5_000)))
    path = here / "w.yaml"
    path.write_text(EVERYTHING.replace("DIR", str(tmp_path)))
    return path


def profiles(loaded: Loaded) -> dict[str, str]:
    near = loaded.path.parent
    servers = loaded.workload.servers.items()
    return {name: profile_of(spec, near).name for name, spec in servers if isinstance(spec, SimulatedServer)}


def test_what_a_workload_names_by_file_goes_with_its_run(everything: Path, tmp_path: Path) -> None:
    loaded = load_workload(everything)
    used, resolved = profiles(loaded), loaded.resolved()
    assert used == {"by-name": "first", "by-path": "second", "beside": "third"}
    folder = written(tmp_path / "reports", header(loaded))
    for gone in ("here", "other"):
        shutil.rmtree(tmp_path / gone)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "calls.jsonl",
        "delays.jsonl",
        "environment.json",
        "inputs/documents/00001.txt",
        "inputs/documents/00002.txt",
        "inputs/documents/00003.txt",
        "jobs.jsonl",
        "numbers/agents.mine.output_tokens.txt",
        "numbers/pipelines.chat.arrival.txt",
        "numbers/pipelines.chat.nodes.wait.tool.delay_s.txt",
        "profiles/2/toy.yaml",
        "profiles/paths/toy.yaml",
        "profiles/toy.yaml",
        "slots.jsonl",
        "trials.jsonl",
        "workload.yaml",
    ]
    copy = load_workload(folder / "workload.yaml")
    assert copy.workload.agents["spare"].prompt == "Spare"
    named = {name: spec.model_copy(update={"profile": ""}) for name, spec in copy.servers.items()}
    assert named == {name: spec.model_copy(update={"profile": ""}) for name, spec in loaded.servers.items()}
    assert profiles(copy) == used
    same(copy._replace(servers=loaded.servers), loaded)
    assert read_head(folder).workload == resolved == copy.workload == copy.resolved()
    assert len((folder / "workload.yaml").read_bytes()) < 4_000


def test_without_the_documents_a_run_is_read_and_says_what_it_lacks(everything: Path, tmp_path: Path) -> None:
    run = header(load_workload(everything))
    folder = written(tmp_path / "reports", run)
    shutil.rmtree(folder / "inputs")
    assert read_run(folder)._replace(notes=(), copies=run.copies) == run
    with pytest.raises(WorkloadError, match=r'no file matches "inputs/documents/\*\.txt" in the folder'):
        load_workload(folder / "workload.yaml")


def test_the_graph_of_a_run_is_drawn_with_and_without_its_documents(everything: Path, tmp_path: Path) -> None:
    run = simulated(load_workload(virtual.write_workload(tmp_path)))
    folder = written(tmp_path / "reports", header(load_workload(everything)))
    assert "reply x3" in "\n".join(export(folder, "mermaid"))
    folder = written(tmp_path / "reports", run)
    whole = (folder / "workload.yaml").read_text()
    (folder / "workload.yaml").write_text(
        whole.replace("  items:\n    list:\n    - a\n    - b\n", "  items: {files: gone/*}\n")
    )
    assert "part x2" in "\n".join(export(folder, "mermaid"))


def test_numbers_that_are_gone_are_named(everything: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "reports", header(load_workload(everything)))
    shutil.rmtree(folder / "numbers")
    with pytest.raises(UserError, match=r"workload\.yaml: .*numbers/.*\.txt: no such file"):
        read_head(folder)


def test_numbers_of_a_run_from_elsewhere_are_read_in_its_folder_alone(everything: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "reports", header(load_workload(everything)))
    path = folder / "workload.yaml"
    path.write_text(path.read_text().replace("numbers/pipelines.chat.arrival.txt", "../../here/arrivals.csv"))
    with pytest.raises(UserError, match="expected a path that stays in the workload's folder"):
        read_head(folder)


def test_a_run_goes_on_whether_it_names_places_or_copies(everything: Path, tmp_path: Path) -> None:
    """Runs of before named documents and profiles as the workload's file does."""
    loaded = load_workload(everything)
    before = loaded.workload.model_copy(update={"agents": loaded.resolved().agents})
    for workload in (before, loaded.resolved()):
        head = read_head(written(tmp_path / "reports", header(loaded)._replace(workload=workload)))
        check_same(tmp_path, head, loaded)
    (everything.parent / "texts/c").write_text("another")
    with pytest.raises(UserError, match=r"begun with \(inputs\)"):
        check_same(tmp_path, head, load_workload(everything))


def test_credentials_stay_behind_and_the_rest_runs_on_another_address(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    url = "http://me:s3cret@127.0.0.1:11434"
    path.write_text(virtual.WORKLOAD.replace("{kind: llamacpp, slots: 2}", f'{{kind: ollama, model: m, url: "{url}"}}'))
    loaded = load_workload(path)
    folder = written(tmp_path / "reports", header(loaded))
    assert "s3cret" not in "".join(file.read_text() for file in folder.iterdir())
    copy = load_workload(folder / "workload.yaml")
    assert copy.plans == loaded.plans
    same(load_workload(folder / "workload.yaml", Overrides(server_urls={"s": url})), loaded)


def test_options_of_the_command_line_are_in_the_copy(tmp_path: Path) -> None:
    path = virtual.write_workload(tmp_path)
    asked = Overrides(engine="ollama", model="llama3.2", repeats=3, warmup=0, scale=2, seed=9)
    loaded = load_workload(path, asked)
    folder = written(tmp_path / "reports", header(loaded))
    same(load_workload(folder / "workload.yaml"), loaded)


def test_a_prediction_is_made_again_with_the_profile_that_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(virtual.WORKLOAD)
    Path("some.yaml").write_text(PROFILE.replace("NAME", "mine"))
    runs = []
    for file, profile in (("w.yaml", "some.yaml"), ("reports/first/workload.yaml", "mine")):
        words = [
            "simulate",
            file,
            "--profile",
            profile,
            "--repeats",
            "2",
            "--resamples",
            "0",
            "--extrapolate",
            "--out",
            "reports",
        ]
        monkeypatch.setattr("sys.argv", ["slotwise", *words])
        assert _main() == 0, capsys.readouterr().err
        (made,) = Path("reports").glob("tiny-*/")
        runs.append(read_run(made))
        made.rename("reports/first" if not Path("reports/first").exists() else "reports/again")
        for gone in Path().glob("*.yaml"):
            gone.unlink()
    first, again = runs
    assert again.calls == first.calls and again.calls
    assert (again.workload, again.plans, again.work) == (first.workload, first.plans, first.work)


# --- texts ------------------------------------------------------------------------------------------------------------

READABLE = st.characters(
    exclude_categories=["Cs", "Cc"], exclude_characters="\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
TEXTS = st.one_of(
    st.text(st.one_of(READABLE, st.sampled_from("\n\n\t :#-'\"{}[]|>%&*!?,0123456789eE.+"))),
    st.from_regex(r"[-+]?(0|1)?[0-9_]*\.?[0-9]*([eE][-+]?[0-9]+)?", fullmatch=True),
    st.sampled_from(["", "~", "null", "yes", "Off", "<<", "=", "2026-03-04", "12:30", "0x1F", "0o7", ".inf"]),
)  # fmt: skip


@settings(deadline=None)  # pydantic builds its models when the first one is made
@given(TEXTS)
def test_every_text_is_read_back_as_it_was(text: str) -> None:
    agent = {"prompt": "x" + text, "output_tokens": 1}
    plain = {
        "version": 1,
        "name": "w",
        "description": text,
        "pipelines": {"p": {"path": "batch", "jobs": 1, "nodes": {"a": {"agent": agent}}}},
        "inputs": {"i": {"list": [text, text + "\n", " " + text]}},
    }
    text_of = head_files(make.run(spec=Workload.model_validate(plain)))["workload.yaml"]
    assert parse_yaml(text_of, "w").data == plain
    assert yaml.safe_load(text_of) == plain  # as `read_head` reads it


ANY = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\r\n\ufeff")))


@settings(deadline=None)  # it writes files
@given(st.lists(ANY, max_size=3))
def test_every_document_is_read_back_as_it_was(texts: list[str]) -> None:
    items = tuple(item for text in texts if (item := text.replace("\r\n", "\n").strip()))
    workload = make.workload(inputs={"d": {"files": "*.md"}})
    with tempfile.TemporaryDirectory() as folder:
        for name, data in copies(workload, {"d": items}, Path(folder)).items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        mistakes = Mistakes(Source("w", {}, {}, {}))
        found = fixed_inputs(portable(workload, Path(folder)).inputs, Path(folder), mistakes)
    assert found["d"] == items
    assert bool(mistakes) == (not items)
