"""Workloads with a mistake, written in a line or two, and the message that each gets: for tests of error messages."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import Tag

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


def one_of(names: Iterable[str], quote: str = '"') -> str:
    """All names of a kind as a message lists them, `"a", "b" or "c"`: no test names them all, so that they can grow."""
    *most, last = (f"{quote}{name}{quote}" for name in names)
    return f"{', '.join(most)} or {last}"


def keys(names: Iterable[str]) -> str:
    """All keys of a kind as a message lists them: `a`, `b`, `c`."""
    return ", ".join(f"`{name}`" for name in names)


def keys_of(union: Any) -> tuple[str, ...]:
    """The keys by which a union of the schema is chosen: its tags, but for those of forms that are no mapping."""
    tags = [tag.tag for form in get_args(get_args(union)[0]) for tag in form.__metadata__ if isinstance(tag, Tag)]
    return tuple(tag.strip("<>") for tag in tags if tag not in ("<number>", "<text>", "<list>", "<mapping>"))


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
