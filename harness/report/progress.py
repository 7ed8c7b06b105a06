"""Progress for people: a live view on a terminal, plain lines elsewhere. It goes to stderr, answers go to stdout.

Both are listeners of `harness.measure.progress.Progress`. What a call costs here is paid while servers are timed: the
live view only notes what it is told, and draws in a thread of its own.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import NamedTuple, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from harness.core.engine import Engine
from harness.core.graph import Pipeline
from harness.core.jobs import has_pools
from harness.core.plan import Plan
from harness.core.records import CallRecord, DelayRecord, JobRecord
from harness.report.live_frame import Frame, JobsRow, ServerRow, draw
from harness.report.pace import Pace
from harness.report.text import plain
from harness.units import about, elapsed, size

__all__ = ["FrameProgress", "LineProgress", "LiveProgress", "NoProgress", "lines_for", "progress_for"]

REFRESH_PER_S = 4.0
_LONG_S = 5.0  # a step that took longer has its time in plain lines
_SHOWN_S = 1.0  # a step that takes longer has its time in the live view
LAST_WAITS = 100

Clock = Callable[[], float]
Record = CallRecord | JobRecord | DelayRecord


class _Expects:
    """What both views know of how long it will take."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected_s: Mapping[str, float] = {}
        self._until_s: float | None = None
        self._noun = "trial"
        self._server = ""
        self._pace: Pace | None = None

    def expect(self, expected_s: Mapping[str, float], at_most_s: float | None = None) -> None:
        """Take a prediction of how long a trial of each name takes, and when the measurement ends at the latest.

        With `at_most_s` it ends as soon as enough is known: how many trials there will be is then not known.
        """
        self._expected_s = dict(expected_s)
        self._until_s = None if at_most_s is None else self._clock() + at_most_s

    def _begin(self, names: Sequence[str], noun: str, server: str) -> None:
        self._noun, self._server = noun, server
        self._pace = Pace(names, self._clock(), self._expected_s, self._until_s) if names else None


class LineProgress(_Expects):
    """One plain line per step and per trial."""

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic) -> None:
        super().__init__(clock)
        self._stream = stream
        self._quarter = 0
        self._said_s: float | None = None  # when a step was told of, and nothing since

    def say(self, text: str) -> None:
        """Print the step; where the one before it took long, also how long."""
        self._print(text)
        self._said_s = self._clock()

    def _print(self, text: str) -> None:
        took_s = 0.0 if self._said_s is None else self._clock() - self._said_s
        after = f" (after {elapsed(took_s)})" if took_s >= _LONG_S else ""
        print(f"{plain(text)}{after}", file=self._stream, flush=True)
        self._said_s = None

    def part(self, done: int, total: int) -> None:
        """Nothing: there may be thousands."""

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Print a line every quarter."""
        quarter = 4 * done_bytes // max(total_bytes, 1)
        if quarter != self._quarter:
            self._quarter = quarter
            self.say(f"fetched {size(done_bytes)} of {size(total_bytes)}")

    def trials(self, names: Sequence[str], noun: str = "trial", server: str = "") -> None:
        """Keep them for the lines to come."""
        self._begin(names, noun, server)

    def serving(self) -> None:
        """Nothing: what there is to say is said line by line."""

    def trial(self, number: int, title: str) -> None:
        """Print one line per trial."""
        pace = self._pace
        if pace is None:
            return
        pace.begin(number, self._clock())
        left_s = pace.left_s(self._clock())
        roughly = "about" if pace.until_s is None else "at most"
        left = "" if left_s is None or number == 1 else f" ({roughly} {about(left_s)} left)"
        total = f"/{len(pace.names)}" if pace.until_s is None else ""
        self._print(f"{self._noun} {number}{total}: {title}{left}")

    def stands(self, engine: Engine) -> None:
        """Nothing: a line per call would drown the rest."""

    def record(self, record: Record) -> None:
        """Nothing, likewise."""


class NoProgress(LineProgress):
    """Says nothing: an answer alone is wanted."""

    def _print(self, text: str) -> None:
        return


class _Standing(NamedTuple):
    """How a trial stood when the engine was last heard of."""

    plan: Plan
    pipelines: tuple[Pipeline, ...]
    queues: list[tuple[int, int]]
    queued: int
    jobs: list[tuple[int, int]]


class FrameProgress(_Expects):
    """Notes what it is told; `frame` is how it stands. Whoever shows it, in whatever way, asks for that.

    The measuring side only sets attributes, each a whole value; another thread may read them.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__(clock)
        self._title = ""
        self._step_s: float | None = None  # when the last step began; None: none is under way
        self._part = (0, 0)
        self._standing: _Standing | None = None
        self._download: tuple[int, int] | None = None
        self._calls = self._failed = self._tokens = 0
        self._serving = False
        self._waits_s: Mapping[str, deque[float]] = defaultdict(lambda: deque(maxlen=LAST_WAITS))  # by pipeline

    def say(self, text: str) -> None:
        """Begin a step, whose time is shown until the next one."""
        self._part = (0, 0)
        self._step_s = self._clock()
        self._show()

    def part(self, done: int, total: int) -> None:
        """Note how far the step is."""
        self._part = (done, total)

    def download(self, done_bytes: int, total_bytes: int) -> None:
        """Show how far it is until all has come."""
        self._download = (done_bytes, total_bytes) if done_bytes < total_bytes else None
        self._show()

    def trials(self, names: Sequence[str], noun: str = "trial", server: str = "") -> None:
        """Show the frame, or take it away where there are none."""
        self._standing = None
        self._step_s = None
        self._begin(names, noun, server)
        self._show()

    def serving(self) -> None:
        """Show what is let through until `stop`."""
        self._serving = True
        self._step_s = None
        self._show()

    def trial(self, number: int, title: str) -> None:
        """Begin the next one, from nothing."""
        self._title = title
        self._standing = None
        self._calls = self._failed = self._tokens = 0
        if self._pace is not None:
            self._pace.begin(number, self._clock())

    def stands(self, engine: Engine) -> None:
        """Note how the trial stands."""
        self._standing = _Standing(engine.plan, engine.pipelines, engine.queues(), engine.queued, engine.jobs())

    def record(self, record: Record) -> None:
        """Count calls that have ended, and their tokens."""
        if isinstance(record, CallRecord) and record.started_s is not None:
            self._calls += 1
            self._tokens += record.reply.output_tokens or 0
            if self._serving and record.router_wait_s is not None:
                self._waits_s[record.pipeline].append(record.router_wait_s)
            if record.outcome != "ok" and not record.not_needed:
                self._failed += 1

    def frame(self) -> Frame:
        """Return what is to be shown now."""
        now_s, pace, standing = self._clock(), self._pace, self._standing
        if self._serving and standing is not None:
            return self._served(standing)
        if pace is None or not pace.number:
            return self._setting_up(now_s)
        frame = Frame(
            noun=self._noun,
            number=pace.number,
            total=None if pace.until_s is not None else len(pace.names),
            title=self._title,
            done=pace.done(now_s),
            elapsed_s=now_s - pace.began_s,
            left_s=pace.left_s(now_s),
            at_most=pace.until_s is not None,
            left_of=self._server,
            download=self._download,
        )
        if standing is None:
            return frame
        jobs = zip(standing.pipelines, standing.jobs, strict=True)
        took_s = now_s - pace.trial_began_s
        return frame._replace(
            servers=_servers(standing),
            waiting_anywhere=_waiting_anywhere(standing),
            pipelines=[JobsRow(pipeline.name, *both, pipeline.jobs) for pipeline, both in jobs],
            calls=self._calls,
            failed=self._failed,
            tokens_per_s=self._tokens / took_s if self._tokens and took_s > 0 else None,
        )

    def _setting_up(self, now_s: float) -> Frame:
        """Return how long the step under way has taken, and how far it is where that is known."""
        began_s, (done, total) = self._step_s, self._part
        if began_s is None or now_s - began_s < _SHOWN_S:
            return Frame(download=self._download)
        took_s = now_s - began_s
        return Frame(
            step=(done, total),
            done=done / total if total else 0.0,
            elapsed_s=took_s,
            left_s=took_s / done * (total - done) if done else None,
            download=self._download,
        )

    def _served(self, standing: _Standing) -> Frame:
        rows = []
        for pipeline, (started, ended) in zip(standing.pipelines, standing.jobs, strict=True):
            waits_s = list(self._waits_s[pipeline.name])
            wait_s = median(waits_s) if waits_s else None
            rows.append(JobsRow(pipeline.name, started, ended, pipeline.jobs, "call", wait_s))
        return Frame(
            servers=_servers(standing),
            waiting_anywhere=_waiting_anywhere(standing),
            pipelines=rows,
            calls=self._calls,
            failed=self._failed,
        )

    def _show(self) -> None:
        """Whether there is something to show may have changed."""


