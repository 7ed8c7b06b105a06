"""A measurement that goes on until enough is known, or its time is out: of `run --until resolved` and `recommend`.

It looks at what was measured after few repeats, and the error is shared among the looks: `harness.analysis.looks`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

from harness.analysis.analyse import analyse, questions_of
from harness.analysis.facts import MeasurementEnd, OpenQuestion
from harness.analysis.looks import FIRST_LOOK, least_repeats, look_at, next_look
from harness.analysis.model import Analysis
from harness.runs.folder import read_run
from harness.runs.model import Run
from harness.units import about, count
from harness.wording.questions import open_text
from harness.workload.schema import FrozenDict

__all__ = ["MOST_REPEATS", "Until"]

MOST_REPEATS = 1000  # as of `--repeats`


class Until:
    """Says when a measurement may end: every question is settled, or another repeat does not fit into the time.

    What comes next is estimated before it starts: what a prediction says of it, times how much longer than predicted
    everything has taken so far; without a prediction, by the trials that have ended.
    """

    def __init__(
        self,
        at_most_s: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        least: int = 1,
        trial_s: Mapping[str, float] = FrozenDict(),
        say: Callable[[str], None] = lambda text: None,
        questions: Callable[[Analysis], tuple[OpenQuestion, ...]] | None = questions_of,
    ) -> None:
        """Begin.

        Args:
            at_most_s: from now on, servers to be started included.
            clock: seconds.
            least: repeats of every candidate below which a measurement is of no use: until then it is all of these that
                have to fit into the time.
            trial_s: how long a trial of each candidate takes, by a prediction; left out: there is none.
            say: told at each look what is open still.
            questions: of an analysis, those that are not settled; None: nobody looks, and the time alone ends it.
        """
        self._clock, self._end_s, self._at_most_s = clock, clock() + at_most_s, at_most_s
        self._least, self._trial_s, self._say, self._questions = least, trial_s, say, questions
        self._first_s: float | None = None  # when the first trial had ended: it has the start of the servers in it
        self._trials = 0  # since then, warm-up included
        self._next_look = 0
        self.looks = 0
        self.separated = False
        self.end = MeasurementEnd("all repeats")

    def __call__(self, folder: Path) -> bool:
        """Look at a run folder after a trial; candidates are compared where a look is due."""
        now_s = self._clock()
        run = read_run(folder)
        done = Counter(dict.fromkeys(run.candidates, 0))
        done.update(trial.candidate for trial in run.trials if trial.complete)
        if self._first_s is None:
            self._first_s = now_s
        else:
            self._trials += 1
        repeats = min(done.values())
        if repeats >= max(FIRST_LOOK, self._next_look) and self.settled(run):
            return True
        return self._too_long(now_s, done, repeats)

    def settled(self, run: Run) -> bool:
        """Look at a run, where it has enough repeats for a look; whether every question of it is settled."""
        repeats = least_repeats(run)
        if self._questions is None or repeats < FIRST_LOOK:
            return False
        self.looks, self._next_look = look_at(repeats), next_look(repeats)
        found = self._questions(analyse(run))
        if not found:
            self.separated = True
            self.end = MeasurementEnd("resolved")
        else:
            left_s = max(0.0, self._end_s - self._clock())
            self._say(f"open after {count(repeats, 'repeat')}, at most {about(left_s)} left: {open_text(found)}")
        return self.separated

    def _too_long(self, now_s: float, done: Counter[str], repeats: int) -> bool:
        """Whether what would have to come next does not fit into what is left."""
        begun = max(done.values()) > repeats
        coming = [name for name in done if done[name] == repeats] if begun else list(done)
        usual_s = fmean(self._trial_s.values()) if self._trial_s else 0.0
        expected_s = sum(self._trial_s.get(name, usual_s) for name in coming)
        further = max(0, self._least - repeats - 1)
        expected_s += further * sum(self._trial_s.get(name, usual_s) for name in done)
        trials = len(coming) + further * len(done)
        took_s = now_s - (self._first_s or now_s)
        # Trials are interleaved, so those that were measured are a fair part of all.
        if self._trials and usual_s:
            expected_s *= took_s / (self._trials * usual_s)
        elif self._trials:
            expected_s = took_s / self._trials * trials
        left_s = self._end_s - now_s
        if expected_s <= left_s:
            return False
        needed = 1 if repeats >= self._least - 1 else self._least
        self.end = MeasurementEnd("budget", needed, expected_s, left_s, self._at_most_s)
        return True
