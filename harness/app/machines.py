"""Predict one workload on several machines: which of them carry it, and which of these is the cheapest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.analysis.facts import BesideWork
from harness.analysis.machines import MachineComparison, MachineResult, MachineTime, carries
from harness.analysis.model import Analysis, CandidateSummary
from harness.app.options import MachinesOptions, RecommendOptions
from harness.app.recommend import recommend
from harness.app.simulate import simulate
from harness.app.workload import Written, load
from harness.errors import UserError, did_you_mean
from harness.measure.progress import SILENT, Progress
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.recommend.constraints import memory_of
from harness.runs.folder import write_text
from harness.wording.open_questions import open_questions_text
from harness.workload.candidates import most_slots
from harness.workload.load import Loaded

__all__ = ["compare_machines", "keep_machines"]

MOST_MACHINES = 24


def compare_machines(file: Path | Written, options: MachinesOptions, progress: Progress = SILENT) -> MachineComparison:
    """Predict a workload on each machine, with the model of its profile unless another is asked for.

    A machine on which it cannot be predicted says why, and the others are compared.

    Args:
        file: the workload.
        options: the machines, how each is predicted, and prices where they are known.
        progress: is told what goes on.

    Raises:
        WorkloadError, PolicyError, UserError: the workload cannot be used as it was asked for, there is no such
            profile, a machine is named twice, or a price is for none of them.
    """
    names = options.profiles
    if len(names) > MOST_MACHINES:
        raise UserError(f"--profile: expected at most {MOST_MACHINES} machines, found {len(names)}")
    loaded = load(file, options.each.changes)
    found = [(name, load_profile(name, loaded.path.parent)) for name in names]
    named = {_shown(name, profile): (name, profile) for name, profile in found}
    if len(named) < len(names):
        raise UserError(f"--profile: expected different machines, found {', '.join(names)}; leave one out")
    names = tuple(named)
    for name in options.prices:
        if name not in names:
            hint = did_you_mean(name, names) or f"; there is {', '.join(names)}"
            raise UserError(f'--price: no machine "{name}"{hint}')
    machines = []
    for name, (asked, profile) in named.items():
        progress.say(f"predicting on {name} ({profile.machine})")
        found_there = _on(file, name, asked, profile, options, progress)
        machines.append(found_there._replace(price=options.prices.get(name)))
    lines = [question.line for question in loaded.questions]
    asked = open_questions_text(loaded.path.name, lines) if lines else ""
    return MachineComparison(loaded.workload.name, loaded.workload.description, tuple(machines), asked)


def keep_machines(found: MachineComparison, out: Path, command: str = "") -> Path:
    """Write a comparison as a page, Markdown and JSON into a folder of its own below `out`; return that folder.

    Raises:
        UserError: it cannot be written.
    """
    from datetime import datetime

    from harness.report.machines import machines_markdown, machines_text
    from harness.report.machines_html import machines_html  # charts: a second, only where it is kept

    folder = out / f"{found.workload}-machines-{datetime.now():%Y%m%d-%H%M%S}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror or error}") from None
    write_text(folder, "machines.md", machines_markdown(found))
    write_text(folder, "machines.json", machines_text(found))
    write_text(folder, "report.html", machines_html(found, command))
    return folder


def _on(
    file: Path | Written, name: str, asked: str, profile: Profile, options: MachinesOptions, progress: Progress
) -> MachineResult:
    """Predict on one machine."""
    each = options.each
    head = MachineResult(name, profile.machine, profile.model, profile.origin, "not predicted")
    model = each.changes.model or profile.model_id
    head = head._replace(model_asked=model or "")
    changes = replace(each.changes, model=model)
    assumptions = replace(each.assumptions, profiles=(asked,))
    try:
        loaded = load(file, changes)
        if isinstance(each, RecommendOptions):
            search = replace(each, changes=changes, assumptions=assumptions, measure=False)
            analysis = recommend(file, search, progress).recommendation.analysis
        else:
            analysis = simulate(file, replace(each, changes=changes, assumptions=assumptions)).analysis
    except UserError as error:
        return head._replace(why_not=_first_reason(str(error)))
    return _result(head, analysis, loaded, profile)


def _shown(name: str, profile: Profile) -> str:
    """Return what a machine is called: its profile as it was named, of one that was named by path its own name."""
    return profile.name if "/" in name or name.endswith((".yaml", ".yml")) else name


def _first_reason(text: str) -> str:
    """Return why the first candidates cannot be predicted: once that is repaired, the next one is told."""
    first, *others = text.splitlines()
    return (others[0].partition(": ")[2] if others else first).strip()


def _result(head: MachineResult, analysis: Analysis, loaded: Loaded, profile: Profile) -> MachineResult:
    name = analysis.choice.candidate
    if name is None:
        return head._replace(why_not="no single candidate serves every path, or jobs fail under all")
    candidate = analysis.by_name[name]
    needed = _needed(candidate, loaded, profile)
    there = profile.memory.machine_bytes
    too_large = needed is not None and there is not None and needed > there
    times = tuple(
        MachineTime(one.pipeline, one.path, one.time, one.goals, one.first_token) for one in candidate.pipelines
    )
    beside = tuple(one for one in analysis.notices if isinstance(one, BesideWork) and one.candidate == name)
    judged = carries(candidate)
    if judged == "yes" and any(one.hidden for one in beside):
        judged = "when idle"
    return head._replace(
        carries="too large" if too_large else judged,
        candidate=name,
        beside=beside,
        left_out=analysis.run.missing,
        slots=sum(use.slots for use in candidate.servers),
        times=times,
        needed_bytes=needed,
        there_bytes=there,
    )


def _needed(candidate: CandidateSummary, loaded: Loaded, profile: Profile) -> int | None:
    """Return what the servers of a candidate take; None where that is not known."""
    like = loaded.servers[most_slots(loaded.servers)]
    servers = []
    for use in candidate.servers:
        spec = loaded.servers.get(use.server, like)
        asked = [spec.context_for(agent.num_ctx) or 0 for agent in use.agents]
        context = max((use.context_tokens, *asked))
        servers.append(spec.model_copy(update={"slots": use.slots, "context_tokens": context}))
    return memory_of(like, profile).needed(servers)
