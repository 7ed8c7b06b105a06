"""The search compared with trying everything: what it answers, what it costs, and whether its bound holds.

    python benchmarks/exhaustion.py [WORKLOAD...] [--profile NAME] [--cases N] [--seeds N] [--most N]

Tries every candidate on every seed. Then the search drops candidates on the same figures, as if there were too many.
Its answer is the same; or within 1 %, if every path takes at most 1.01 times as long as with the best answer (with
goals: the batch path, and the goals are met); or worse. The bound fails if a dropped candidate is more than 5 % faster
on a path than the fastest that was kept. Default: random workloads with 1 or 2 paths, some with goals. One core.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from harness.analysis.rule import within
from harness.predict.servers import Profiles
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.recommend.evaluate import Figures, Problem, Task
from harness.recommend.scoring import CandidateScore, Judge, Pick, pick
from harness.recommend.search import Searched, evaluate_all, search
from harness.recommend.space import Candidate, design_space
from harness.recommend.workers import in_process
from harness.workload.load import Loaded, load_workload

NEAR = 1.01
BATCH = """
  batch:
    path: batch
    jobs: {jobs}
    nodes:
      part: {{agent: {{prompt: "Summarise this: {{item}}", output_tokens: [{least}, {most}]}}, over: items}}
      join: {{agent: {{prompt: "Join them.", output_tokens: {joined}}}, after: [part]}}
"""
CHAT = """
  chat:
    path: interactive
    {ends}
    arrival: {arrival}
    {goal}
    nodes:
      reply: {{agent: {{prompt: "A short question.", output_tokens: [{least}, {most}]}}}}
"""
WORKLOAD = """
version: 1
name: random-{number}
seed: {number}
pipelines:{pipelines}
inputs:
  items: {{list: [{items}]}}
servers:
  ollama: {{kind: ollama, model: {model}}}
"""


class Case(NamedTuple):
    """One workload, searched and exhausted."""

    name: str
    candidates: int
    answer: tuple[str, ...]
    best: tuple[str, ...]  # what the same rule answers where every candidate is tried on every seed
    verdict: Literal["same", "within 1 %", "worse"]
    evaluations: int
    merged: int
    doubt: float  # that the search states
    lost: bool  # a dropped candidate is over 5 % faster on a path than the fastest that was kept

    @property
    def line(self) -> str:
        """The case in one line."""
        text = (
            f"{self.name:20} {self.candidates:5} candidates, {self.merged:4} merged, {self.evaluations:6} evaluations"
        )
        answers = (
            f"{' + '.join(self.answer)}, best {' + '.join(self.best)}" if self.verdict != "same" else self.answer[0]
        )
        return f"{text}, bound {self.doubt:.4f}{' FAILS' if self.lost else ''}, {self.verdict}: {answers}"


def random_workload(number: int, model: str) -> str:
    """Return a workload as YAML, always the same for a number: one or two paths, of any load, some with a goal."""
    draw = random.Random(number)
    least = draw.choice([4, 16, 40])
    lengths = {"least": least, "most": least * draw.choice([1, 2, 6])}
    batch = BATCH.format(jobs=draw.randint(1, 3), joined=draw.choice([8, 32]), **lengths)
    beside = draw.random() < 0.8
    users, rate = draw.randint(1, 3), draw.choice([0.1, 0.3, 1.0])
    closed = draw.random() < 0.6
    goal = draw.choice(["", f"first_token_s: {draw.uniform(0.2, 3):.2f}", f"p50_s: {draw.uniform(1, 8):.2f}"])
    chat = CHAT.format(
        ends="while: batch" if closed else f"jobs: {draw.randint(4, 12)}",
        arrival=f"{{closed: {users}, think_s: 1}}" if closed else f"{{poisson_per_s: {rate}}}",
        goal=f"goal: {{{goal}}}" if goal else "",
        least=draw.choice([4, 16]),
        most=draw.choice([16, 48]),
    )
    items = ", ".join(f'"{"word " * draw.randint(1, 30)}{n}"' for n in range(draw.randint(3, 9)))
    return WORKLOAD.format(number=number, pipelines=batch + (chat if beside else ""), items=items, model=model)


def held(loaded: Loaded, profile: Profile, *, seeds: int, most: int | None = None) -> Case:
    """Search a workload's space by halving and exhaust it; `most`: only this number of candidates, at random."""
    space = design_space(loaded, profile)
    candidates: Sequence[Candidate] = space.candidates
    if most is not None and most < len(candidates):
        drawn = random.Random(loaded.workload.seed).sample(candidates, most)
        candidates = sorted(drawn, key=lambda one: one.number)
    figures = evaluate_all(candidates, seeds, in_process(Problem(space.loaded, Profiles(profile))))

    def known(tasks: Sequence[Task]) -> Iterator[tuple[Figures, ...]]:
        return (tuple(figures[task.candidate][repeat] for repeat in task.repeats) for task in tasks)

    judge = Judge.of(loaded.workload, {})
    every = {one.number: judge.score(one, figures[one.number].values()) for one in candidates}
    found = search(candidates, judge, known, seeds=seeds, exhaustive_calls=0)
    answer, best = pick(found.finalists), pick(list(every.values()))
    return Case(
        loaded.workload.name,
        len(candidates),
        answer.names,
        best.names,
        "same" if answer.names == best.names else "within 1 %" if _near(answer, best) else "worse",
        found.evaluations,
        found.merged,
        found.doubt or 0.0,
        _lost(found, list(every.values())),
    )


