"""Both views fed with the events of whole runs; no clock but the test's, no thread that has to be waited for."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from time import process_time

import pytest
from conftest import VirtualLoop
from core.graphs import node, pipeline, plan_of, queue_of
from rich.console import Console
from runs import virtual_run

from harness.core.engine import Engine
from harness.core.records import CallRecord, Reply
from harness.drivers.virtual import simulate
from harness.measure import session
from harness.measure.progress import Progress
from harness.report.live_frame import JobsRow, ServerRow, draw
from harness.report.progress import LineProgress, LiveProgress, progress_for
from harness.runs.folder import RunFolder
from harness.workload.load import load_workload


class Now:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def live(clock: Callable[[], float], width: int = 80) -> LiveProgress:
    return LiveProgress(Console(file=io.StringIO(), force_terminal=True, width=width, height=24), clock)


def text_of(progress: LiveProgress | LineProgress) -> str:
    file = progress._console.file if isinstance(progress, LiveProgress) else progress._stream
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def engine(width: int = 6, slots: int = 4) -> Engine:
    """One job of equal calls on a server: how many of each."""
    pipelines = (pipeline("digest", node("n", width=width)),)
    return Engine(pipelines, plan_of("p", (queue_of("s", slots),), pipelines), origin="predicted")


def test_a_trial_as_the_engine_tells_it() -> None:
    now = Now()
    view = live(now)
    view.trials(["p", "p"])
    view.trial(1, "p, warm-up")
    trial = engine()
    frames = []

    def keep(record: object) -> None:
        if isinstance(record, CallRecord):
            now.s = record.reply.end_s or 0.0
        view.record(record)  # type: ignore[arg-type]
        view.stands(trial)
        frames.append(view.frame())

    simulate(trial, lambda call, at_s: Reply("ok", at_s, None, at_s + 2.0, output_tokens=8), keep)
    assert [frame.servers for frame in frames[:1]] == [[ServerRow("s", 4, 2, 0)]]
    last = frames[-1]
    assert (last.calls, last.failed, last.servers) == (6, 0, [ServerRow("s", 4, 0, 0)])
    assert last.pipelines == [JobsRow("digest", 1, 1, 1)]
    assert last.tokens_per_s == 48 / 4.0
    view.trial(2, "p, repeat 1")
    assert (view.frame().calls, view.frame().servers, view.frame().number) == (0, (), 2)
    view.trials(())
    assert view.frame().number == 0
    view.stop()


def test_a_gateway_is_shown_until_it_ends() -> None:
    view = live(Now())
    trial = engine(width=6, slots=4)
    assert view.frame().servers == ()
    view.stands(trial)
    view.serving()
    simulate(trial, lambda call, at_s: Reply("ok", at_s, None, at_s + 2.0, output_tokens=8), view.record)
    view.stands(trial)
    frame = view.frame()
    assert (frame.number, frame.calls, frame.servers) == (0, 6, [ServerRow("s", 4, 0, 0)])
    assert frame.pipelines == [JobsRow("digest", 1, 1, 1, "call", 0.0)]  # four waited for nothing, two for 2 s
    view.stop()


def test_failed_calls_are_counted_and_those_never_sent_are_not() -> None:
    view = live(Now())
    view.trials(["p"])
    view.trial(1, "p")
    trial = engine(width=6, slots=4)
    simulate(
        trial,
        lambda call, at_s: Reply("error" if call.item == 0 else "ok", at_s, None, at_s + 1.0, output_tokens=1),
        view.record,
    )
    view.stands(trial)
    assert (view.frame().calls, view.frame().failed) == (4, 1)  # two were dropped in the queue
    view.stop()


class Told(Progress):
    """Keeps what it is told, by name."""

    def __init__(self) -> None:
        self.trial_names: list[tuple[str, ...]] = []
        self.titles: list[tuple[int, str]] = []
        self.records = 0
        self.states: list[tuple[int, int, int]] = []

    def trials(self, names: object, *_: str, **__: str) -> None:
        self.trial_names.append(tuple(names))  # type: ignore[arg-type]

    def trial(self, number: int, title: str) -> None:
        self.titles.append((number, title))

    def record(self, record: object) -> None:
        self.records += 1

    def stands(self, engine: Engine) -> None:
        ((flying, waiting),) = engine.queues()
        assert (flying, waiting) == (engine.in_flight, engine.queued)
        self.states.append((flying, waiting, sum(ended for _, ended in engine.jobs())))


def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, progress: Progress) -> Path:
    """Run the tiny workload on a virtual clock."""
    virtual_run.on_fakes(monkeypatch)
    loaded = load_workload(virtual_run.write_workload(tmp_path))
    loop = VirtualLoop()
    try:
        with RunFolder.create(tmp_path, "tiny", virtual_run.STARTED) as folder:
            head = virtual_run.header(loaded)
            folder.write_header(head)
            loop.run_until_complete(session.measure(loaded, folder, head, progress))
            return folder.path
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_a_measurement_tells_everything_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    folder = measured(tmp_path, monkeypatch, told)
    names, none = told.trial_names
    assert none == ()
    assert sorted(names) == ["both"] * 3 + ["serial"] * 3
    labels = ["warm-up"] * 2 + ["repeat 1"] * 2 + ["repeat 2"] * 2
    assert told.titles == [
        (n, f"{name}, {label}") for n, (name, label) in enumerate(zip(names, labels, strict=True), start=1)
    ]
    written = sum(len((folder / f"{kind}.jsonl").read_text().splitlines()) for kind in ("calls", "jobs", "delays"))
    assert told.records == written // 2 * 3  # the warm-up is told of, and not written
    assert max(flying for flying, _, _ in told.states) == 2
    assert told.states[-1] == (0, 0, 3)


def test_plain_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = Now()
    lines = LineProgress(io.StringIO(), now)
    lines.say("server \x1b[2J[red]x")
    lines.trials(["a", "a", "a"])
    for number in (1, 2, 3):
        lines.trial(number, f"a, repeat {number}")
        now.s += 70.0
    lines.trials(())
    lines.trial(4, "of nothing")
    assert text_of(lines).splitlines() == [
        "server [2J[red]x",
        "trial 1/3: a, repeat 1",
        "trial 2/3: a, repeat 2 (about 2 min left)",
        "trial 3/3: a, repeat 3 (about 70 s left)",
    ]


def test_plain_lines_within_a_time() -> None:
    now = Now()
    lines = LineProgress(io.StringIO(), now)
    lines.expect({"a": 5.0}, at_most_s=60.0)
    now.s = 20.0
    lines.trials(["a"] * 40)
    lines.trial(1, "a, warm-up")
    now.s = 25.0
    lines.trial(2, "a, repeat 1")
    assert text_of(lines).splitlines() == ["trial 1: a, warm-up", "trial 2: a, repeat 1 (at most 35 s left)"]


def test_the_live_view_leaves_its_lines_and_takes_its_frame_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = live(Now())
    view.say("one-slot: \x1b[2Jready [bold]")
    view.trials(["p"])
    view.trial(1, "p, warm-up")
    view.stands(engine())
    view._live.refresh()
    view.download(5, 10)
    view._live.refresh()
    view.download(10, 10)
    view.trials(())
    view.say("later")
    assert view._live.is_started  # to show how long it takes
    view.stop()
    shown = text_of(view)
    assert "one-slot: [2Jready [bold]" in shown
    assert "Trial 1 of 1: p, warm-up" in shown
    assert "fetching the model: 5 B of 10 B" in shown
    assert "later" in shown.rpartition("fetching")[2]
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 2  # the cursor came back
    assert not view._live.is_started


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_file_gets_lines_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    stream = io.StringIO()
    with progress_for(stream) as progress:
        assert isinstance(progress, LineProgress)
        progress.say("plain")
    assert stream.getvalue() == "plain\n"


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_view_and_a_dumb_one_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with progress_for(Terminal()) as progress:
        assert isinstance(progress, LiveProgress)
    monkeypatch.setenv("TERM", "dumb")
    with progress_for(Terminal()) as progress:
        assert isinstance(progress, LineProgress)


def test_without_colour_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    with progress_for(stream) as progress:
        assert isinstance(progress, LiveProgress)
        progress.trials(["p"])
        progress.trial(1, "p, warm-up")
        progress._live.refresh()
    assert "Trial 1 of 1: p, warm-up" in stream.getvalue()
    assert "\x1b[36m" not in stream.getvalue()


def test_an_error_or_ctrl_c_ends_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with pytest.raises(KeyboardInterrupt), progress_for(stream) as progress:
        progress.trials(["p"])
        progress.trial(1, "p")
        raise KeyboardInterrupt
    assert stream.getvalue().rstrip("\r\x1b[2K1A\n").count("\x1b[?25h") == 1


def test_what_is_told_while_servers_are_timed_costs_next_to_nothing() -> None:
    """CPU time, and a hundred times what it is: the bound is that no drawing happens there."""
    view = live(Now())
    view.trials(["p"])
    view.trial(1, "p")
    trial = engine(width=64)
    record = CallRecord(
        "p", 0, "measured", "digest", "batch", 0, "n", 0, 0, 0, 0, "a", "m", "s", 0.0, 0.0, Reply("ok", output_tokens=4)
    )
    times = 2000
    before_s = process_time()
    for _ in range(times):
        view.stands(trial)
        view.record(record)
    each_s = (process_time() - before_s) / times
    view.stop()
    assert each_s < 300e-6


def test_a_step_shows_its_time_until_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = Now()
    view = live(now)
    view.say("loading")
    assert draw(view.frame(), 60).plain == ""  # most steps take less than a second
    now.s += 72.0
    assert draw(view.frame(), 60).plain == "  this step: 1 min 12 s so far"
    view.say("searching")
    view.part(0, 40)
    now.s += 6.0
    view.part(10, 40)
    words, bar = draw(view.frame(), 60, ascii_only=True).plain.splitlines()
    assert words == "  10 of 40, 6 s so far, about 20 s left"
    assert bar == "=" * 15 + "-" * 45
    assert draw(view.frame(), 30).plain.splitlines()[0] == "  10 of 40, 6 s so far"
    view.part(40, 40)
    assert draw(view.frame(), 60).plain.splitlines()[0] == "  40 of 40, 6 s so far"
    view.trials(["a"])
    view.trial(1, "a")
    assert "so far" not in draw(view.frame(), 60).plain
    view.trials(())
    assert view.frame().step is None
    view.stop()


def test_plain_lines_say_how_long_a_step_took() -> None:
    now = Now()
    lines = LineProgress(io.StringIO(), now)
    lines.say("loading")
    now.s += 4.0
    lines.say("counting slots")
    lines.part(1, 2)
    now.s += 65.0
    lines.trials(["a"])
    lines.trial(1, "a, warm-up")
    now.s += 65.0
    lines.say("done")
    assert text_of(lines).splitlines() == [
        "loading",
        "counting slots",
        "trial 1/1: a, warm-up (after 1 min 05 s)",
        "done",
    ]
