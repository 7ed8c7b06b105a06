"""A draft as a YAML file with comments and its data files: checked first, then put in place, all or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UserError, WorkloadError
from harness.imports.account import ImportCounts, loss_line
from harness.imports.draft import Draft, DraftNote, DraftStep, Flow, PipelineDraft, note, walk
from harness.imports.made import balanced
from harness.workload.load import load_workload
from harness.workload.open_questions import MARK, MORE

__all__ = ["check_target", "questions", "render", "write", "write_balanced"]

_WIDTH = 116


def render(draft: Draft) -> str:
    """Return the workload as YAML; questions are numbered in the order in which they stand in it."""
    page = _Page()
    page.notes(0, draft.head)
    page.line(0, "version: 1")
    page.line(0, f"name: {draft.name}")
    page.line(0, f"description: {_flow(_printable(draft.description))}")
    page.line(0, "")
    graphs = _graphs(draft)
    if graphs:
        page.line(0, "subpipelines:")
        for step in graphs:
            page.line(1, f"{step.target}:")
            page.line(2, "nodes:")
            page.flow(3, step.body)
        page.line(0, "")
    page.line(0, "pipelines:")
    for name, pipeline in draft.pipelines.items():
        page.pipeline(name, pipeline)
    page.line(0, "")
    if draft.agents:
        page.line(0, "agents:")
    for name, (spec, notes) in draft.agents.items():
        page.notes(1, notes)
        page.line(1, f"{name}: {_flow(spec)}")
    for key, table in (("inputs", draft.inputs), ("servers", draft.servers)):
        if table:
            page.line(0, "")
            page.line(0, f"{key}:")
            for name, spec in table.items():
                page.line(1, f"{name}: {_flow(spec)}")
    page.line(0, "")
    page.line(0, "seed: 1")
    return "\n".join(page.lines) + "\n"


def questions(draft: Draft) -> list[str]:
    """Return the draft's questions as the file numbers them."""
    page = _Page()
    graphs = _graphs(draft)
    page.notes(0, draft.head)
    for step in graphs:
        page.flow(0, step.body)
    for name, pipeline in draft.pipelines.items():
        page.pipeline(name, pipeline)
    for _, notes in draft.agents.values():
        page.notes(0, notes)
    return page.questions


def _graphs(draft: Draft) -> list[DraftStep]:
    """Return a step for each sub-pipeline: several nodes may be the same one."""
    found: dict[str, DraftStep] = {}
    for pipeline in draft.pipelines.values():
        for step in walk(pipeline.flow):
            if step.kind == "graph":
                found.setdefault(step.target, step)
    return list(found.values())


class _Page:
    """The file's lines so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.questions: list[str] = []

    def line(self, depth: int, text: str) -> None:
        self.lines.append("  " * depth + text if text else "")

    def notes(self, depth: int, notes: Iterable[DraftNote]) -> None:
        for item in notes:
            text = _printable(item.text)
            if item.question:
                text = f"{text} Guess: {_printable(item.guess)}." if item.guess else text
                self.questions.append(text)
                text = f"{MARK} {len(self.questions)}: {text}"
            indent = "  " * depth + "# "
            self.lines += textwrap.wrap(
                text, _WIDTH, initial_indent=indent, subsequent_indent=indent + MORE, break_on_hyphens=False
            )

    def pipeline(self, name: str, pipeline: PipelineDraft) -> None:
        self.notes(1, pipeline.notes)
        self.line(1, f"{name}:")
        for key, value in pipeline.keys.items():
            self.notes(2, pipeline.key_notes.get(key, ()))
            self.line(2, f"{key}: {_flow(value)}")
        self.line(2, "nodes:")
        self.flow(3, pipeline.flow)

    def flow(self, depth: int, flow: Flow) -> None:
        for step in flow:
            self.notes(depth, step.notes)
            self.line(depth, f"{step.name}: {_flow(_node(step))}")


def _node(step: DraftStep) -> dict[str, Any]:
    what: dict[str, Any]
    if step.kind == "tool":
        what = {"tool": {"delay_s": step.delay_s}}
    elif step.kind == "embed":
        what = {"embed": step.embed}
    elif step.kind == "graph":
        what = {"pipeline": step.target}
    else:
        what = {"agent": step.target}
    after = {"after": list(step.after)} if step.after else {}
    return {**what, **after, **step.keys}


def _flow(value: Any) -> str:
    """Write a value on one line, quoted where YAML asks for it."""
    text = yaml.safe_dump(_plain(value), default_flow_style=True, sort_keys=False, width=10**9, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _printable(text: str) -> str:
    """Return one line without control characters: names in comments come from anywhere."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def check_target(target: Path, files: Iterable[str] = (), *, force: bool = False) -> None:
    """Raise UserError where something is in the way and `force` is not given."""
    for path in (target, *(target.parent / name for name in files)):
        if os.path.lexists(path) and not force:
            raise UserError(f"{path} exists already; name another file with -o, or overwrite it with --force")
        if path.is_dir():
            raise UserError(f"{path}: expected a file to write, found a folder; name a file with -o")
    if not target.suffix:
        raise UserError(f"{target}: expected a name that ends in .yaml; name the file with -o")


def write(draft: Draft, target: Path, *, force: bool = False) -> list[Path]:
    """Write the draft to `target` and its data files beside it; return what was written. See `write_balanced`."""
    return write_balanced(draft, target, force=force)[1]


def write_balanced(draft: Draft, target: Path, *, force: bool = False) -> tuple[Draft, list[Path]]:
    """Write the draft to `target` and its data files beside it; return it with its account, and what was written.

    What the workload asks for is compared with what its source holds, where that was not done before: what differs is
    named in a line on top.

    Everything is written to a folder of its own first and checked there as `slotwise check` does: where that fails,
    nothing is put in place. Raises UserError.
    """
    check_target(target, draft.files, force=force)
    contents = {target.name: render(draft), **draft.files}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".import-", dir=target.parent))
    except OSError as error:
        raise _cannot(target, error) from None
    try:
        for name, text in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        try:
            loaded = load_workload(folder / target.name)
        except WorkloadError as error:
            found = "; ".join(str(error).replace(f"{folder}{os.sep}", "").splitlines())
            raise UserError(
                f"what was imported makes no workload that can be checked; nothing was written: {found}"
            ) from None
        counted = draft.account.made != ImportCounts()  # by the importer: of a program, whose places are counted
        account = draft.account if counted else balanced(draft.account, loaded)
        more = [note(loss_line(loss)) for loss in account.lost[len(draft.account.lost) :]]
        draft = draft._replace(account=account, head=(*draft.head, *more))
        if more:  # comments alone: what was checked is the same
            (folder / target.name).write_text(render(draft), encoding="utf-8")
        written: list[Path] = []
        for name in [*draft.files, target.name]:  # the workload last: it is there only with all that it needs
            path = target.parent / name
            path.parent.mkdir(parents=True, exist_ok=True)
            (folder / name).replace(path)
            written.insert(0, path)
        return draft, written
    except OSError as error:
        raise _cannot(target, error) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cannot(target: Path, error: OSError) -> UserError:
    return UserError(f"{target} cannot be written: {(error.strerror or str(error)).lower()}")
