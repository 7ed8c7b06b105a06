"""Names of before: what the keys of a candidate were called in version 1, and what they are called now.

One table for the messages of `slotwise check`, for `slotwise migrate` and for run folders of version 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["RENAMED", "candidates_of", "settings_without_effect", "workload_of_today"]

RENAMED = {"cap": "concurrency", "order": "scheduling", "place": "placement", "max_in_flight": "limit"}  # old key: new

# Version 1 wrote these into a run's `workload.yaml` for every candidate; a workload is refused where they have no
# effect. By key: the default, and the policies that it has an effect on.
_DEFAULTS: dict[str, tuple[float, str, frozenset[str]]] = {
    "max_wait_s": (1.0, "concurrency", frozenset({"waves"})),
    "ageing_s": (30.0, "scheduling", frozenset({"interactive-first", "shortest-first", "critical-path-first"})),
    "reserve": (1, "concurrency", frozenset({"reserve"})),
}


def candidates_of(plain: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the candidates of a workload that are written as a mapping, by name; `plain` need not be a workload."""
    compare = plain.get("compare") if isinstance(plain, dict) else None
    for name, candidate in compare.items() if isinstance(compare, dict) else ():
        if isinstance(candidate, dict):
            yield name, candidate


def settings_without_effect(candidate: Mapping[str, Any]) -> list[str]:
    """Return the settings of a candidate that stand at their default and that none of its policies knows."""
    today = _renamed(candidate)
    found = []
    for key, (default, policy, needs) in _DEFAULTS.items():
        value, chosen = today.get(key), today.get(policy)
        names = chosen.values() if isinstance(chosen, dict) else [chosen]
        is_default = isinstance(value, int | float) and not isinstance(value, bool) and value == default
        if is_default and not any(name in needs for name in names if isinstance(name, str)):
            found.append(key)
    return found


def workload_of_today(plain: Any) -> Any:
    """Return a workload of version 1 with today's keys, without settings of no effect; `plain` need not be one."""
    changed = {
        name: _renamed({key: candidate[key] for key in candidate if key not in settings_without_effect(candidate)})
        for name, candidate in candidates_of(plain)
    }
    return {**plain, "compare": {**plain["compare"], **changed}} if changed else plain


def _renamed(candidate: Mapping[str, Any]) -> dict[str, Any]:
    """Rename keys of a candidate, not of what is in it: a server may be called `order`."""
    return {RENAMED.get(key, key): value for key, value in candidate.items()}
