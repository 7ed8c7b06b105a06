"""What all tests share: a virtual clock (`run_virtual`), golden files (`golden`, `--accept`), seconds by folder."""

from __future__ import annotations

import asyncio
import heapq
import os
import selectors
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from processes import hear_signals

# Tests are about the files, whatever `make fast` has made of them; processes that they start inherit this.
os.environ.setdefault("SLOTWISE_INTERPRETED", "1")

T = TypeVar("T")
ROOT = Path(__file__).parent.parent

hear_signals()


class _NoWait(selectors.SelectSelector):
    """Never blocks: on a virtual clock there is nothing to wait for."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as nothing is ready.

    `_clock_resolution` must not be 0, or the loop spins for ever (python/cpython#116342).
    """

    def __init__(self) -> None:
        super().__init__(_NoWait())
        self._now_s = 0.0
        self._clock_resolution = 1e-9
        self._idlers: list[asyncio.Future[None]] = []

    def time(self) -> float:
        return self._now_s

    async def idle(self) -> None:
        """Wait until nothing more is due at this instant."""
        future: asyncio.Future[None] = self.create_future()
        self._idlers.append(future)
        await future

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]  # asyncio's own
        scheduled: Any = self._scheduled  # type: ignore[attr-defined]  # asyncio's own
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready and not (scheduled and scheduled[0]._when <= self._now_s):
            if self._idlers:
                for future in self._idlers:
                    future.set_result(None)
                self._idlers.clear()
            elif scheduled:
                self._now_s = scheduled[0]._when
            else:
                raise RuntimeError("deadlock: nothing is ready, nothing is scheduled")
        super()._run_once()  # type: ignore[misc]  # asyncio's own


@pytest.fixture
def run_virtual() -> Callable[[Callable[[VirtualLoop], Coroutine[Any, Any, T]]], T]:
    """Run a coroutine function on a fresh virtual-time loop."""

    def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
        loop = VirtualLoop()
        try:
            return loop.run_until_complete(main(loop))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return run


# --- golden files -----------------------------------------------------------------------------------------

Golden = Callable[[Path, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--accept",
        action="store_true",
        help="write what tests compare with golden files into these (see CONTRIBUTING.md)",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return `golden(path, text)`: the file must hold exactly this text; `pytest --accept` rewrites it instead."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--accept"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        kept = path.read_text(encoding="utf-8") if path.exists() else None
        assert text == kept, (
            f"{path.relative_to(ROOT)} is not what came out. If what came out is right: "
            f"pytest --accept '{request.node.nodeid}', then look at `git diff`"
        )

    return compare


# --- what tests leave out -------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what else this machine does as a run begins, but those of just that."""
    from harness.app import machine

    monkeypatch.setattr(machine, "busy_cores", lambda: 0.0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Reports have no charts but in tests/report and in tests marked `drawn`: they would take two seconds of each."""
    if item.path.is_relative_to(ROOT / "tests" / "report") or item.get_closest_marker("drawn"):
        return (yield)
    from harness.report import drawing

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "drawn", lambda groups: drawing.Drawings({}))
        return (yield)


# --- seconds by folder ------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how long the tests of each folder took, where more than one folder was run; workers report here too."""
    seconds, tests = defaultdict[str, float](float), defaultdict[str, set[str]](set)
    for report in (one for reports in terminalreporter.stats.values() for one in reports):
        if isinstance(report, pytest.TestReport):
            folder = report.nodeid.partition("::")[0].rpartition("/")[0]
            seconds[folder] += report.duration
            tests[folder].add(report.nodeid)
    if len(seconds) < 2:
        return
    terminalreporter.section("seconds by folder")
    for folder in sorted(seconds, key=seconds.__getitem__, reverse=True):
        terminalreporter.line(f"{seconds[folder]:7.1f} s  {folder} ({len(tests[folder])} tests)")
    terminalreporter.line(f"{sum(seconds.values()):7.1f} s  in all, over all processes")