class LiveProgress(FrameProgress):
    """Steps as lines that stay; below them one frame that is redrawn, while something is measured or fetched."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        super().__init__(clock)
        self._console = console
        self._live = Live(
            console=console,
            get_renderable=self._drawn,
            refresh_per_second=REFRESH_PER_S,
            transient=True,
            redirect_stdout=False,
            vertical_overflow="crop",
        )

    def stop(self) -> None:
        """Leave the lines, take the frame away."""
        self._live.stop()

    def say(self, text: str) -> None:
        """Print the step above the frame, which shows its time until the next one."""
        self._console.print(Text(f"  {plain(text)}", style="dim"))
        super().say(text)

    def _show(self) -> None:
        if self._pace is None and self._download is None and self._step_s is None and not self._serving:
            self._live.stop()
        else:
            self._live.start()

    def _drawn(self) -> RenderableType:
        options = self._console.options
        return draw(self.frame(), options.max_width, ascii_only=options.ascii_only)


def _servers(standing: _Standing) -> list[ServerRow]:
    counts = zip(standing.plan.queues, standing.queues, strict=True)
    return [ServerRow(queue.server, queue.slots, flying, waiting) for queue, (flying, waiting) in counts]


def _waiting_anywhere(standing: _Standing) -> int | None:
    return standing.queued if has_pools(standing.plan) else None


def lines_for(stream: TextIO, *, quiet: bool = False) -> LineProgress:
    """Return plain lines, for what takes a line or two; nothing where `quiet`."""
    return NoProgress(stream) if quiet else LineProgress(stream)


@contextmanager
def progress_for(stream: TextIO, *, quiet: bool = False) -> Iterator[LineProgress | LiveProgress]:
    """Choose by what the stream is: a live view for a terminal, lines for anything else; nothing where `quiet`."""
    if quiet:
        yield NoProgress(stream)
        return
    console = Console(file=stream, highlight=False)
    # Asked of the stream, not of rich: FORCE_COLOR makes a log file a terminal for rich.
    if not stream.isatty() or console.is_dumb_terminal:
        yield LineProgress(stream)
        return
    live = LiveProgress(console)
    try:
        yield live
    finally:
        live.stop()
