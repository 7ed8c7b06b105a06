"""Run folders of older versions: what was called otherwise in them is given the name that it has today.

Version 1 said `cap`, `order`, `place` and `lanes` for `concurrency`, `scheduling`, `placement` and `queues`, and in a
summary `ladders`, `price`, `cut`, `admission_s` and `unexplained_s`. Only names change here, and words are added, never
a figure. Of `workload.yaml` see `harness.workload.renamed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.core.policies import STANDARD
from harness.workload.renamed import RENAMED

__all__ = ["header_of_today", "notes_of_today", "summary_of_today"]

_PLAN = {"lanes": "queues", "place": "placement"}
_PARTS = {"admission_s": "slot_setup_s", "unexplained_s": "not_attributed_s"}
_USE = {**RENAMED, "in_flight": "limit", "batch_in_flight": "batch_limit"}


def header_of_today(header: dict[str, Any], nodes: Sequence[int]) -> dict[str, Any]:
    """Return what an `environment.json` of version 1 says in the words of today; it need not be one.

    `nodes`: how many each pipeline has. Before nodes could be placed one by one, a plan had a server per pipeline.
    """
    plans = [_keys(plan, _PLAN) for plan in _listed(header.get("plans"))]
    return {**header, "plans": [_plan(plan, nodes) if isinstance(plan, dict) else plan for plan in plans]}


def notes_of_today(notes: Any) -> list[Any]:
    """Return the notes of an `environment.json`; those of before are texts without a kind."""
    return [{"kind": "run", "text": note} if isinstance(note, str) else note for note in _listed(notes)]


def _plan(plan: dict[str, Any], nodes: Sequence[int]) -> dict[str, Any]:
    plan = {**plan, "queues": [_keys(queue, RENAMED) for queue in _listed(plan.get("queues"))]}
    placement = plan.get("placement")
    if not isinstance(placement, list) or len(placement) != len(nodes):
        return plan
    by_node = [[at] * number if isinstance(at, int) else at for at, number in zip(placement, nodes, strict=True)]
    return {**plan, "placement": by_node}


def summary_of_today(plain: Any) -> Any:
    """Return a `summary.json` of version 1 in the words of today; it need not be one."""
    if not isinstance(plain, Mapping) or plain.get("summary_version") != 1:
        return plain
    renamed = _keys(plain, {"ladders": "levels"})
    changed: dict[str, Any] = {
        "notices": _each(plain.get("notices"), _notice),
        "paths": _each(plain.get("paths"), lambda path: _keys(path, {"price": "cost"})),
        "candidates": _each(plain.get("candidates"), _candidate),
    }
    changed["run"] = _run(plain.get("run"))
    return {**renamed, "summary_version": 2, **{key: changed[key] for key in changed if key in plain}}


def _run(run: Any) -> Any:
    """Part the names and versions of packages, which version 1 wrote as one text."""
    machine = run.get("machine") if isinstance(run, Mapping) else None
    if not isinstance(machine, Mapping) or not isinstance(packages := machine.get("packages"), str):
        return run
    versions = {name: version for name, _, version in (part.rpartition(" ") for part in packages.split(", "))}
    return {**run, "machine": {**machine, "packages": versions}}


def _notice(notice: Any) -> Any:
    cut = isinstance(notice, Mapping) and notice.get("kind") == "cut"
    return {**notice, "kind": "interrupted"} if cut else notice


def _candidate(candidate: Any) -> Any:
    if not isinstance(candidate, Mapping):
        return candidate
    return {
        **_keys(candidate, {"cut": "interrupted"}),
        "servers": _each(candidate.get("servers"), lambda use: _keys(use, _USE)),
        "pools": _each(candidate.get("pools"), _pool),
        "pipelines": _each(candidate.get("pipelines"), _pipeline),
    }


def _pipeline(pipeline: Any) -> Any:
    """Part the names of several servers, which version 1 wrote as one text, and rename kinds of time."""
    if not isinstance(pipeline, Mapping):
        return pipeline
    parts = {key: _keys(pipeline[key], _PARTS) for key in ("call_parts", "job_parts") if key in pipeline}
    found = {**pipeline, **parts}
    if isinstance(path := found.get("median_path"), Mapping):
        found["median_path"] = {**_timed(path), "steps": _each(path.get("steps"), _timed)}
    if isinstance(servers := found.pop("server", None), str):
        found["servers"] = servers.split(" + ") if servers else []
    return found


def _timed(step: Any) -> Any:
    return {**step, "parts": _keys(step.get("parts"), _PARTS)} if isinstance(step, Mapping) else step


def _pool(pool: Any) -> Any:
    """Add what version 1 did not write of a placement policy: where calls go, and how code chooses."""
    if not isinstance(pool, list) or len(pool) != 2 or not isinstance(pool[1], str):
        return pool
    policy = STANDARD.placement.get(pool[1])
    return [*pool, policy.says or policy.about, policy.code] if policy else [*pool, "", ""]


def _keys(value: Any, names: Mapping[str, str]) -> Any:
    """Rename keys of one mapping, not of what is in it: a server may be called `order`."""
    return {names.get(key, key): item for key, item in value.items()} if isinstance(value, Mapping) else value


def _each(values: Any, of_today: Callable[[Any], Any]) -> list[Any]:
    return [of_today(value) for value in _listed(values)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
