"""A workload in Python: from a file, from YAML text or from plain data, and changed without a file."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.app.check import Checked
from harness.app.check import check as checked
from harness.app.options import Changes
from harness.app.workload import Written
from harness.core.policies import Policies
from harness.errors import UserError, WorkloadError
from harness.own_policies import policies_given
from harness.runs.head import plain_yaml
from harness.workload.source import MAX_DEPTH, MAX_VALUES, parse_yaml, read_text

__all__ = ["LoadedWorkload", "OwnPolicies", "load", "loaded_of", "policies_in"]

# A policies file, which is executed, or policies themselves: `harness.own_policies.policies_given`.
OwnPolicies = Path | str | Policies | Mapping[str, Any] | Iterable[Any]


class LoadedWorkload:
    """A workload without mistakes. It never changes, and serves any number of predictions and measurements.

    What it names (documents, images, profiles) is looked for in its folder, whenever it is used. To compile it again
    for each use takes some milliseconds.
    """

    def __init__(self, written: Path | Written, policies: Path | Policies | None = None) -> None:
        self._written = written
        self._policies = policies
        self._checked = checked(written, Changes(policies=policies))

    @property
    def name(self) -> str:
        """What the workload calls itself."""
        return self._checked.loaded.workload.name

    @property
    def candidates(self) -> tuple[str, ...]:
        """The names of what is compared, in the file's order."""
        return tuple(plan.name for plan in self._checked.loaded.plans)

    @property
    def servers(self) -> tuple[str, ...]:
        """The names of its servers, in the file's order; those that a candidate needed and the file lacks come last."""
        return tuple(self._checked.loaded.known_servers)

    @property
    def text(self) -> str:
        """The workload as YAML: the lines and columns of a mistake are those of this text."""
        return self._written.text if isinstance(self._written, Written) else read_text(self._written)

    @property
    def written(self) -> Path | Written:
        """What `harness.app` takes: the file, or its name and text."""
        return self._written

    @property
    def policies(self) -> Path | Policies | None:
        """The policies of one's own that it may name."""
        return self._policies

    def check(self) -> Checked:
        """Return what the workload asks for: its `description` has width, span and work of each pipeline.

        `loaded` has the graphs. Nothing is run. `slotwise check --json` prints the same figures.
        """
        return self._checked

    def changed(self, values: Mapping[str, Any]) -> LoadedWorkload:
        """Return the workload with other values in it; this one stays as it is.

        Args:
            values: by path, with dots: `{"pipelines.digest.jobs": 4, "compare.mine": "window"}`. A key that is not
                there yet is added; what it is in must be there. A number in a path counts the items of a list, from 0.

        Raises:
            UserError: a path leads nowhere.
            WorkloadError: the workload with these values has a mistake.
        """
        path = self._written.path if isinstance(self._written, Written) else self._written
        data = copy.deepcopy(parse_yaml(self.text, str(path)).data)
        for place, value in values.items():
            *above, last = place.split(".")
            at: Any = data
            for step in (*above, last):
                inside, at, key = at, None, int(step) if isinstance(at, list) and step.isdecimal() else step
                last_of_all = inside is not None and step is last
                if isinstance(inside, dict) and (key in inside or last_of_all):
                    at = inside.get(key)
                elif isinstance(inside, list) and isinstance(key, int) and key < len(inside):
                    at = inside[key]
                else:
                    there = f"; there is: {', '.join(map(str, inside))}" if isinstance(inside, dict) else ""
                    raise UserError(f'changed: "{place}": there is no "{step}"{there}')
            inside[key] = _plain(value, place)
        name = path.name if path.name.startswith("<changed ") else f"<changed {path.name}>"
        return LoadedWorkload(Written(path.with_name(name), plain_yaml(data)), self._policies)

    def __repr__(self) -> str:
        return f"<workload {self.name!r}: {len(self.candidates)} candidates>"


def load(
    workload: str | Path | Mapping[str, Any], *, policies: OwnPolicies | None = None, folder: str | Path | None = None
) -> LoadedWorkload:
    """Load and check a workload. Nothing is run; it takes some milliseconds.

    Args:
        workload: the path of a YAML file; or YAML text (a `str` of several lines); or the same as plain data: dicts,
            lists, text, numbers, true and false.
        policies: those of your own that it may name: the path of a policies file, which is executed; values
            `Scheduling(..., name="mine")`, `Concurrency(...)`, `Placement(...)` in a list; or the dicts of such a file,
            `{"SCHEDULING": {"mine": Mine}}`.
        folder: where text and data look for the files that they name; left out: the working folder.

    Raises:
        WorkloadError: what is wrong, a line for each mistake as `slotwise check` prints it: `file:line:column`. For
            text the file is `<text>`, for data `<data>`, and the line is that of the data written as YAML. Notes of
            the error show these lines.
        PolicyError: a policy cannot be used.
    """
    own = policies_in(policies)
    if isinstance(workload, Path) or (isinstance(workload, str) and "\n" not in workload):
        return LoadedWorkload(Path(workload), own)
    beside = Path() if folder is None else Path(folder)
    if isinstance(workload, str):
        written = Written(beside / "<text>", workload)
    elif isinstance(workload, Mapping):
        written = Written(beside / "<data>", plain_yaml(_plain(workload, "<data>")))
    else:
        raise UserError(f"load: expected a path, YAML text or a dict, found {type(workload).__name__}")
    try:
        return LoadedWorkload(written, own)
    except WorkloadError as error:
        lines = written.text.splitlines()
        for number in dict.fromkeys(re.findall(rf"^{re.escape(str(written.path))}:(\d+):", str(error), re.M)):
            if 1 <= int(number) <= len(lines):
                error.add_note(f"line {number}: {lines[int(number) - 1]}")
        raise


def loaded_of(
    workload: LoadedWorkload | str | Path | Mapping[str, Any], policies: OwnPolicies | None = None
) -> LoadedWorkload:
    """Return a workload as it was loaded, or load it; with other policies of one's own where they are given."""
    if not isinstance(workload, LoadedWorkload):
        return load(workload, policies=policies)
    return workload if policies is None else LoadedWorkload(workload.written, policies_in(policies))


def policies_in(given: OwnPolicies | None) -> Path | Policies | None:
    """Return policies as `harness.app` takes them."""
    if given is None or isinstance(given, Policies | Path):
        return given
    return Path(given) if isinstance(given, str) else policies_given(given)


def _plain(value: Any, place: str) -> Any:
    """Copy plain data; UserError where it is none. What contains itself is nested too deeply."""
    left = [MAX_VALUES]

    def copied(value: Any, place: str, depth: int) -> Any:
        left[0] -= 1
        if depth > MAX_DEPTH or left[0] < 0:
            what = f"{MAX_DEPTH} levels of nesting" if depth > MAX_DEPTH else f"{MAX_VALUES} values"
            raise UserError(f"{place}: expected at most {what}, found more")
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise UserError(f"{place}: expected text as a key, found {type(key).__name__}")
            return {str(key): copied(item, f"{place}.{key}", depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [copied(item, f"{place}.{number}", depth + 1) for number, item in enumerate(value)]
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, Path | str):
            return str(value)
        raise UserError(
            f"{place}: expected plain data (dicts, lists, text, numbers, true, false), found {type(value).__name__}"
        )

    return copied(value, place, 0)
