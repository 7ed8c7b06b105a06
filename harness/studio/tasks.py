"""Tasks that take long, each in a process of its own: begun, followed, stopped. `task_child.py` is the other side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

import harness
from harness.servers.process import our_python
from harness.studio import task_forms as forms
from harness.studio.work import DesignPlace
from harness.studio.workers import NotAnswered

__all__ = ["MOST_TASKS", "STOP_S", "LongTasks"]

STOP_S = 20.0  # for a task to stop its servers in; then it is ended, and they end as its pipes close
MOST_TASKS = 6  # processes; those of a tab that was closed give way

STAGES: dict[str, forms.TaskStage] = {"recommend": "search", "measure": "measurement", "compare": "comparison"}

_Key = tuple[str, forms.TaskSort]  # a tab, and which of its tasks


class _Task:
    """A process that does one thing after the other, and what it last told."""

    def __init__(self) -> None:
        self.stage: forms.TaskStage = "none"
        self.about = 0
        self.at_work = self.stopping = False
        self.progress: dict[str, Any] | None = None
        self.ended: dict[str, Any] = {}
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._stop: asyncio.Task[None] | None = None

    @property
    def lives(self) -> bool:
        """Whether there is a process, which could go on with what it found."""
        return self._process is not None and self._process.returncode is None

    async def begin(self, stage: forms.TaskStage, about: int, body: bytes) -> None:
        """Begin something; the process is started where there is none."""
        self.stage, self.about = stage, about
        self.at_work, self.progress, self.ended = True, None, {}
        if not self.lives:
            root = str(Path(harness.__file__).parents[1])
            path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
            self._process = await asyncio.create_subprocess_exec(
                *our_python("harness.studio.task_child"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "PYDANTIC_DISABLE_PLUGINS": "__all__"},
                start_new_session=True,
            )
        self._send(body)
        self._reading = asyncio.create_task(self._read())

    def halt(self) -> None:
        """Have it stop; it tells soon what it has, and its process ends then."""
        if self.at_work and not self.stopping:
            self.stopping = True
            self._send(b"stop")
            self._stop = asyncio.create_task(self.end(wait_s=STOP_S))

    async def end(self, wait_s: float = STOP_S) -> None:
        """End the process, politely first; everything that it started ends, too."""
        process = self._process
        if process is None:
            return
        with suppress(asyncio.TimeoutError):
            if self.at_work:
                self._send(b"stop")
                assert self._reading is not None
                await asyncio.wait_for(asyncio.shield(self._reading), wait_s)
            assert process.stdin is not None
            process.stdin.close()
            await asyncio.wait_for(process.wait(), wait_s)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # who is left of its session
        await process.wait()
        if self._reading is not None:
            await self._reading

    def _send(self, body: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(struct.pack(">I", len(body)) + body)

    async def _read(self) -> None:
        """Take what is told until the task has ended, or its process."""
        assert self._process is not None and self._process.stdout is not None
        stream = self._process.stdout
        try:
            while self.at_work:
                (length,) = struct.unpack(">I", await stream.readexactly(4))
                told = json.loads(await stream.readexactly(length))
                self.progress = told["progress"]
                if "ended" in told:
                    self.ended, self.at_work = told["ended"], False
        except (OSError, asyncio.IncompleteReadError):
            message = "It was stopped." if self.stopping else "its process was lost (out of memory?)"
            self.ended, self.at_work = {"state": "failed", "message": message}, False


class LongTasks:
    """The tasks of all tabs: of each tab one search, with its measurement, and one comparison."""

    def __init__(self) -> None:
        self._tasks: dict[_Key, _Task] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._beginning = asyncio.Lock()
        self._over = False

    async def answer(self, name: str, asked: forms.TaskAsked, place: DesignPlace) -> forms.TaskAnswer:
        """Answer a question about a task; to begin one and to stop one are such questions."""
        sort: forms.TaskSort = getattr(asked, "sort", "compare" if name == "compare" else "recommend")
        key = (asked.tab, sort)
        if isinstance(asked, forms.HaltAsked) and key in self._tasks:
            self._tasks[key].halt()
        elif name in STAGES:
            body = {"name": name, "asked": asked.model_dump(mode="json"), "file": str(place.file)}
            body["profiles"] = list(place.profiles)
            async with self._beginning:
                try:
                    await self._begin(name, key, asked.version, json.dumps(body).encode())
                except NotAnswered as refused:
                    return forms.TaskAnswer(
                        tab=asked.tab, version=asked.version, state=refused.why, message=str(refused)
                    )
        return _answer(asked, self._tasks.get(key))

    async def stop(self) -> None:
        """End all of them, with what they started."""
        async with self._beginning:
            self._over = True
        await asyncio.gather(*(task.end() for task in self._tasks.values()), *self._ending)

    async def _begin(self, name: str, key: _Key, version: int, body: bytes) -> None:
        """Begin a task.

        Raises:
            NotAnswered: it cannot begin now.
        """
        if self._over:
            raise NotAnswered("failed", "the workbench was stopped")
        before = self._tasks.get(key)
        if name == "measure":
            if before is None or before.at_work or before.stopping or not before.lives:
                raise NotAnswered("failed", "there is no recommendation to measure: search for one first")
            await before.begin("measurement", before.about, body)
            return
        if before is not None:
            if version < before.about:
                raise NotAnswered("replaced", "a later request took its place")
            self._put_away(key)
        if len(self._tasks) >= MOST_TASKS:
            idle = next((one for one, task in self._tasks.items() if not task.at_work), None)
            if idle is None:
                raise NotAnswered("failed", f"{MOST_TASKS} searches and comparisons are under way; stop one")
            self._put_away(idle)
        self._tasks[key] = _Task()
        await self._tasks[key].begin(STAGES[name], version, body)

    def _put_away(self, key: _Key) -> None:
        ending = asyncio.create_task(self._tasks.pop(key).end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


def _answer(asked: forms.TaskAsked, task: _Task | None) -> forms.TaskAnswer:
    found: dict[str, Any] = {"tab": asked.tab, "version": asked.version}
    if task is not None:
        found |= {"stage": task.stage, "at_work": task.at_work, "about": task.about, "progress": task.progress}
        found |= {"stopping": task.stopping and task.at_work, **task.ended}
    return forms.TaskAnswer.model_validate(found)
