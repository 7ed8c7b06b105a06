"""How far a row of trials is, and how long the rest will take: by those that have ended, and by a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

__all__ = ["Pace"]


class Pace:
    """The trials of one measurement, each called by what it is a trial of: alike names take alike times.

    Args:
        names: of all trials, in their order.
        now_s: the clock's time; all others are of the same clock.
        expected_s: by name, how long a trial is predicted to take, warm-up and pauses apart.
        until_s: when the measurement ends whatever is left of it; None = when all is done.
    """

    def __init__(
        self,
        names: Sequence[str],
        now_s: float,
        expected_s: Mapping[str, float] | None = None,
        until_s: float | None = None,
    ) -> None:
        self.names = tuple(names)
        self.until_s = until_s
        self.number = 0  # of the trial under way, from 1
        self.began_s = now_s  # the first trial
        self.trial_began_s = now_s
        self._expected_s = dict(expected_s or {})
        self._took_s: dict[str, list[float]] = {}

    def begin(self, number: int, now_s: float) -> None:
        """Note that trial `number` begins, and that the one before it has therefore ended."""
        if self.number:
            self._took_s.setdefault(self.names[self.number - 1], []).append(now_s - self.trial_began_s)
        self.number = number
        self.trial_began_s = now_s

    def left_s(self, now_s: float) -> float | None:
        """Return about how long the rest takes; None where nothing tells yet.

        A trial takes the mean of those of its name that have ended; before there is one, what is predicted for it,
        times what the others took of their predictions; else the mean of all.
        """
        most_s = None if self.until_s is None else max(0.0, self.until_s - now_s)
        if not self.number:
            return most_s
        coming = [self._one_s(name) for name in self.names[self.number - 1 :]]
        known = [each_s for each_s in coming if each_s is not None]
        if len(known) < len(coming):
            return most_s
        left_s = max(0.0, known[0] - (now_s - self.trial_began_s)) + sum(known[1:])
        return left_s if most_s is None else min(left_s, most_s)

    def done(self, now_s: float) -> float:
        """Return which part of all is done, from 0 to 1: of the time where that is known, else of the trials."""
        left_s, spent_s = self.left_s(now_s), now_s - self.began_s
        if left_s is None or spent_s + left_s <= 0:
            return max(0, self.number - 1) / max(1, len(self.names))
        return spent_s / (spent_s + left_s)

    def _one_s(self, name: str) -> float | None:
        if name in self._took_s:
            return fmean(self._took_s[name])
        ended_s = [each_s for times_s in self._took_s.values() for each_s in times_s]
        if name not in self._expected_s:
            return fmean(ended_s) if ended_s else None
        known = [
            (fmean(times_s), self._expected_s[one]) for one, times_s in self._took_s.items() if one in self._expected_s
        ]
        predicted_s = sum(one_s for _, one_s in known)
        factor = sum(took_s for took_s, _ in known) / predicted_s if predicted_s > 0 else 1.0
        return factor * self._expected_s[name]
