"""What a run's folder says before any record, both directions: `workload.yaml` and `environment.json`.

Neither holds credentials. Both may come from elsewhere: they are read safely and with limits, and a mistake names the
file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from harness.core.plan import Plan
from harness.core.policies import Policies
from harness.errors import PolicyError, UserError
from harness.runs.model import Run, ServerFacts
from harness.runs.older import header_of_today, notes_of_today
from harness.runs.plans import (
    KeptPlan,
    kept_plan,
    kept_policies,
    own_policies_of,
    plan_of,
    policies_of_run,
    policy_files,
)
from harness.units import safe_text, safe_url
from harness.workload.dependencies import dependencies
from harness.workload.networks import nx
from harness.workload.renamed import workload_of_today
from harness.workload.schema import Workload
from harness.workload.source import reads_as_text
from harness.workload.unfit import first_mistake

__all__ = ["SCHEMA_VERSION", "head_files", "plain_yaml", "read_head", "without_credentials"]

SCHEMA_VERSION = 2
OLDER_VERSION = 1  # read as well
_LARGEST_FILE_BYTES = 16 << 20  # a larger one is not ours
_LONG = 200  # numbers; `parse_yaml` takes 20,000 values in a file
_RUN = TypeAdapter(Run)
_WHOLE = ("context_tokens", "batch_tokens", "threads")  # details of a server that an analysis counts with
_MOST = 10**12
_PLANS = TypeAdapter(tuple[KeptPlan, ...])


def head_files(run: Run) -> dict[str, str]:
    """Return both files' texts by name, from everything of a run but its records.

    Beside them stand lists of numbers that are too long for a YAML file, below `numbers/`: a trace of arrivals, say.
    """
    header = {
        "schema_version": SCHEMA_VERSION,
        "name": run.name,
        "origin": run.origin,
        "started_at": run.started_at,
        "seed": run.workload.seed,
        "command": safe_text(run.command),
        "options": _masked(dict(run.options)),
        "candidates": run.candidates,
        "plans": [kept_plan(plan) for plan in run.plans],
        "own_policies": kept_policies(run.plans),
        "policy_files": [file._asdict() for file in run.policy_files or policy_files(run.plans)],
        "machine": run.machine,
        "servers": [_server_to_json(server) for server in run.servers],
        "output_tokens": dict(run.output_tokens),
        "resampled": run.resampled and {**run.resampled._asdict(), "factors": dict(run.resampled.factors)},
        "notes": [{"kind": note.kind, "text": safe_text(note.text)} for note in run.notes],
        "partial": run.partial,
        "needs": [need._asdict() for need in run.needs],
        "work": dict(run.work),
        "file": run.file,
    }
    plain, numbers = _numbers_apart(without_credentials(run.workload.to_plain()))
    # For people, and to be named with --policies; Slotwise itself never executes what lies in a run's folder.
    policies = {policy.source.text for _, policy in own_policies_of(run.plans)} - {""}
    return {
        **({"policies.py": policies.pop()} if len(policies) == 1 else {}),
        **numbers,
        "workload.yaml": plain_yaml(plain),
        "environment.json": json.dumps(header, indent=2) + "\n",
    }


def read_head(folder: Path) -> Run:
    """Read everything of a run but its records.

    Raises UserError where the folder is not a run or was written in another version of this format.
    """
    header = _read_header(folder / "environment.json")
    older = header["schema_version"] == OLDER_VERSION
    own = header.get("own_policies")
    policies = policies_of_run(own if isinstance(own, dict) else {})
    plans = header.get("plans")
    kept = {one.get("name") for one in plans if isinstance(one, dict)} if own and isinstance(plans, list) else None
    workload = _read_workload(folder / "workload.yaml", policies, kept, older=older)
    if older:
        header = header_of_today(header, [len(pipeline.nodes) for pipeline in workload.pipelines.values()])
    return _run(header, workload, policies, folder / "environment.json")


def plain_yaml(plain: Any) -> str:
    """Return plain data as YAML that `parse_yaml` reads back as the same."""
    return yaml.dump(plain, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True)


def without_credentials(value: Any) -> Any:
    """Strip credentials from every `url:` of the workload; prompts and the like stay word for word."""
    if isinstance(value, dict):
        return {
            key: safe_url(item) if key == "url" and isinstance(item, str) else without_credentials(item)
            for key, item in value.items()
        }
    return value


# --- writing ----------------------------------------------------------------------------------------------------------


class _PlainDumper(yaml.SafeDumper):
    """No anchors and aliases: a person reads this file, and the reader below refuses them.

    Texts of several lines are written as they are read. Quotes are put wherever `parse_yaml` would take a text for
    something else: it knows YAML 1.2's numbers (1e3, 08), PyYAML those of 1.1.
    """

    def ignore_aliases(self, _: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None if reads_as_text(text) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_PlainDumper.add_representer(str, _text)


def _numbers_apart(value: Any, at: tuple[str, ...] = ()) -> tuple[Any, dict[str, str]]:
    """Put the name of a file in place of each long list that a file may hold; return those files, too."""
    files: dict[str, str] = {}
    if isinstance(value, list) and at[-1] in ("trace", "empirical") and len(value) > _LONG:
        name = f"numbers/{'.'.join(at[:-1])}.txt"
        return name, {name: "".join(f"{number!r}\n" for number in value)}
    if isinstance(value, dict):
        apart = {key: _numbers_apart(item, (*at, key)) for key, item in value.items()}
        for _, more in apart.values():
            files |= more
        return {key: item for key, (item, _) in apart.items()}, files
    return value, files


def _server_to_json(server: ServerFacts) -> dict[str, Any]:
    flat = server._asdict()
    flat["url"] = safe_url(server.url)
    flat["version"] = safe_text(server.version)
    flat["details"] = _masked(server.details)
    flat["baseline"] = server.baseline._asdict() if server.baseline else None
    flat["models"] = [
        {**model._asdict(), "baseline": model.baseline._asdict() if model.baseline else None} for model in server.models
    ]
    return flat


def _masked(value: Any) -> Any:
    """Strip credentials from every text below a plain value."""
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return safe_text(value) if isinstance(value, str) else value


# --- reading ----------------------------------------------------------------------------------------------------------


class _NoAliases(yaml.SafeLoader):
    """A run folder may come from elsewhere: no aliases means that nothing in it can expand."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not expected here")
        return super().compose_node(parent, index)


