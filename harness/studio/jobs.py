"""Jobs of the page: one for each tab, each a process that says how far it is, can be stopped, and ends with us."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

import harness
from harness.servers.process import our_python
from harness.studio.forms import StudioQuestion
from harness.studio.job_forms import JobAnswer, JobAsked, JobStopAsked
from harness.studio.work import DesignPlace

__all__ = ["DesignJobs"]

STOP_S = 15.0  # for a job to end its servers and say what it has found
MOST_JOBS = 16  # at once, over all tabs
MOST_SAID = 6  # lines
LONGEST_LINE = 64 * 1024 * 1024


class _DesignJob:
    """One of them."""

    def __init__(self, asked: JobAsked, process: Process) -> None:
        self.asked, self.process = asked, process
        self.began_s = time.monotonic()
        self.took_s: float | None = None
        self.stopping = False
        self.said: deque[str] = deque(maxlen=MOST_SAID)
        self.done = self.total = 0
        self.ended: dict[str, Any] | None = None
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        with suppress(ValueError):  # a line beyond all bounds
            async for line in self.process.stdout:
                self._hear(json.loads(line))
        await self.process.wait()
        self.took_s = time.monotonic() - self.began_s
        if self.ended is None:
            said = "it was stopped" if self.stopping else "its process was lost (out of memory?)"
            self.ended = {"state": "failed", "message": said}

    def _hear(self, told: dict[str, Any]) -> None:
        if "ended" in told:
            self.ended = told["ended"]
        if "say" in told:
            self.said.append(str(told["say"]))
            self.done = self.total = 0
        if "total" in told:
            self.done, self.total = int(told["done"]), int(told["total"])

    async def stop(self) -> None:
        """Interrupt it as Ctrl-C would; kill it where that takes too long."""
        self.stopping = True
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGINT)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.reading), STOP_S)
            return
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.reading

    def answer(self, tab: str) -> JobAnswer:
        """Return how it stands."""
        running = self.took_s is None
        return JobAnswer.model_validate(
            {
                "tab": tab,
                "version": self.asked.version,
                "kind": self.asked.kind,
                "running": running,
                "stopping": running and self.stopping,
                "seconds": time.monotonic() - self.began_s if self.took_s is None else self.took_s,
                "said": list(self.said),
                "done": self.done,
                "total": self.total,
                **({} if running else self.ended or {}),
            }
        )


class DesignJobs:
    """All of them, by tab."""

    def __init__(self) -> None:
        self._jobs: dict[str, _DesignJob] = {}

    async def answer(self, asked: StudioQuestion, place: DesignPlace) -> JobAnswer:
        """Begin, watch or stop the job of a tab."""
        if isinstance(asked, JobAsked):
            return await self._begin(asked, place)
        job = self._jobs.get(asked.tab)
        if job is None:
            return JobAnswer(tab=asked.tab, version=asked.version)
        if isinstance(asked, JobStopAsked):
            await job.stop()
        return job.answer(asked.tab)

    def pid(self, tab: str) -> int:
        """Return the process of a tab's job."""
        return self._jobs[tab].process.pid

    async def stop(self) -> None:
        """End all of them, and the servers that they started."""
        await asyncio.gather(*(job.stop() for job in self._jobs.values()))

    async def _begin(self, asked: JobAsked, place: DesignPlace) -> JobAnswer:
        before = self._jobs.get(asked.tab)
        if before is not None and before.took_s is None:
            await before.stop()
        if sum(job.took_s is None for job in self._jobs.values()) >= MOST_JOBS:
            said = f"{MOST_JOBS} searches and measurements run already: stop one, or wait"
            return JobAnswer(tab=asked.tab, version=asked.version, state="failed", message=said)
        root = str(Path(harness.__file__).parents[1])
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH")) if part)
        process = await asyncio.create_subprocess_exec(
            *our_python("harness.studio.job_child"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env={**os.environ, "PYTHONPATH": path, "PYDANTIC_DISABLE_PLUGINS": "__all__"},
            start_new_session=True,
            limit=LONGEST_LINE,
        )
        assert process.stdin is not None
        body = {"asked": asked.model_dump(mode="json"), "file": str(place.file), "profiles": list(place.profiles)}
        with suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps(body).encode() + b"\n")
            await process.stdin.drain()
        job = self._jobs[asked.tab] = _DesignJob(asked, process)
        return job.answer(asked.tab)
