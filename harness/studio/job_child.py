"""A job: `python -m harness.studio.job_child`; the request on stdin, one JSON object a line on stdout, the answer last.

It ends when its stdin closes, however its parent died, and so do the servers that it started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from harness.app.design_jobs import DesignFound, compare_design, measure_design, search_design
from harness.app.figures import DesignMachine, DesignOptions, Turned, machine_profiles
from harness.app.look import mistakes_in
from harness.app.workload import Written
from harness.errors import SlotwiseError, UserError
from harness.measure.progress import Progress
from harness.studio.job_forms import JobAsked
from harness.studio.plain import fields_of
from harness.studio.work import DesignPlace, check_named

__all__ = ["main"]

GRACE_S = 10.0  # for servers to end, where the parent is gone


class _Told(Progress):
    """Writes what it is told of as lines of JSON."""

    def __init__(self, to: TextIO) -> None:
        self._to = to
        self._total = 0
        self._lock = threading.Lock()

    def write(self, **what: Any) -> None:
        with self._lock:
            self._to.write(json.dumps(what) + "\n")
            self._to.flush()

    def say(self, text: str) -> None:
        self.write(say=text)

    def part(self, done: int, total: int) -> None:
        self.write(done=done, total=total)

    def trials(self, names: Sequence[str], noun: str = "trial", server: str = "") -> None:
        self._total = len(names)

    def trial(self, number: int, title: str) -> None:
        self.write(say=title, done=number - 1, total=self._total)


def _found(asked: JobAsked, place: DesignPlace, told: Progress) -> DesignFound:
    for machine in (asked.machine, *asked.machines):
        for named in machine.profiles:
            check_named(named, place)
    written = Written(place.file, asked.text)
    options = DesignOptions(
        machine=DesignMachine(**asked.machine.model_dump()),
        turned=Turned(**asked.turned.model_dump()),
        extrapolate=asked.extrapolate,
    )
    if asked.kind == "recommend":
        return search_design(written, options, told)
    if asked.kind == "measure":
        return measure_design(written, asked.candidates, options, told)
    names = tuple(name for one in asked.machines for name in machine_profiles(DesignMachine(**one.model_dump())))
    return compare_design(written, names, options, told)


def _answered(body: dict[str, Any], told: Progress) -> dict[str, Any]:
    asked = JobAsked.model_validate(body["asked"])
    place = DesignPlace(Path(body["file"]), tuple(body["profiles"]))
    try:
        found = fields_of(_found(asked, place, told))
    except UserError as error:
        mistakes = [one._asdict() for one in mistakes_in(error, Written(place.file, asked.text))]
        return {"state": "mistake", "mistakes": mistakes}
    except SlotwiseError as error:
        return {"state": "failed", "message": str(error)}
    except KeyboardInterrupt:
        return {"state": "failed", "message": "it was stopped before anything was known"}
    except Exception as error:  # noqa: BLE001 - a mistake of ours, which must be said
        return {"state": "failed", "message": f"{type(error).__name__}: {error}"}
    return {"result": found.pop("answer"), **found}


def _ends_with_parent() -> None:
    """Interrupt this process when its stdin closes, as Ctrl-C would; end it where that is not enough."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait(GRACE_S)
    os._exit(1)


def main() -> None:
    """Do the one job."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    told = _Told(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # what anything prints is no answer
    body = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_ends_with_parent, daemon=True).start()
    told.write(ended=_answered(body, told))


if __name__ == "__main__":
    main()
