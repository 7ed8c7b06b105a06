"""A workload as a use case loads it: with the changes asked for, and with every policy that it may name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.app.options import Changes
from harness.core.policies import Policies
from harness.errors import ServerFailure
from harness.own_policies import read_policies
from harness.workload.load import Loaded, Overrides, load_workload
from harness.workload.overrides import EVERY
from harness.workload.schema import ServerSpec, same_model

if TYPE_CHECKING:
    from harness.runs.model import Note

__all__ = ["Written", "file_notes", "load", "skipped_text"]


class Written(NamedTuple):
    """A workload that is not in a file, or not as it is there."""

    path: Path  # its name in messages; what it names is looked for beside it
    text: str  # YAML


def load(
    file: Path | Written,
    changes: Changes = Changes(),
    *,
    repeats: int | None = None,
    warmup: int | None = None,
    policies: Policies | None = None,
    measured: Mapping[str, ServerSpec] | None = None,
    asking: bool = False,
) -> Loaded:
    """Load, check and compile the workload in a file.

    Args:
        file: the workload's file, or the workload as it is written.
        changes: what is to be different in it.
        repeats, warmup: how often it is to be measured, where that is to be different too.
        policies: those that it may name, where they have been read already.
        measured: servers as a run had them, by name; they come before those of the file.
        asking: running servers are asked what models they have: one that lacks the workload's and has a single other
            one is taken with that. Where none answers, that is said when it is measured.

    Raises:
        WorkloadError: what is wrong in the file, a line for each mistake.
        PolicyError: the policies file cannot be executed, or a policy breaks its contract.
        UserError: a change that cannot be made.
    """
    overrides = Overrides(
        engine=changes.engine,
        model=changes.model,
        server_urls=dict(changes.servers),
        repeats=repeats,
        warmup=warmup,
        scale=None if changes.scale == 1 else changes.scale,
        seed=changes.seed,
        only=changes.only,
        measured=measured or {},
    )
    path, text = file if isinstance(file, Written) else (file, None)
    known = read_policies(changes.policies) if policies is None else policies
    loaded = load_workload(path, overrides, known, text)
    if asking and changes.servers:
        found = _found_there(loaded, changes.servers, ask_models=changes.model is None)
        if found != (overrides.server_models, overrides.openai_urls):
            loaded = load_workload(path, overrides._replace(server_models=found[0], openai_urls=found[1]), known, text)
    for plan in loaded.plans:  # a policy whose limit is none shows at once, and not when its first call is ready
        for queue in plan.queues:
            _ = queue.most, queue.most_batch
    return loaded


def skipped_text(skipped: Mapping[str, str]) -> str:
    """Say which candidates are left out as servers for them are missing, and why, in a line."""
    each = ", ".join(f'"{name}" ({why})' for name, why in skipped.items())
    return f"Skipped: {each}. Name each server with --server NAME=URL to measure it"


def file_notes(loaded: Loaded) -> tuple[Note, ...]:
    """Say what is open in the workload's file, and which candidates are left out as their servers have no address."""
    from harness.runs.model import Note  # late: `check` has no run
    from harness.wording.open_questions import open_questions_text

    lines = [question.line for question in loaded.questions]
    asked = (Note("open questions", open_questions_text(loaded.path.name, lines)),) if lines else ()
    return (*asked, Note("skipped", f"{skipped_text(loaded.skipped)}.")) if loaded.skipped else asked


def _found_there(loaded: Loaded, urls: Mapping[str, str], *, ask_models: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return, by server, the only model of each running one that lacks the workload's, and where its OpenAI API is."""
    from harness.app.loops import finished  # asyncio
    from harness.servers.ollama_api import models_at  # httpx: a quarter of a second that `check` need not take
    from harness.servers.running import openai_at

    models: dict[str, str] = {}
    openai_urls: dict[str, str] = {}
    for name, url in urls.items():
        spec = next(iter(loaded.servers.values())) if name == EVERY else loaded.servers.get(name)
        if spec is None:
            continue
        try:
            openai = finished(openai_at(url))
            if openai is not None:
                openai_urls[name] = openai[0]
            if not ask_models:
                continue
            have = finished(models_at(url)) if openai is None else list(openai[1])
        except ServerFailure:
            continue
        if len(have) == 1 and not any(same_model(spec.model, one) for one in have):
            models[name] = have[0]
    return models, openai_urls
