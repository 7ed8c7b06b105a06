"""Copy a shipped workload, its data and its agents, to start from."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from harness.content import find, shipped
from harness.errors import UserError, did_you_mean
from harness.workload.load import load_workload
from harness.workload.schema import FileInput, json_schema

__all__ = ["DEFAULT", "Begun", "init", "open_starting_points", "question", "starting_points", "starting_text"]

DEFAULT = "research-digest"
SCHEMA_LINE = "# yaml-language-server: $schema=../harness/workload/schema.json"


class Begun(NamedTuple):
    """A workload to start from."""

    workload: Path
    written: tuple[Path, ...]  # what was not there already


def starting_points() -> dict[str, Path]:
    """Return the shipped workloads by name."""
    return {path.stem: path for path in sorted((shipped() / "workloads").glob("*.yaml"))}


def question(workload: Path) -> str:
    """Return what a shipped workload asks, from the comment at its top, up to its first question mark."""
    match = re.search(r"# The question: ((?:.*\n#)*.*)\n(?!#)", workload.read_text(encoding="utf-8"))
    text = " ".join(match[1].replace("\n#", " ").split()) if match else ""
    return text[:1].upper() + text[1 : text.find("?") + 1]


def open_starting_points() -> tuple[tuple[str, str], ...]:
    """Return the shipped workloads that need no file beside them, so that their text is all: name and question."""
    alone = ((name, path) for name, path in starting_points().items() if "files:" not in path.read_text("utf-8"))
    return tuple((name, question(path)) for name, path in alone)


def starting_text(name: str) -> str:
    """Return the text of a shipped workload, without the line that leads an editor to its schema.

    Raises:
        UserError: there is none of that name.
    """
    workloads = starting_points()
    if name not in workloads:
        raise UserError(f'no shipped workload "{name}"{did_you_mean(name, workloads)}')
    return workloads[name].read_text(encoding="utf-8").removeprefix(f"{SCHEMA_LINE}\n#\n")


def init(folder: Path = Path(), name: str = DEFAULT) -> Begun:
    """Copy a shipped workload with its data and agents into a folder. Never overwrites anything.

    Raises:
        UserError: there is no such workload, something else stands where a file would, or a file cannot be written.
    """
    workloads = starting_points()
    if name not in workloads:
        hint = did_you_mean(name, workloads) or ";"
        raise UserError(f'no shipped workload "{name}"{hint} there is: {", ".join(workloads)}')
    fresh: dict[Path, bytes] = {}
    for relative, data in _parts(workloads[name]).items():
        target = folder / relative
        if not os.path.lexists(target):
            fresh[target] = data
        elif not target.is_file() or target.read_bytes() != data:
            raise UserError(f"{target} exists already and differs; name another folder: slotwise init DIR")
    for target, data in fresh.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write(data)
        except OSError as error:
            raise UserError(f"{target} cannot be written: {(error.strerror or str(error)).lower()}") from None
    return Begun(folder / "workloads" / f"{name}.yaml", tuple(fresh))


def _parts(workload: Path) -> dict[Path, bytes]:
    """Return what the workload consists of, by its place below the new folder."""
    loaded = load_workload(workload)
    text = workload.read_text(encoding="utf-8").replace(SCHEMA_LINE, SCHEMA_LINE.replace("../harness/workload/", ""))
    result = {Path("workloads") / workload.name: text.encode()}
    spec = loaded.workload
    graphs = [one.nodes for one in spec.pipelines.values()] + [one.nodes for one in spec.subpipelines.values()]
    for node in (node for nodes in graphs for node in nodes.values()):
        if isinstance(node.agent, str) and node.agent not in loaded.workload.agents:
            card = find("agents", f"{node.agent}.md", workload.parent)
            if card is not None:
                result[Path("agents") / card.name] = card.read_bytes()
    for source in spec.inputs.values():
        if isinstance(source, FileInput):
            for path in sorted(workload.parent.glob(source.files)):
                result[Path("workloads") / path.relative_to(workload.parent)] = path.read_bytes()
    result[Path("workloads") / "schema.json"] = (json.dumps(json_schema(), indent=2) + "\n").encode()
    return result
