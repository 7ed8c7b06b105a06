"""Old names of keys in workloads: named by `check`, renamed by `slotwise migrate` without touching anything else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cli.app import _main
from harness.content import shipped
from harness.errors import WorkloadError
from harness.workload.load import load_workload
from harness.workload.migrate import rewrite
from harness.workload.renamed import RENAMED, workload_of_today
from harness.workload.source import parse_yaml

WORKLOADS = sorted((shipped() / "workloads").glob("*.yaml"))
# Older runs, of which the summary alone was kept; rush-hour has become another workload since.
GALLERY = [
    path
    for path in sorted((Path(__file__).parents[2] / "reports/gallery").glob("*/workload.yaml"))
    if not (path.parent / "environment.json").exists() and path.parent.name != "rush-hour"
]

HEAD = """\
# a comment: place, cap and order
version: 1
name: w
pipelines:
  order:                     # a pipeline of that name
    path: batch
    jobs: 1
    nodes:
      cap: {agent: {prompt: "cap: {place}", output_tokens: 5}}
inputs: {place: {list: [order]}}
servers:
  place: {kind: llamacpp, slots: 1}
  cap: {kind: llamacpp, slots: 4}
compare:
"""
OLD = (
    HEAD
    + """\
  # before
  flow: {place: place, cap: serial}   # {cap: serial}
  quoted: {"place":cap,'cap' : window, max_in_flight: 3, "order": 'interactive-first'}
  block:
    place:
      order: cap
    # between
    cap: {cap: window}
    order : interactive-first

    ageing_s: 30.0 # kept, because it has an effect
  text: waves
seed: 7
"""
)
NEW = (
    HEAD
    + """\
  # before
  flow: {placement: place, concurrency: serial}   # {cap: serial}
  quoted: {"placement":cap,'concurrency' : window, limit: 3, "scheduling": 'interactive-first'}
  block:
    placement:
      order: cap
    # between
    concurrency: {cap: window}
    scheduling : interactive-first

    ageing_s: 30.0 # kept, because it has an effect
  text: waves
