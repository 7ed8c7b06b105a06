"""Worker processes: typing never waits for a simulation, newer questions replace older ones, long ones are ended."""

from __future__ import annotations

import asyncio
import os
import struct
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import harness
from harness.servers.process import our_python

__all__ = ["NotAnswered", "TabsInTurn", "Worker"]

GRACE_S = 0.3  # what is replaced may still end by itself: to start a process takes longer
MOST_WAITING = 64  # tabs

Why = Literal["replaced", "too-long", "failed"]


class NotAnswered(Exception):
    """A question without an answer; `why` is the state that is said of it."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why: Why = why


class Worker:
    """One process that answers one question at a time; started when it is needed, and again after it was killed."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def warm(self) -> None:
        """Start the process if there is none, and wait until it can answer."""
        if self._process is not None and self._process.returncode is None:
            return
        root = str(Path(harness.__file__).parents[1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
        self._process = await asyncio.create_subprocess_exec(
            *our_python("harness.studio.child"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "PYDANTIC_DISABLE_PLUGINS": "__all__"},
            start_new_session=True,
        )
        await self._read()

    async def ask(self, body: bytes) -> bytes:
        """Return the answer to a question; `asyncio.IncompleteReadError` or `OSError` where the process is lost."""
        await self.warm()
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(struct.pack(">I", len(body)) + body)
        await self._process.stdin.drain()
        return await self._read()

    async def kill(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    async def _read(self) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        (length,) = struct.unpack(">I", await self._process.stdout.readexactly(4))
        return await self._process.stdout.readexactly(length)


class _Question(NamedTuple):
    key: tuple[str, str]
    version: int
    body: bytes
    answer: asyncio.Future[bytes]


class TabsInTurn:
    """One worker and who waits for it: of each tab the newest question alone, tabs in the order in which they came.

    Args:
        name: of what it does, for messages.
        limit_s: a question that takes longer is ended.
        worker: who answers.
        early: it is started before the first question comes, and again after it was ended.
    """

    def __init__(self, name: str, limit_s: float, worker: Callable[[], Worker] = Worker, *, early: bool = True) -> None:
        self.name, self.limit_s, self.early = name, limit_s, early
        self._worker = worker()
        self._waiting: dict[tuple[str, str], _Question] = {}
        self._now: _Question | None = None
        self._come = asyncio.Event()
        self._replaced = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, tab: str, name: str, version: int, body: bytes) -> bytes:
        """Return the answer to the question `name` of a tab.

        Raises:
            NotAnswered: a newer one took its place, it took too long, or the worker was lost.
        """
        key = (tab, name)
        older = self._waiting.get(key)
        newest = max((one.version for one in (older, self._now) if one is not None and one.key == key), default=-1)
        if version < newest:
            raise NotAnswered("replaced", "a later request took its place")
        if older is not None:
            self._end(older, "replaced", "a later request took its place")
        elif len(self._waiting) >= MOST_WAITING:
            raise NotAnswered("failed", f"{MOST_WAITING} tabs wait already; close some")
        question = _Question(key, version, body, asyncio.get_running_loop().create_future())
        self._waiting[key] = question
        if self._now is not None and self._now.key == key:
            self._replaced.set()
        self._come.set()
        return await question.answer

    def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the worker, and everything that waits for it."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for question in (*self._waiting.values(), *([self._now] if self._now else [])):
            self._end(question, "failed", "the workbench was stopped")
        await self._worker.kill()

    async def _run(self) -> None:
        while True:
            if self.early:
                with suppress(OSError, asyncio.IncompleteReadError):  # else it is said to whoever asks
                    await self._worker.warm()
            await self._come.wait()
            if not self._waiting:
                self._come.clear()
                continue
            self._now = self._waiting.pop(next(iter(self._waiting)))
            self._replaced.clear()
            if not self._now.answer.done():  # its page has gone
                await self._answer(self._now)
            self._now = None

    async def _answer(self, question: _Question) -> None:
        asking = asyncio.create_task(self._worker.ask(question.body))
        replaced = asyncio.create_task(self._replaced.wait())
        try:
            await asyncio.wait({asking, replaced}, timeout=self.limit_s, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done() and self._replaced.is_set():
                await asyncio.wait({asking}, timeout=GRACE_S)
            if asking.done():
                answer = asking.result()
                if not question.answer.done():
                    question.answer.set_result(answer)
                return
            await self._worker.kill()
            if self._replaced.is_set():
                self._end(question, "replaced", "a later request took its place")
            else:
                self._end(
                    question, "too-long", f"the {self.name} took more than {self.limit_s:g} s and was interrupted"
                )
        except (OSError, asyncio.IncompleteReadError):
            await self._worker.kill()
            self._end(question, "failed", f"the process of the {self.name} was lost (out of memory?)")
        finally:
            replaced.cancel()
            if not asking.done():
                asking.cancel()
            with suppress(asyncio.CancelledError, OSError, asyncio.IncompleteReadError):
                await asking

    @staticmethod
    def _end(question: _Question, why: Why, message: str) -> None:
        if not question.answer.done():
            question.answer.set_exception(NotAnswered(why, message))
