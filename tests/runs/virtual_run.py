"""A whole `measure()` on a virtual clock, with exact durations, that can be killed at any line that it writes.

For tests of what is on disk during a run and after it: resuming, progress, kills.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from conftest import VirtualLoop
from fake_ollama import FakeOllama
from quiet import Quiet

from harness.drivers.chat import Chat
from harness.measure import session
from harness.measure.sender import Endpoint
from harness.runs.folder import RunFolder, read_run
from harness.runs.head import read_head
from harness.runs.model import Run, ServerFacts
from harness.runs.resume import check_same, reopen, whole_trials
from harness.servers.spec import RunningServer
from harness.workload.load import Loaded, load_workload

STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WORKLOAD = """
version: 1
name: tiny
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: 4}, over: items}
      look: {tool: {delay_s: 0.25}, after: [part]}
      join: {agent: {prompt: "Join {part}", output_tokens: 4}, after: [look]}
  chat:
    path: interactive
    jobs: 2
    arrival: {closed: 1, think_s: 0.5}
    nodes:
      reply: {agent: {prompt: "Hello", output_tokens: 2}}
inputs:
  items: {list: [a, b]}
servers:
  s: {kind: llamacpp, slots: 2}
compare:
  serial: {placement: s, concurrency: serial}
  both: {placement: s, concurrency: window}
measure: {repeats: 2, warmup: 1}
"""


class Killed(Exception):
    """The process is gone: nothing more is written."""


def duration_s(user: str) -> float:
    """Between 1/8 and 1 s, a multiple of 1/512 s, by the text of the prompt: sums of times are exact."""
    return (64 + crc32(user.encode()) % 448) / 512


def write_workload(folder: Path) -> Path:
    """Write the workload and return its path."""
    path = folder / "w.yaml"
    path.write_text(WORKLOAD, encoding="utf-8")
    return path


def on_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `measure` find servers that answer in `duration_s` each, with two slots that need no probing."""

    @asynccontextmanager
    async def opened(name: str, *_: Any) -> AsyncIterator[Endpoint]:
        import asyncio

        clock = asyncio.get_running_loop().time
        chat = Chat("http://s:1", "m", clock, transport=FakeOllama(clock, duration_s).transport())
        server = RunningServer(name, "llamacpp", "http://s:1", "m", 2, False, "v1", True, True, {"context_tokens": 512})
        yield Endpoint(server, chat, None)

    async def examine(endpoint: Endpoint, *_: Any) -> ServerFacts:
        server = endpoint.server
        return ServerFacts(server.name, server.kind, server.url, "m", 2, 2, "v1", True, None, server.details)

    monkeypatch.setattr(session, "opened", opened)
    monkeypatch.setattr(session, "_examine", examine)


def header(loaded: Loaded) -> Run:
    """Return the run as it is before anything was measured."""
    return Run(
        name=loaded.workload.name,
        origin="measured",
        started_at=STARTED.isoformat(),
        workload=loaded.resolved(),
        candidates=tuple(plan.name for plan in loaded.plans),
        machine={"cpu": "A quiet processor"},
        servers=(),
        notes=(),
        partial=True,
        trials=(),
        calls=(),
        jobs=(),
        delays=(),
        plans=loaded.plans,
        work=loaded.work(),
        file=str(loaded.path),
    )


def _measure(folder: RunFolder, loaded: Loaded, head: Run, done: Collection[tuple[str, int]] = ()) -> None:
    loop = VirtualLoop()
    try:
        folder.write_header(head)
        folder.write_header(loop.run_until_complete(session.measure(loaded, folder, head, Quiet(), done)))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def begin(parent: Path, workload: Path) -> Path:
    """Run the workload into a new folder; `Killed` may cut it."""
    loaded = load_workload(workload)
    with RunFolder.create(parent, "tiny", STARTED) as folder:
        _measure(folder, loaded, header(loaded))
    return folder.path


def resume(path: Path) -> None:
    """Go on with a run as `slotwise run --resume` does; `Killed` may cut it again."""
    head = read_head(path)
    loaded = load_workload(Path(head.file))
    run = read_run(path)
    check_same(path, run, loaded)
    whole = whole_trials(run)
    with reopen(path, whole) as folder:
        _measure(folder, loaded, head, whole)


def by_trial(run: Run) -> dict[tuple[str, int], list[Any]]:
    """All records of each trial in the order in which they were written; when a trial began is for people only."""
    found: dict[tuple[str, int], list[Any]] = {}
    for records in (run.calls, run.jobs, run.delays, [trial._replace(started_at="") for trial in run.trials]):
        for record in records:
            found.setdefault((record.candidate, record.repeat), []).append(record)
    return found


def kill_after(monkeypatch: pytest.MonkeyPatch, lines: int, part: float) -> None:
    """Have the process die after this many lines of records, having written this part of the next one."""
    left = lines

    def append(self: RunFolder, kind: str, record: dict[str, Any]) -> None:
        nonlocal left
        if left <= 0:
            raise Killed
        left -= 1
        if left == 0:
            line = _line(record)
            self._files[kind].write(line[: round(part * len(line))])
            raise Killed
        self._files[kind].write(_line(record))

    monkeypatch.setattr(RunFolder, "_append", append)


def _line(record: dict[str, Any]) -> bytes:
    import json

    return json.dumps(record, separators=(",", ":")).encode() + b"\n"