seed: 7
"""
)

NO_WORKLOAD = "w.yaml: no workload: expected the keys `version` and `pipelines`, found"
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    monkeypatch.chdir(tmp_path)

    def typed(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["slotwise", "migrate", *map(str, words)])
        code = _main()
        return code, *capsys.readouterr()

    return typed


def test_only_names_change(typed: Typed, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(OLD)
    assert typed("w.yaml") == (0, "w.yaml: 9 keys renamed\n", "")
    assert path.read_text() == NEW
    load_workload(path)
    assert typed("w.yaml") == (0, "w.yaml: nothing to rename\n", "")
    assert path.read_text() == NEW
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r", "\u2028"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_breaks_and_the_byte_order_mark_stay(typed: Typed, tmp_path: Path, line_break: str, mark: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes((mark + OLD.replace("\n", line_break)).encode())
    path.chmod(0o640)
    assert typed("w.yaml")[0] == 0
    assert path.read_bytes() == (mark + NEW.replace("\n", line_break)).encode()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_file_without_a_last_line_break(tmp_path: Path) -> None:
    assert rewrite(OLD[: OLD.index("seed")].rstrip() + "\n  last: {cap: serial}", "w.yaml").text.endswith(
        "last: {concurrency: serial}"
    )


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.stem)
def test_shipped_workloads_with_old_names_become_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    before, key, compare = text.partition("\ncompare:")
    for old, new in RENAMED.items():
        compare = re.sub(rf"(?<=[{{ ]){new}:", f"{old}:", compare)
    old_text = before + key + compare
    assert rewrite(old_text, path.name).text == text
    assert (old_text == text) == (not compare)


NAMES = st.sampled_from([*RENAMED, *RENAMED.values(), "a", "serial", "waves", "yes", "1e3", "x: {cap: y}"])
SCALARS = st.one_of(NAMES, st.sampled_from([1, 1.0, 30.0, None, True, "", " ", "#", "a\ncap: b\n", "\u2028"]))
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3))
)
ROUTINGS = st.one_of(VALUES, st.dictionaries(st.one_of(NAMES, st.sampled_from(["max_wait_s", "reserve"])), SCALARS))


@settings(deadline=None)
@given(
    compare=st.dictionaries(NAMES, ROUTINGS, max_size=4),
    rest=st.dictionaries(NAMES, VALUES, max_size=3),
    flow=st.sampled_from([True, False, None]),
    quotes=st.sampled_from(["'", '"', None]),
    aliases=st.booleans(),
)
def test_whatever_is_rewritten_reads_as_the_same_with_other_keys(
    compare: dict[str, object], rest: dict[str, object], flow: bool | None, quotes: str | None, aliases: bool
) -> None:
    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, _: object) -> bool:
            return not aliases

    plain = {"version": 1, "pipelines": rest, "compare": compare, "again": compare if aliases else rest}
    text = yaml.dump(plain, Dumper=Dumper, default_flow_style=flow, default_style=quotes)
    before = parse_yaml(text, "w").data
    try:
        done = rewrite(text, "w")
    except WorkloadError:
        twice = [
            candidate
            for candidate in before["compare"].values()
            if isinstance(candidate, dict) and len(candidate) > len(_today(candidate))
        ]
        assert twice or aliases  # both names are there, or the candidates stand elsewhere, too
        return
    assert workload_of_today(parse_yaml(done.text, "w").data) == workload_of_today(before)
    assert bool(done.renamed) == any(
        key in RENAMED for candidate in before["compare"].values() for key in _keys(candidate)
    )
    if not done.renamed and not done.left_out:
        assert done.text == text


def _keys(value: object) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _today(candidate: dict[str, object]) -> set[str]:
    return {RENAMED.get(key, key) for key in candidate}


def test_a_candidate_that_is_an_alias_is_renamed_where_it_is_written() -> None:
    done = rewrite(HEAD + "  a: &a {cap: serial}\n  b: *a\n", "w.yaml")
    assert (done.text, done.renamed) == (HEAD + "  a: &a {concurrency: serial}\n  b: *a\n", 1)


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        ("  a: {cap: serial, concurrency: serial}\n", "w.yaml:15:7: `cap` is called `concurrency` now, and both"),
        ("  a: {&x cap: serial}\n", "w.yaml:15:7: `cap` is called `concurrency` now, but an anchor"),
        ('  a: {"c\\x61p": serial}\n', "w.yaml:15:7: `cap` is called `concurrency` now, but an anchor"),
        ("  a: &a {cap: serial}\nservers2: *a\n", "w.yaml:14:1: renaming here would change more than the candidates"),
        ("  a: [\n", "w.yaml:16:1: not readable as YAML"),
    ],
)  # fmt: skip
def test_what_cannot_be_renamed_in_place_is_left_alone(
    typed: Typed, tmp_path: Path, compare: str, message: str
) -> None:
    (tmp_path / "w.yaml").write_text(HEAD + compare)
    code, out, err = typed("w.yaml")
    assert (code, out) == (2, "")
    assert err.startswith(f"slotwise: {message}")
    assert (tmp_path / "w.yaml").read_text() == HEAD + compare


def test_default_settings_without_effect_are_left_out_and_others_stay() -> None:
    block = """\
  a:
    cap: serial
    max_wait_s: 1.0
    ageing_s: 30.0
    reserve: 1
  b:
    cap: waves
    max_wait_s: 1.0
    reserve: 2
    ageing_s: 30.0    # says why
  c:
    cap: {cap: reserve}
    reserve: 1
    order: shortest-first
    ageing_s: 30.0
