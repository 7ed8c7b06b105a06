"""A whole run with the times that a test asks for: a digest of two steps and a chat, by candidate and repeat.

For tests of verdicts, reports, comparisons and commands that read runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis import records as make

from harness.core.records import CallRecord, JobRecord, TrialRecord
from harness.runs.model import Run

PLACE = {
    "serial": {"digest": "one-slot", "chat": "one-slot"},
    "batched": {"digest": "four-slot", "chat": "four-slot"},
    "split": {"digest": "four-slot", "chat": "one-slot"},
}
WAIT_SHARE = {"serial": 0.5, "batched": 0.125, "split": 0.125}  # of a digest, spent waiting for its turn

Times = Mapping[str, Sequence[float]]  # candidate -> one time per repeat

FIVE = (1.0, 1.01, 0.99, 1.005, 0.995)  # five repeats of a quiet machine


def steady(time_s: float, factors: Sequence[float] = FIVE, noise: Sequence[float] = (0, 0, 0, 0, 0)) -> list[float]:
    """One time per repeat around `time_s`."""
    return [time_s * factor * (1 + extra) for factor, extra in zip(factors, noise, strict=False)]


def scenario(digest: Times, chat: Times | None = None, *, jobs: int = 2, chats: int = 3, **options: Any) -> Run:
    """Build a run in which every digest and every chat of a repeat takes the time asked for."""
    calls: list[CallRecord] = []
    jobs_made: list[JobRecord] = []
    trials: list[TrialRecord] = []
    for candidate, times in digest.items():
        for repeat, time_s in enumerate(times):
            for number in range(jobs):
                calls += _digest_calls(candidate, repeat, number, time_s)
                jobs_made.append(
                    make.job(
                        "digest", path="batch", candidate=candidate, repeat=repeat, number=number, end=time_s, calls=3
                    )
                )
            trials.append(make.trial(candidate, repeat, makespan=time_s))
            for number in range(chats if chat else 0):
                reply_s = chat[candidate][repeat] if chat else 0.0
                calls.append(
                    make.call(
                        candidate=candidate, repeat=repeat, job=number, server=PLACE[candidate]["chat"], streamed=True,
                        prefill=reply_s / 4, decode=reply_s * 3 / 4,
                    )
                )  # fmt: skip
                jobs_made.append(make.job(candidate=candidate, repeat=repeat, number=number, end=reply_s))
    spec = options.pop("spec", None)
    if chat is None:
        plain = make.workload().to_plain()
        del plain["pipelines"]["chat"]
        for routing in plain["compare"].values():
            if isinstance(routing.get("placement"), dict):
                del routing["placement"]["chat"]
        spec = spec or make.workload(**plain)
    return make.run(
        trials=tuple(trials),
        calls=tuple(calls),
        jobs=tuple(jobs_made),
        candidates=tuple(digest),
        spec=spec,
        **options,
    )


def _digest_calls(candidate: str, repeat: int, job: int, time_s: float) -> list[CallRecord]:
    """Two summaries at once, the second one waiting, and a merge that takes a quarter of the whole."""
    common: dict[str, Any] = {
        "candidate": candidate,
        "repeat": repeat,
        "pipeline": "digest",
        "path": "batch",
        "job": job,
        "server": PLACE[candidate]["digest"],
    }
    first_s = time_s * 0.75
    wait_s = time_s * WAIT_SHARE[candidate]
    prefill_s = (first_s - wait_s) / 4
    return [
        make.call("summarize", prefill=prefill_s, decode=prefill_s, **common),
        make.call("summarize", item=1, router=wait_s, prefill=prefill_s, decode=3 * prefill_s, **common),
        make.call("merge", ready=first_s, prefill=time_s / 16, decode=time_s * 3 / 16, **common),
    ]


def with_goal(**goal: float) -> Any:
    """Return the usual workload with a goal on the chat."""
    plain = make.workload().to_plain()
    plain["pipelines"]["chat"]["goal"] = goal
    return make.workload(**plain)
