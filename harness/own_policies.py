"""A user's own policies: read from a file that the command line names, or offered by an installed package.

Nothing that a workload or a run folder names comes here: the code of a policies file is executed.
"""

from __future__ import annotations

import copyreg
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.core.policies import KINDS, STANDARD, Policies
from harness.core.policy import PolicySource, made
from harness.errors import PolicyError, UserError

__all__ = [
    "ENTRY_POINTS",
    "installed_policies",
    "policies_again",
    "policies_given",
    "policies_of",
    "read_policies",
]

ENTRY_POINTS = "slotwise.policies"  # the group in which a package offers a module or an object with the dicts
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")  # as all names in a workload
_LARGEST_FILE_BYTES = 1 << 20
_GIVEN = PolicySource("policies")  # from a program's own objects: there is no text, so no other process can have them


def read_policies(path: Path | Policies | None = None) -> Policies:
    """Return every policy: those that come with Slotwise, of installed packages, and of the file at `path`, or given.

    Raises:
        UserError: the file cannot be read.
        PolicyError: it cannot be executed, or what it holds are no policies; or those of a package are not.
    """
    if isinstance(path, Policies):
        return _with(None).with_own(path)
    return _with(None if path is None else _source(path))


def policies_again(folder: Path, files: Sequence[tuple[str, str]], named: Path | Policies | None = None) -> Policies:
    """Return the policies of a run that is to go on or to be simulated again, where their file is named again.

    A folder may come from somebody else, so a file that it names is only executed where the command line names it, too,
    and where it is the same to the last byte.

    Args:
        folder: the run's, for messages. Nothing in it is executed.
        files: where its own policies came from, and the SHA-256 of each file ("" of an installed package).
        named: the file as the command line names it now.

    Raises:
        UserError: the file is not named, or is another one than the run was begun with.
    """
    if isinstance(named, Policies):  # a program's own: there is no text to compare
        return read_policies(named)
    digests = {where: digest for where, digest in files if digest}
    if named is None and digests:
        where = " or ".join(shlex.quote(where) for where in digests)
        raise UserError(
            f"{folder}: the run has policies of your own, and a file is only executed where the command line names it: "
            f"add --policies {where} (a copy is {folder / 'policies.py'})"
        )
    source = None if named is None else _source(named)
    if ({source.sha256} if source else set()) != set(digests.values()):
        begun = "with this policies file as it was before it was changed" if digests else "without policies of your own"
        raise UserError(
            f"{folder}: the run was begun {begun}; go on with the same"
            + (f" (a copy is in {folder / 'policies.py'}), or begin a new run" if digests else ": leave --policies out")
        )
    return _with(source)


@cache
def installed_policies() -> Policies:
    """Return the policies of installed packages; PolicyError where one cannot be loaded."""
    policies = Policies({}, {}, {})
    for entry in entry_points(group=ENTRY_POINTS):
        source = PolicySource(entry.value)
        try:
            offered = entry.load()
        except Exception as error:
            raise PolicyError(f"{entry.value}: {type(error).__name__}: {error}; uninstall or repair it") from error
        policies = policies.with_own(_in(offered if isinstance(offered, Mapping) else vars(offered), source))
    return policies


@cache
def policies_of(source: PolicySource) -> Policies:
    """Execute the text of a policies file and return what its dicts CONCURRENCY, SCHEDULING and PLACEMENT hold.

    Raises:
        PolicyError: it cannot be executed, or what it holds are no policies.
    """
    module = ModuleType(f"slotwise_policies_{source.sha256[:12]}")
    module.__file__ = source.where
    sys.modules[module.__name__] = module  # dataclasses look their module up there
    try:
        exec(compile(source.text, source.where, "exec"), module.__dict__)  # noqa: S102 - the user named it to be run
    except Exception as error:
        line = _line_in(source.where, error)
        raise PolicyError(f"{source.where}{f':{line}' if line else ''}: {type(error).__name__}: {error}") from error
    return _in(vars(module), source)


def policies_given(given: Mapping[str, Any] | Iterable[Any]) -> Policies:
    """Return policies that a program made itself.

    Args:
        given: values `Concurrency(...)`, `Scheduling(...)`, `Placement(...)`, each with a `name`; the same by their
            names; or the dicts of a policies file, such as `{"SCHEDULING": {"mine": Mine}}`.

    Raises:
        PolicyError: one of them is no policy, or has no name.
    """
    named = given.items() if isinstance(given, Mapping) else ((getattr(one, "name", ""), one) for one in given)
    tables: dict[str, dict[str, Any]] = {kind.table: {} for kind in KINDS}
    for name, one in named:
        if name in tables and isinstance(one, Mapping):
            tables[name] |= one
            continue
        table = next((kind.table for kind in KINDS if isinstance(one, kind.made_of)), None)
        if table is None:
            raise PolicyError(
                f'{_GIVEN.where}: "{name}": expected Concurrency(...), Scheduling(...) or Placement(...), found '
                f'{type(one).__name__}; a function or a class goes into a dict of its kind, such as {{"SCHEDULING": '
                '{"mine": mine}}'
            )
        tables[table][name] = one
    return _in(tables, _GIVEN)


def _with(source: PolicySource | None) -> Policies:
    """Return every policy; those of a file, where there is one, are executed."""
    policies = STANDARD.with_own(installed_policies())
    return policies if source is None else policies.with_own(policies_of(source))


def _source(path: Path) -> PolicySource:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE_BYTES + 1)
        if len(data) > _LARGEST_FILE_BYTES:
            raise UserError(f"--policies: {path} is larger than 1 MB; expected a Python file with policies")
        return PolicySource(str(path.absolute()), data.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--policies: {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _in(namespace: Mapping[str, Any], source: PolicySource) -> Policies:
    """Return the policies that a module's dicts hold; PolicyError where it has none, or where one is no policy."""
    tables: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        table = namespace.get(kind.table, {})
        if not isinstance(table, Mapping) or not all(isinstance(name, str) for name in table):
            raise PolicyError(
                f"{source.where}: expected {kind.table} to be a dict of policies by name, found {type(table).__name__}"
            )
        for name in table:
            if not NAME.fullmatch(name):
                raise PolicyError(
                    f'{source.where}: "{name}" is no name for a policy: expected letters, digits, "-" and "_", '
                    "a letter first"
                )
        tables[kind.name] = {n: made(kind.made_of, kind.main, n, written, source) for n, written in table.items()}
    if not any(tables.values()):
        raise PolicyError(
            f"{source.where}: no policy is in it; put yours into a dict CONCURRENCY, SCHEDULING or PLACEMENT, such as "
            'CONCURRENCY = {"half": half}'
        )
    return Policies(**tables, sources=(source,))


def _line_in(path: str, error: BaseException) -> int | None:
    """Return the line of a file at which an error arose."""
    if isinstance(error, SyntaxError):
        return error.lineno
    line, frame = None, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == path:
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


# --- in another process -----------------------------------------------------------------------------------------------


def _restored(kind: str, name: str, source: PolicySource) -> Any:
    policies = policies_of(source) if source.text else installed_policies() if source.where else STANDARD
    return getattr(policies, kind)[name]


def _reduced(kind: str, policy: Any) -> tuple[Any, tuple[str, str, PolicySource]]:
    """Send a policy by its name and the text that it was read from: functions of a file can't be pickled."""
    return _restored, (kind, policy.name, policy.source)


for _kind in KINDS:
    copyreg.pickle(_kind.made_of, partial(_reduced, _kind.name))
