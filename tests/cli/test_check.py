"""`slotwise check`: what it prints, and how it fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import processes
import pytest

from harness.cli.check import check
from harness.content import shipped
from harness.errors import UserError
from harness.workload.schema import json_schema

WORKLOADS = shipped() / "workloads"


def test_fits_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    check(sorted(WORKLOADS.glob("*.yaml")))
    printed = capsys.readouterr().out.split("\n")
    assert all(len(line) <= 80 for line in printed if str(WORKLOADS) not in line)
    assert "  summarize x8 ──── merge" in printed


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    check([WORKLOADS / "research-digest.yaml"], json_=True)
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["max_useful_slots"] == 9
    assert [pipeline["width"] for pipeline in answer["pipelines"]] == [8, 1]
    assert answer["pipelines"][0]["edges"] == [["summarize", "merge"]]
    assert answer["candidates"][2]["placement"] == {"digest": "four-half", "chat": "one-half"}
    assert answer["servers"]["four-slot"]["slots"] == 4


PLACED = """version: 1
name: w
pipelines:
  p: {path: batch, jobs: 1, nodes: {a: {agent: chat}, b: {agent: chat, after: [a]}}}
  q: {path: interactive, jobs: 1, nodes: {a: {agent: chat}}}
servers: {left: {kind: llamacpp, slots: 2}, right: {kind: llamacpp, slots: 2}}
compare:
  c:
    placement: {p: {least-loaded: [left, right]}, p.b: left, q: {affinity: [right, left]}}
    concurrency: {left: reserve}
    scheduling: {right: shortest-first}
"""


def test_places_over_several_servers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(PLACED)
    check([path])
    assert (
        "  c  p.b on left: reserve, 1 for interactive calls; right: window,\n"
        "     shortest-first; p.a: least-loaded of left, right; q: affinity of right,\n"
        "     left\n"
    ) in capsys.readouterr().out
    check([path], json_=True)
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["candidates"][0]["placement"] == {
        "p.b": "left",
        "p.a": {"least-loaded": ["left", "right"]},
        "q": {"affinity": ["right", "left"]},
    }


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    check(schema=True)
    assert json.loads(capsys.readouterr().out) == json_schema()


def test_mermaid(capsys: pytest.CaptureFixture[str]) -> None:
    check([WORKLOADS / "research-digest.yaml"], mermaid=True)
    assert capsys.readouterr().out == (
        'flowchart LR\n  subgraph p0["digest"]\n    p0n0["summarize x8"]\n    p0n1["merge"]\n'
        "    p0n0 --> p0n1\n"
        '  end\n  subgraph p1["chat"]\n    p1n0["reply"]\n  end\n'
    )


def test_good_files_are_shown_and_bad_ones_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, worse = tmp_path / "bad.yaml", tmp_path / "worse.yaml"
    bad.write_text("version: 1\nname: 3\npipelines: {}\n")
    with pytest.raises(UserError) as caught:
        check([bad, WORKLOADS / "chat-only.yaml", worse])
    assert str(caught.value).split("\n") == [
        f"{bad}:2:7: name: expected text, found 3",
        f"{bad}:3:12: pipelines: expected at least one, found a mapping",
        f"{worse}: no such file",
    ]
    assert caught.value.exit_code == 2
    assert capsys.readouterr().out.startswith("chat-only  (")


def test_json_of_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError):
        check([tmp_path / "no.yaml"], json_=True)
    answer = {"file": f"{tmp_path}/no.yaml", "errors": [f"{tmp_path}/no.yaml: no such file"]}
    assert json.loads(capsys.readouterr().out) == [answer]


def test_no_file_named() -> None:
    with pytest.raises(UserError, match="name a workload file: slotwise check FILE"):
        check()


def test_credentials_are_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        "version: 1\nname: w\n"
        "pipelines: {p: {path: batch, jobs: 1, nodes: {n: {agent: {prompt: x, output_tokens: 1}}}}}\n"
        "servers: {s: {kind: ollama, model: m, url: 'http://me:secret@host:1'}}\n"
    )
    check([path])
    check([path], json_=True)
    printed = capsys.readouterr().out
    assert "secret" not in printed
    assert "http://host:1" in printed


def test_ascii_where_the_output_takes_no_more() -> None:
    path = str(WORKLOADS / "review-panel.yaml")
    code = f"from pathlib import Path; from harness.cli.check import check; check([Path({path!r})])"
    done = processes.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)},
    )
    assert b"plan -+-- cost" in done.stdout


def test_light_imports() -> None:
    """Neither langchain nor scipy, nor anything that answers over a network."""
    code = (
        f"import sys; from pathlib import Path; from harness.cli.check import check; "
        f"check([Path({str(WORKLOADS / 'research-digest.yaml')!r})]); "
        f"names = ('langchain_ollama', 'langchain_core', 'scipy', 'numpy', 'httpx', 'starlette', 'altair'); "
        f"heavy = [name for name in names if name in sys.modules]; sys.exit(str(heavy) if heavy else 0)"
    )
    done = processes.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.returncode == 0, done.stderr