"""
    done = rewrite(HEAD + block, "w.yaml")
    assert done.left_out == ("max_wait_s", "ageing_s", "reserve")
    assert done.text == HEAD + (
        "  a:\n    concurrency: serial\n"
        "  b:\n    concurrency: waves\n    max_wait_s: 1.0\n    reserve: 2\n    ageing_s: 30.0    # says why\n"
        "  c:\n    concurrency: {cap: reserve}\n    reserve: 1\n    scheduling: shortest-first\n    ageing_s: 30.0\n"
    )


def test_check_changes_nothing_and_exits_with_1(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    said = "old.yaml: 9 keys to rename\nnew.yaml: nothing to rename\n"
    reason = "slotwise: 1 file would be changed; slotwise migrate renames the keys\n"
    assert typed("--check", "old.yaml", "new.yaml") == (1, said, reason)
    assert (tmp_path / "old.yaml").read_text() == OLD
    assert typed("--check", "new.yaml")[0] == 0


def test_a_folder_means_its_workloads(typed: Typed, tmp_path: Path) -> None:
    folder = tmp_path / "some"
    (folder / "below.yaml").mkdir(parents=True)
    (folder / "below.yaml/w.yaml").write_text(OLD)
    (folder / "profile.yaml").write_text("version: 1\nname: p\norder: 3\n")
    (folder / "list.yml").write_text("- cap\n")
    (folder / "notes.md").write_text(OLD)
    code, out, err = typed("some")
    assert (code, out) == (2, "")
    assert err == "slotwise: some: no workload in this folder; name the files, or the folder that they are in\n"
    (folder / "a.yaml").write_text(OLD)
    (folder / "b.yml").write_text(NEW)
    (folder / "c.yaml").write_text("a: [\n")
    code, out, err = typed("some")
    assert (code, out) == (2, "some/a.yaml: 9 keys renamed\nsome/b.yml: nothing to rename\n")
    assert err.startswith("slotwise: some/c.yaml:2:1: not readable as YAML")
    assert (folder / "below.yaml/w.yaml").read_text() == (folder / "notes.md").read_text() == OLD


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "w.yaml: no such file"),
        (b"", f"{NO_WORKLOAD} nothing"),
        (b"- cap\n", f"{NO_WORKLOAD} a list"),
        (b"cap: 1\norder: 2\n", f"{NO_WORKLOAD} `cap`, `order`"),
        (b"a: \xff\n", "w.yaml:1:4: expected UTF-8 text, found the byte 0xff"),
        (b"a: [\n", "w.yaml:2:1: not readable as YAML"),
        (b"#" * (1 << 20) + b"#", "w.yaml: expected at most 1048576 bytes, found more"),
    ],
    ids=["missing", "empty", "list", "other", "bytes", "broken", "large"],
)  # fmt: skip
def test_bad_files_are_named_and_left_alone(typed: Typed, tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "w.yaml"
    if content is not None:
        path.write_bytes(content)
    code, out, err = typed("w.yaml")
    assert (code, out) == (2, "")
    assert err.startswith(f"slotwise: {message}") and err.count("\n") == 1
    assert content is None or path.read_bytes() == content


def test_a_link_is_followed_within_its_folder_and_nowhere_else(typed: Typed, tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w.yaml").write_text(OLD)
    (tmp_path / "here/link.yaml").symlink_to("w.yaml")
    (tmp_path / "here/out.yaml").symlink_to("../there/w.yaml")
    assert typed("here/link.yaml") == (0, "here/link.yaml: 9 keys renamed\n", "")
    assert (tmp_path / "here/link.yaml").is_symlink() and (tmp_path / "here/w.yaml").read_text() == NEW
    assert typed("here/out.yaml") == (2, "", "slotwise: here/out.yaml: leads out of here; copy the file there\n")
    assert (tmp_path / "there/w.yaml").read_text() == OLD


def test_a_file_that_cannot_be_written_is_as_it_was(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(OLD)

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    said = "slotwise: w.yaml: cannot be written: no space left on device; it is as it was\n"
    assert typed("w.yaml") == (2, "", said)
    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_the_workload_of_a_run_is_a_record(typed: Typed, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "workload.yaml").write_text(OLD)
    (folder / "environment.json").write_text("{}")
    for named in ("run", "run/workload.yaml"):
        code, out, err = typed(named)
        assert (code, err) == (0, "")
        assert out.startswith("run/workload.yaml: left alone: the record of a run") and out.count("\n") == 1
    assert (folder / "workload.yaml").read_text() == OLD


@pytest.mark.parametrize("path", GALLERY, ids=lambda path: path.parent.name)
def test_copies_of_old_runs_workloads_become_loadable(typed: Typed, tmp_path: Path, path: Path) -> None:
    """`check` names the new keys; with them the workload loads, and it is the one of that run."""
    shutil.copytree(shipped() / "workloads/data", tmp_path / "data")  # a run of before kept none of its documents
    copy = tmp_path / "copy.yaml"
    shutil.copyfile(path, copy)
    before = parse_yaml(copy.read_text(encoding="utf-8"), "copy").data
    old = {key for candidate in before.get("compare", {}).values() for key in candidate if key in RENAMED}
    if old:
        with pytest.raises(WorkloadError) as caught:
            load_workload(copy)
        for key in old:
            assert f'unknown key "{key}"' in str(caught.value)
            assert f"it is called `{RENAMED[key]}` now (slotwise migrate rewrites a workload)" in str(caught.value)
    code, _, err = typed("copy.yaml")
    assert (code, err) == (0, "")
    loaded = load_workload(copy)
    now = load_workload(shipped() / "workloads" / f"{path.parent.name}.yaml")
    assert (loaded.plans, loaded.servers, loaded.work()) == (now.plans, now.servers, now.work())