def _read_small(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise UserError(f"{path}: larger than any that `slotwise run` writes; this is not a run folder")
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if not path.parent.exists():
            raise UserError(f"{path.parent}: no such folder; `slotwise runs` lists those in reports/") from None
        raise UserError(
            f"{path.parent}: not a run folder: it has no {path.name}; expected a folder that `slotwise run` wrote"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _read_header(path: Path) -> dict[str, Any]:
    try:
        header = json.loads(_read_small(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not the JSON that `slotwise run` writes: {error}") from error
    version = header.get("schema_version") if isinstance(header, dict) else None
    if version not in (OLDER_VERSION, SCHEMA_VERSION):
        raise UserError(
            f"{path}: written in version {version!r} of the run format, expected {OLDER_VERSION} or "
            f"{SCHEMA_VERSION}; render it with the Slotwise that wrote it"
        )
    return dict(header)


def _run(header: dict[str, Any], workload: Workload, policies: Policies, path: Path) -> Run:
    fields = {name: header[name] for name in Run._fields if name in header}
    fields["notes"] = notes_of_today(header.get("notes"))
    records: dict[str, tuple[()]] = {"trials": (), "calls": (), "jobs": (), "delays": ()}
    try:
        plans = tuple(plan_of(plan, policies) for plan in _PLANS.validate_python(fields.pop("plans", ())))
        _check_placement(plans, workload, path)
        run = _RUN.validate_python({**fields, **records, "workload": workload})._replace(plans=plans)
        _check_details(run.servers, path)
        return run
    except ValidationError as error:
        raise UserError(f"{path}: {first_mistake(error)}") from error
    except PolicyError as error:
        raise UserError(f"{path}: {error}") from error


def _check_details(servers: Sequence[ServerFacts], path: Path) -> None:
    for server in servers:
        for key in _WHOLE:
            value = server.details.get(key, 0)
            whole = 0 <= value < _MOST if isinstance(value, int | float) else value.isdecimal() and len(value) < 13
            if not whole:
                raise UserError(f"{path}: servers: {key} of {server.name!r}: expected a whole number, found {value!r}")


def _check_placement(plans: Sequence[Plan], workload: Workload, path: Path) -> None:
    for plan in plans:
        if len(plan.placement) != len(workload.pipelines):
            raise UserError(
                f"{path}: plans: {plan.name!r} places {len(plan.placement)} pipelines, expected "
                f"{len(workload.pipelines)}, as many as the workload has"
            )


def _read_workload(path: Path, policies: Policies, kept: set[Any] | None, *, older: bool) -> Workload:
    """Read the workload; of a run with policies of its user's own without candidates that were left out.

    Nothing is known of a policy that only such a candidate names.
    """
    try:
        # A subclass of SafeLoader: no object of any class can come out of the file.
        plain = yaml.load(_read_small(path), Loader=_NoAliases)  # noqa: S506
        plain = workload_of_today(plain) if older else plain
        if kept is not None and isinstance(plain, dict) and isinstance(plain.get("compare"), dict):
            plain["compare"] = {name: one for name, one in plain["compare"].items() if name in kept}
        context = {"policies": policies, "folder": path.parent}  # where long lists of numbers lie
        workload = Workload.model_validate(plain, context=context)
        for name in workload.pipelines:
            dependencies(workload, name)  # names that are not there, and circles, are found here and not later
        return workload
    except (KeyError, nx.NetworkXException) as error:
        said = " ".join(repr(error).split())[:300]
        raise UserError(
            f"{path}: not a workload that `slotwise run` accepts: its graphs do not fit ({said})"
        ) from error
    except ValidationError as error:
        raise UserError(f"{path}: {first_mistake(error)}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:  # PyYAML's own int() and chr() too
        said = " ".join(str(error).split())[:300]
        raise UserError(f"{path}: not the YAML that `slotwise run` writes: {said}") from error
