"""A process for what takes long: `python -m harness.studio.task_child`. It can be stopped, and stops its servers then.

Messages are those of `child.py`. It is asked for a task on stdin, tells how far it is several times a second, and at
the end what came of it. The word `stop`, or the end of stdin, is as Ctrl-C is for a command.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from harness.app.advice import AdviceOptions, BesideOptions, advise, beside, measure_advice
from harness.app.figures import DesignMachine, Turned
from harness.app.look import mistakes_in
from harness.app.noted import NotedProgress
from harness.app.recommend import SearchEnd
from harness.app.workload import Written
from harness.errors import SlotwiseError, UserError
from harness.studio import task_forms as forms
from harness.studio.child import read_message, write_message
from harness.studio.work import DesignPlace, check_named, fields

__all__ = ["main"]

TOLD_S = 0.2  # between two tellings
END_S = 30.0  # to stop servers in, once nobody is there any more


class _Tasks:
    """What this process can do; a measurement goes on from the search before it."""

    def __init__(self) -> None:
        self._end: SearchEnd | None = None

    def recommend(self, asked: forms.AdviceAsked, place: DesignPlace, progress: NotedProgress) -> dict[str, Any]:
        for named in asked.machine.profiles:
            check_named(named, place)
        options = AdviceOptions(
            machine=DesignMachine(**asked.machine.model_dump()),
            turned=Turned(**asked.turned.model_dump()),
            extrapolate=asked.extrapolate,
        )
        advice, self._end = advise(Written(place.file, asked.text), options, progress)
        return {"advice": fields(advice)}

    def measure(self, asked: forms.MeasureAsked, place: DesignPlace, progress: NotedProgress) -> dict[str, Any]:
        if self._end is None:
            raise UserError("there is no recommendation to measure: search for one first")
        return {"advice": fields(measure_advice(self._end, asked.budget_s, progress))}

    def compare(self, asked: forms.BesideAsked, place: DesignPlace, progress: NotedProgress) -> dict[str, Any]:
        for machine in asked.machines:
            for named in machine.profiles:
                check_named(named, place)
        options = BesideOptions(
            machines=tuple(DesignMachine(**machine.model_dump()) for machine in asked.machines),
            turned=Turned(**asked.turned.model_dump()),
            extrapolate=asked.extrapolate,
        )
        return {"beside": fields(beside(Written(place.file, asked.text), options, progress))}


class _Asked:
    """Who asks: requests come in a thread, so that a stop is heard while something is done."""

    def __init__(self) -> None:
        self.requests: SimpleQueue[bytes | None] = SimpleQueue()
        self.stopped = threading.Event()
        self._main = threading.main_thread().ident

    def listen(self) -> None:
        """Read until stdin closes."""
        while (body := read_message(sys.stdin.buffer)) is not None:
            if body == b"stop":
                self._stop()
            else:
                self.requests.put(body)
        self.requests.put(None)
        self._stop()
        threading.Event().wait(END_S)
        os._exit(1)

    def _stop(self) -> None:
        self.stopped.set()
        if self._main is not None:
            signal.pthread_kill(self._main, signal.SIGINT)  # this thread alone wakes from what it waits for

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let a stop interrupt what is done here, with KeyboardInterrupt; one that came before it, too."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if self.stopped.is_set():
                raise KeyboardInterrupt
            yield
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Telling:
    """Tells how far it is until it is left."""

    def __init__(self, told: BinaryIO, progress: NotedProgress) -> None:
        self._told, self._progress = told, progress
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _tell(self) -> None:
        while not self._over.wait(TOLD_S):
            write_message(self._told, json.dumps({"progress": _told(self._progress)}).encode())


def _told(progress: NotedProgress) -> dict[str, Any]:
    """Return how far it is, as `forms.TaskProgress`."""
    frame, names = progress.frame(), forms.PipelineStands.model_fields
    found = {name: getattr(frame, name) for name in forms.TaskProgress.model_fields if hasattr(frame, name)}
    found["servers"] = [one._asdict() for one in frame.servers]
    found["pipelines"] = [{name: getattr(one, name) for name in names} for one in frame.pipelines]
    return found | {"lines": list(progress.lines)}


def _done(tasks: _Tasks, asked: _Asked, body: bytes, progress: NotedProgress) -> dict[str, Any]:
    """Do what is asked for; whatever goes wrong is said."""
    request = json.loads(body)
    place = DesignPlace(Path(request["file"]), tuple(request["profiles"]))
    form, _ = forms.TASK_QUESTIONS[request["name"]]
    question = form.model_validate(request["asked"])
    try:
        with asked.interruptible():
            found: dict[str, Any] = getattr(tasks, request["name"])(question, place, progress)
            return found
    except KeyboardInterrupt:
        return {"state": "failed", "message": "It was stopped before anything was known."}
    except UserError as error:
        written = Written(place.file, getattr(question, "text", ""))
        return {"state": "mistake", "mistakes": [one._asdict() for one in mistakes_in(error, written)]}
    except SlotwiseError as error:
        return {"state": "failed", "message": str(error)}
    except MemoryError:
        return {"state": "failed", "message": "there is not enough memory for it; make the workload smaller"}
    except Exception as error:  # noqa: BLE001 - a mistake of ours, which must not end the workbench
        return {"state": "failed", "message": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Do what is asked for until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # heard only while something is done
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints is no answer
    asked, tasks = _Asked(), _Tasks()
    threading.Thread(target=asked.listen, daemon=True).start()
    while (body := asked.requests.get()) is not None:
        progress = NotedProgress()
        with _Telling(told, progress):
            found = _done(tasks, asked, body, progress)
        last = {"progress": _told(progress), "ended": found}
        write_message(told, json.dumps(last, default=str).encode())
    os._exit(0)  # the thread that listens waits for stdin


if __name__ == "__main__":
    main()