def _near(answer: Pick, best: Pick) -> bool:
    """Whether an answer is as good as the best by what that is chosen for."""
    if not answer.chosen or answer.kind != best.kind:
        return False
    if best.kind == "goals" and not all(score.meets for score in answer.chosen):
        return False
    paths = range(1 if best.kind == "goals" else len(best.by_path))
    return all(_time_s(answer, path) <= NEAR * _time_s(best, path) for path in paths)


def _time_s(found: Pick, path: int) -> float:
    score = found.whole or found.by_path[path]
    assert score is not None
    return score.times_s[path]


def _lost(found: Searched, every: Sequence[CandidateScore]) -> bool:
    kept = {score.candidate.number for score in found.finalists}
    able = [score for score in every if not score.failed]
    mine = [score for score in able if score.candidate.number in kept]
    paths = range(len(every[0].times_s))
    best = [(min(s.times_s[path] for s in mine), min(s.times_s[path] for s in able)) for path in paths if mine]
    return any(not within(kept_s, best_s) for kept_s, best_s in best)


def summary(cases: Sequence[Case], seeds: int) -> str:
    """Say how often the answer was the same, what was saved, and whether the bounds held."""
    same, near = (sum(case.verdict == verdict for case in cases) for verdict in ("same", "within 1 %"))
    tried, all_of_them = sum(case.evaluations for case in cases), seeds * sum(case.candidates for case in cases)
    return (
        f"{len(cases)} cases: {same} the same answer, {near} within 1 %, {len(cases) - same - near} worse; "
        f"{tried} of {all_of_them} evaluations; the bound failed in {sum(case.lost for case in cases)}, "
        f"and allows {sum(case.doubt for case in cases):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", type=Path)
    parser.add_argument("--profile", default="epyc-2core")
    parser.add_argument("--cases", type=int, default=20, help="random workloads, where none is named")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--most", type=int, help="use only this number of each workload's candidates, at random")
    arguments = parser.parse_args()
    profile = load_profile(arguments.profile)
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        paths: list[Path] = arguments.workloads
        if not paths:
            paths = [Path(folder) / f"{number}.yaml" for number in range(arguments.cases)]
            for number, path in enumerate(paths):
                path.write_text(random_workload(number, profile.model_id or "any"), encoding="utf-8")
        for path in paths:
            cases.append(held(load_workload(path), profile, seeds=arguments.seeds, most=arguments.most))
            print(cases[-1].line, flush=True)
    print(summary(cases, arguments.seeds))


if __name__ == "__main__":
    main()
