"""The errors that leave Slotwise, and the exit code of each.

    SlotwiseError            never raised itself
    +-- UserError        2   something the user can fix: a flag, a path, a port
    |   +-- WorkloadError    a workload file: always file:line:column
    |   +-- PolicyError      a policy of the user's own that cannot be used, or broke its contract: always its name
    +-- ServerFailure    3   a server that could not be started, reached or understood
    +-- LostRun          3   the folder of a run that vanished, where no other can be made beside it

A failure of a single call is neither: it is a record with an outcome (docs/explanation/design.md).
A message says where, what was expected, what was found, and what to do; only the CLI prints it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["LostRun", "PolicyError", "ServerFailure", "SlotwiseError", "UserError", "WorkloadError", "did_you_mean"]


class SlotwiseError(Exception):
    """Base of every error that Slotwise raises on purpose; `exit_code` is the process's."""

    exit_code = 1


class UserError(SlotwiseError):
    """Something that the user can fix."""

    exit_code = 2


class WorkloadError(UserError):
    """A workload file that cannot be used; `where` is `file:line:column` as far as it is known."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")
        self.where = where
        self.message = message


class PolicyError(UserError):
    """A policy that cannot be used, or that broke its contract while a trial ran."""


class ServerFailure(SlotwiseError):
    """A server that could not be started, reached or understood."""

    exit_code = 3


class LostRun(SlotwiseError):
    """The folder of a run that vanished while it was written, where no other can be made beside it."""

    exit_code = 3


def did_you_mean(found: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean "x"?` where a close match exists, else an empty string."""
    close = get_close_matches(found, list(allowed), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
