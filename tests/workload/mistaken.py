"""Workloads with a mistake, written in a line or two, and the message that each gets: for tests of error messages."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from harness.errors import WorkloadError
from harness.workload.load import load_workload

HEAD = """\
version: 1
name: w
pipelines:
  p:
    path: batch
    jobs: 1
    nodes:
      a: {agent: {prompt: "Hi", output_tokens: 5}}
"""

INLINE = '{agent: {prompt: "Hi", output_tokens: 5}'


def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> str:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(WorkloadError) as caught:
        load_workload(Path("w.yaml"))
    return str(caught.value)


def nodes(text: str) -> str:
    """A workload with these nodes; they begin on line 8."""
    start = HEAD[: HEAD.index("      a:")]
    return start + textwrap.indent(textwrap.dedent(text).strip("\n"), " " * 6) + "\n"


def pipelines(text: str) -> str:
    """A workload with these pipelines; they begin on line 4."""
    start = HEAD[: HEAD.index("  p:")]
    return start + textwrap.indent(textwrap.dedent(text).strip("\n"), "  ") + "\n"


def sub(text: str) -> str:
    """A sub-pipeline called review with these nodes."""
    return "subpipelines:\n  review:\n    nodes:\n" + textwrap.indent(text, " " * 6) + "\n"
