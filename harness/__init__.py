"""Slotwise: decide, per machine and per pipeline, how to run agent graphs on a local LLM server.

The public Python interface is here: `load`, `check`, `simulate`, `measure`, `recommend`, `calibrate`, `score` and
`read_run`, the errors that they raise, and what a policy of your own needs: `Concurrency`, `Scheduling`, `Placement`,
`KeyCode` and `Variant`. Everything is loaded when it is asked for; `import harness` itself loads nothing.

Stable are the names in `__all__`, their keyword arguments, the properties of results, and the columns and keys that
docs/how-to/python.md names. A change is announced in CHANGELOG.md, and the old way works for one more minor version,
with a DeprecationWarning. New arguments, columns and keys may come at any time. All other modules may change.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from harness.compiled import choose

if TYPE_CHECKING:
    from harness.core.concurrency import Concurrency, Variant
    from harness.core.placement import Placement
    from harness.core.scheduling import KeyCode, Scheduling
    from harness.errors import PolicyError, ServerFailure, SlotwiseError, UserError, WorkloadError
    from harness.interface.calls import check, load, read_run, recommend, score, simulate
    from harness.interface.results import RecommendResult, RunResult, ScoreResult
    from harness.interface.servers import calibrate, measure
    from harness.interface.workloads import LoadedWorkload

__version__ = "0.1.0"
__all__ = [
    "Concurrency",
    "KeyCode",
    "LoadedWorkload",
    "Placement",
    "PolicyError",
    "RecommendResult",
    "RunResult",
    "Scheduling",
    "ScoreResult",
    "ServerFailure",
    "SlotwiseError",
    "UserError",
    "Variant",
    "WorkloadError",
    "calibrate",
    "check",
    "load",
    "measure",
    "read_run",
    "recommend",
    "score",
    "simulate",
]

_WHERE = {
    "core.concurrency": ("Concurrency", "Variant"),
    "core.placement": ("Placement",),
    "core.scheduling": ("KeyCode", "Scheduling"),
    "errors": ("PolicyError", "ServerFailure", "SlotwiseError", "UserError", "WorkloadError"),
    "interface.calls": ("check", "load", "read_run", "recommend", "score", "simulate"),
    "interface.results": ("RecommendResult", "RunResult", "ScoreResult"),
    "interface.servers": ("calibrate", "measure"),
    "interface.workloads": ("LoadedWorkload",),
}
_MODULE = {name: f"harness.{module}" for module, names in _WHERE.items() for name in names}


class _Package(ModuleType):
    """This package: `harness.measure` is the function, also once the folder of that name has been imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _MODULE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


choose()
sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    """Load a public name where it is first asked for: `slotwise --help` needs none of them."""
    if name not in _MODULE:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(import_module(_MODULE[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
