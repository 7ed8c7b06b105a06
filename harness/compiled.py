"""Which form of the engine runs: its files as they are, or what `make fast` compiled from them.

Compiled modules (mypyc) lie beside the files that they were made of, and Python takes them where they are. Where the
files have changed since, or the environment says `SLOTWISE_INTERPRETED=1`, the files run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

__all__ = ["VARIABLE", "choose", "form", "runs_compiled"]

VARIABLE = "SLOTWISE_INTERPRETED"
FOLDERS = ("core", "drivers")
SUFFIX = EXTENSION_SUFFIXES[0]  # of this interpreter alone
WRITTEN_S = 10.0  # files of one installation are written within this, in any order


class _Sources:
    """Finds the files of the package, and passes over what was compiled from them."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is None or not name.startswith("harness."):
            return None
        return FileFinder(next(iter(path)), (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)


def choose() -> None:
    """Decide which form the modules have that are imported from now on."""
    if (os.environ.get(VARIABLE) or _changed()) and any(_compiled()):
        sys.meta_path.insert(0, _Sources())


def runs_compiled() -> bool:
    """Whether the compiled form runs."""
    return any(_compiled()) and not os.environ.get(VARIABLE) and not _changed()


def form() -> str:
    """Return which form runs, in words, with the way to the other one."""
    if not any(_compiled()):
        return "interpreted; `make fast` compiles it where there is a C compiler"
    if os.environ.get(VARIABLE):
        return f"interpreted, as {VARIABLE} says"
    if changed := _changed():
        return f"interpreted: {changed} has changed since it was compiled; `make fast` compiles it again"
    return f"compiled; {VARIABLE}=1 runs the files themselves"


def _compiled() -> Iterator[tuple[str, str]]:
    """Yield the files from which there are compiled modules, with these."""
    for folder in (os.path.join(os.path.dirname(__file__), name) for name in FOLDERS):  # noqa: PTH118, PTH120 - pathlib
        for name in os.listdir(folder):  # noqa: PTH208 - takes longer to import than all that is done here
            if name.endswith(SUFFIX):
                module = os.path.join(folder, name)  # noqa: PTH118
                yield module.removesuffix(SUFFIX) + ".py", module


def _changed() -> str:
    """Return a file that is newer than what was compiled from it; "" where none is."""
    for source, module in _compiled():
        try:
            if os.stat(source).st_mtime > os.stat(module).st_mtime + WRITTEN_S:  # noqa: PTH116
                return os.path.basename(source)  # noqa: PTH119
        except FileNotFoundError:  # installed without its source
            continue
    return ""
