"""Who evaluates: this process, a pool of processes, or a Dask cluster. The result never depends on who it was.

A task is a pure function of the problem and the task, and what comes back is put in order by what it is, so it does not
matter either in which order it comes. A worker that is lost costs time: its tasks are done again by another.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from harness.errors import ServerFailure, SlotwiseError, UserError
from harness.recommend.evaluate import Evaluator, Figures, Problem, Task, compiled

__all__ = ["LITTLE_S", "Evaluate", "chunks", "in_process", "on_cluster", "on_cores", "told"]

# Evaluates tasks; yields the figures of each as they come, in no particular order.
Evaluate = Callable[[Sequence[Task]], Iterator[tuple[Figures, ...]]]

LITTLE_S = 2.0  # of work for this process alone: others take half a second each to begin
CHUNK_TASKS = 16  # sent at once: a task can be as short as sending it
RETRIES = 3  # of a pool whose worker was lost


def in_process(problem: Problem) -> Evaluate:
    """Evaluate here, one task after the other."""
    evaluator = Evaluator(problem)
    return lambda tasks: map(evaluator.run, tasks)


_evaluator: Evaluator | None = None  # of a pool's process


def told(evaluate: Evaluate, part: Callable[[int, int], None]) -> Evaluate:
    """Return what evaluates the same, and tells after every task how many are done, of how many."""

    def evaluated(tasks: Sequence[Task]) -> Iterator[tuple[Figures, ...]]:
        for done, found in enumerate(evaluate(tasks), 1):
            part(done, len(tasks))
            yield found

    return evaluated


def _begin(problem: Problem) -> None:
    global _evaluator
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    _evaluator = Evaluator(problem)


def _run(tasks: Sequence[Task]) -> list[tuple[Figures, ...]]:
    assert _evaluator is not None
    return [_evaluator.run(task) for task in tasks]


class _Alone:
    """What this process does before others are begun, and how long that takes."""

    def __init__(self, problem: Problem, little_s: float) -> None:
        self._problem, self._little_s = problem, little_s
        self._evaluator: Evaluator | None = None
        self._spent_s, self._done = 0.0, 0  # and evaluations that were done meanwhile

    def is_little(self, tasks: Sequence[Task]) -> bool:
        """Whether these, and what was done before, are not worth other processes."""
        left = sum(len(task.repeats) for task in tasks)
        rest_s = self._spent_s / self._done * left if self._done else 0.0
        return max(rest_s, self._spent_s) < self._little_s

    def run(self, task: Task) -> tuple[Figures, ...]:
        began_s = time.perf_counter()
        self._evaluator = self._evaluator or Evaluator(self._problem)
        found = self._evaluator.run(task)
        self._spent_s, self._done = self._spent_s + time.perf_counter() - began_s, self._done + len(task.repeats)
        return found


def chunks(tasks: Sequence[Task], workers: int) -> list[Sequence[Task]]:
    """Cut tasks into pieces that are worth sending, and enough of them that nobody idles at the end."""
    size = max(1, min(CHUNK_TASKS, len(tasks) // (4 * workers)))
    return [tasks[start : start + size] for start in range(0, len(tasks), size)]


@contextmanager
def on_cores(problem: Problem, workers: int, *, little_s: float = 0.0) -> Iterator[Evaluate]:
    """Evaluate in this many processes; a broken pool is made again, and what it had not done is done again.

    Args:
        problem: what is evaluated.
        workers: how many processes.
        little_s: this process does as much alone, as far as the first tasks tell, before others are begun.
    """
    problem = compiled(problem)
    pools: list[ProcessPoolExecutor] = []
    alone = _Alone(problem, little_s)

    def pool() -> ProcessPoolExecutor:
        # Never fork: the caller may have threads (a progress bar), and a copy of one that holds a lock never lets go.
        context = multiprocessing.get_context("spawn")
        pools.append(ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(problem,)))
        return pools[-1]

    def evaluate(tasks: Sequence[Task]) -> Iterator[tuple[Figures, ...]]:
        here = 0
        while here < len(tasks) and not pools and alone.is_little(tasks[here:]):
            yield alone.run(tasks[here])
            here += 1
        todo = dict(enumerate(chunks(tasks[here:], workers)))
        lost = 0
        while todo:
            running: dict[Future[list[tuple[Figures, ...]]], int] = {}
            try:
                current = pools[-1] if pools else pool()
                running = {current.submit(_run, chunk): number for number, chunk in todo.items()}
                while running:
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        number = running.pop(future)
                        found = future.result()
                        del todo[number]
                        yield from found
            except BrokenProcessPool:
                lost += 1
                if lost > RETRIES:
                    raise ServerFailure(
                        f"processes of the search were lost {lost} times (out of memory?); try --workers 1"
                    ) from None
                pools.pop().shutdown(wait=False, cancel_futures=True)

    try:
        yield evaluate
    finally:
        for each in pools:
            each.shutdown(wait=True, cancel_futures=True)


@contextmanager
def on_cluster(problem: Problem, address: str) -> Iterator[Evaluate]:
    """Evaluate on an existing Dask cluster, whose workers need Slotwise installed in the same version.

    Raises:
        UserError: `distributed` is not installed, or nobody answers there.
    """
    try:
        import distributed
    except ImportError:
        raise UserError('--cluster needs the package distributed: pip install "slotwise[cluster]"') from None
    dask: Any = distributed  # it has no types
    try:
        client = dask.Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--cluster: no Dask scheduler answers at {address}: {error}") from None
    problem = compiled(problem)
    try:
        workers = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))

        def evaluate(tasks: Sequence[Task]) -> Iterator[tuple[Figures, ...]]:
            todo = dict(enumerate(chunks(tasks, workers)))
            for _ in range(RETRIES + 1):
                if not todo:
                    return
                shared = client.scatter(problem, broadcast=True, hash=False)  # again: who had it may be lost
                sent = {client.submit(_run_alone, shared, chunk, pure=False): n for n, chunk in todo.items()}
                try:
                    for future in dask.as_completed(list(sent), loop=client.loop):
                        if future.status == "finished":
                            yield from future.result()
                            del todo[sent[future]]
                        elif future.status == "error" and isinstance(error := future.exception(), SlotwiseError):
                            raise error
                finally:
                    client.cancel(list(sent))
            if todo:
                raise ServerFailure(
                    f"the cluster at {address} lost the same tasks {RETRIES + 1} times; search without it"
                )

        yield evaluate
    finally:
        client.close()


_last: tuple[Problem, Evaluator] | None = None  # of a cluster's worker: problems come one after the other


def _run_alone(problem: Problem, tasks: Sequence[Task]) -> list[tuple[Figures, ...]]:
    global _last
    if _last is None or _last[0] is not problem:
        _last = (problem, Evaluator(problem))
    evaluator = _last[1]
    return [evaluator.run(task) for task in tasks]
