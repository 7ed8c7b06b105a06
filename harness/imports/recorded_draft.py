"""A recording as a draft: mined as traces are, with the models and settings that its requests named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from statistics import fmean
from typing import Any

import networkx as nx

from harness.errors import UserError
from harness.imports.account import ImportAccount, loss_line
from harness.imports.arrivals import pipeline_of
from harness.imports.draft import Draft, DraftNote, DraftStep, Flow, Names, PipelineDraft, ask, note, walk
from harness.imports.flows import Book
from harness.imports.mine import mine, occurrences
from harness.imports.read import counts_of
from harness.imports.recorded_jobs import RecordedJobs, jobs_of
from harness.imports.recording import RecordedCall
from harness.units import count, seconds

__all__ = ["draft_recording"]

_KNOWN_MODEL = "which model of your server stands for"  # what traces have to ask of an embedding, and requests say
_SENT = ("temperature", "num_ctx", "keep_alive", "format")  # settings that a workload has too


def draft_recording(calls: Sequence[RecordedCall], source: str, name: str, idle_s: float) -> Draft:
    """Return the draft of recorded calls.

    Args:
        calls: in the order of their starts; at least one that succeeded.
        source: what was recorded, as a person calls it.
        name: the workload's; its data files lie in the folder NAME-data.
        idle_s: without a header, jobs are parted where no call was in flight for longer.
    """
    jobs = jobs_of(calls, idle_s)
    if not jobs.traces:
        why = ", ".join(sorted({call.failed for call in calls if call.failed}))
        found = f"found {count(len(calls), 'call')} that failed ({why})"
        raise UserError(f"{source}: expected calls of a model that were answered, {found}")
    book = Book(name)
    try:
        flow = book.flow(mine([occurrences(trace.steps) for trace in jobs.traces]))
    except nx.NetworkXUnfeasible:
        raise UserError(
            f"{source}: the jobs agree on no order of their calls; record one kind of job at a time"
        ) from None
    own = Names()(name, "pipeline")
    pipeline = pipeline_of(own, jobs.traces, _with_known_models(flow), [{}], book.folder, book.files)
    agents, inputs = book.agents()
    main = Counter(call.model for call in calls if call.model and call.kind == "agent").most_common(1)
    model = main[0][0] if main else "llama3.2:1b"
    agents, more = _as_sent(agents, jobs, model, inputs)
    used = counts_of(jobs.traces)
    figures = ("calls", "input_tokens", "output_tokens")
    lost = (*jobs.lost, *book.lost)
    all_calls = used._replace(
        **{key: (getattr(used, key) or 0) + sum(getattr(loss, key) for loss in jobs.lost) for key in figures}
    )
    context = _context(calls, book.largest_call)
    words = f"{count(len(calls), 'call')} in {count(len(jobs.traces), 'job')}"
    return Draft(
        name=name,
        description=f"Recorded: {words} of {source}.",
        head=(
            note(f"Recorded from {source}: {words}. What that does not say is marked QUESTION."),
            *_said_of(calls, jobs, idle_s),
            *(note(loss_line(loss)) for loss in lost),
        ),
        pipelines={own: _asked(pipeline, jobs, agents, idle_s)},
        agents=agents,
        inputs={**inputs, **book.texts, **more},
        servers={
            f"{word}-slot": {"kind": "ollama", "model": model, "slots": slots, "context_tokens": context}
            for word, slots in (("one", 1), ("four", 4))
        },
        files=book.files,
        account=ImportAccount(found=all_calls, lost=lost),
    )


def _with_known_models(flow: Flow) -> Flow:
    """Take away the question that a request answers: which model embeds."""
    return tuple(
        step._replace(
            body=_with_known_models(step.body),
            notes=tuple(one for one in step.notes if not one.text.startswith(_KNOWN_MODEL)),
        )
        for step in flow
    )


def _context(calls: Sequence[RecordedCall], largest: float) -> int:
    """Return the tokens of a slot: what the requests asked for, or what the largest call needs."""
    asked: list[int] = [call.settings["num_ctx"] for call in calls if isinstance(call.settings.get("num_ctx"), int)]
    return max([1 << max(8, ceil(1.25 * largest + 64).bit_length()), *asked])


def _as_sent(
    agents: Mapping[str, tuple[dict[str, Any], tuple[DraftNote, ...]]],
    jobs: RecordedJobs,
    model: str,
    inputs: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return agents with what their requests said, and the texts of shared beginnings, which `inputs` then lack."""
    result: dict[str, Any] = {}
    systems: dict[str, str] = {}  # the input of each system message, by its hash
    more: dict[str, Any] = {}
    for name, (spec, notes) in agents.items():
        calls = jobs.sources.get(name, ())
        own, said = dict(spec), list(notes)
        if calls:
            first = calls[0]
            kept = {key: first.settings[key] for key in _SENT if key in first.settings}
            own |= kept
            if first.model and first.model != model:
                own["model"] = first.model
            if most := sorted({call.settings["num_predict"] for call in calls if "num_predict" in call.settings}):
                allowed = f"{most[0]}" if len(most) == 1 else f"{most[0]} to {most[-1]}"
                said.append(note(f"its requests allowed {allowed} tokens (num_predict)"))
            if first.settings.get("tools"):
                said.append(note(f"its requests offered {count(first.settings['tools'], 'tool')}"))
            if shown := next((call.opening for call in calls if call.opening), ""):
                said.insert(0, note(f'its prompts begin "{shown}"'))
            shared = _shared(calls, name, inputs, systems, more)
            if shared:
                own = {"system": f"{{{shared}}}", **own, "shares_prefix": True}
                said.append(note("all its calls begin with the same system message; its prompt tokens are with it"))
        result[name] = (own, tuple(said))
    return result, more


def _shared(
    calls: Sequence[RecordedCall],
    name: str,
    inputs: dict[str, Any],
    systems: dict[str, str],
    more: dict[str, Any],
) -> str:
    """Take the system message that all calls begin with out of an agent's made-up text; return its input, or ""."""
    if not calls[0].system or len({call.system for call in calls}) > 1:
        return ""
    tokens = round(fmean(call.system_tokens for call in calls))
    texts = [text for text in inputs if text == f"{name}-text" or text.startswith(f"{name}-text-of-")]
    sizes = [inputs[text]["synthetic"]["tokens"] for text in texts]
    known = systems.get(calls[0].system)
    tokens = more[known]["synthetic"]["tokens"] if known else tokens
    shorter = [_less(size, tokens) for size in sizes]
    if tokens < 1 or not sizes or any(size is None for size in shorter):
        return ""
    for text, size in zip(texts, shorter, strict=True):
        inputs[text] = {"synthetic": {**inputs[text]["synthetic"], "tokens": size}}
    if known is None:
        known = systems[calls[0].system] = f"{name}-system"
        more[known] = {"synthetic": {"count": 1, "tokens": tokens}}
    return known


def _less(size: Any, tokens: int) -> Any:
    """Return a size that is so many tokens less; None where that cannot be written or nothing is left."""
    if isinstance(size, int):
        return size - tokens if size > tokens else None
    values = size.get("empirical") if isinstance(size, Mapping) else None
    if isinstance(values, list) and min(values) > tokens:
        return {"empirical": [value - tokens for value in values]}
    return None


def _said_of(calls: Sequence[RecordedCall], jobs: RecordedJobs, idle_s: float) -> Iterator[DraftNote]:
    """Yield what a person should know of the recording: how jobs were parted, and what was not counted."""
    n = len(jobs.traces)
    if jobs.by_header:
        yield note(f"jobs: {n}, as the header X-Slotwise-Job parts them")
    elif n > 1:
        idle = "" if jobs.shortest_idle_s is None else f" (the shortest was {seconds(max(0.0, jobs.shortest_idle_s))})"
        yield ask(
            f"is each of these {n} jobs one? A new one begins where no call was in flight for more than "
            f"{seconds(idle_s)}{idle}; --idle S parts them otherwise, the header X-Slotwise-Job exactly.",
            f"{n} jobs",
        )
    elif len(calls) > 1:
        yield ask(
            f"was all of it one job? Calls were never more than {seconds(jobs.longest_gap_s)} apart; --idle S parts "
            "them where that is less, the header X-Slotwise-Job exactly.",
            "one job",
        )
    uncounted = sum(not call.counted for call in calls)
    if uncounted:
        yield note(
            f"{count(uncounted, 'call')} whose tokens the server did not count: estimated from the lengths of the texts"
        )
    if any(call.thinking_tokens for call in calls):
        yield note("thinking tokens are the share of the generated tokens that the thinking has of the generated text")


def _asked(pipeline: PipelineDraft, jobs: RecordedJobs, agents: Mapping[str, Any], idle_s: float) -> PipelineDraft:
    """Add what the order in time alone says: whether a call really waits for one whose answer it does not read."""
    of_step = {step.name: step.target for step in walk(pipeline.flow) if step.kind == "agent" and step.target in agents}
    guessed: list[str] = []
    known: list[str] = []
    for step in walk(pipeline.flow):
        for before in step.after:
            a, b = of_step.get(before.partition(".")[0]), of_step.get(step.name)
            if a and b and a != b:
                (known if (a, b) in jobs.reads else guessed).append(f"{step.name} for {before.partition('.')[0]}")
    notes = [note(count(len(jobs.traces), "job")), *pipeline.notes[1:]]
    if known:
        notes.append(note(f"these read the answer that they wait for: {', '.join(dict.fromkeys(known))}"))
    if guessed:
        notes.append(
            ask(
                f"who waits for whom? These began after the other had ended, and their prompts do not hold its answer: "
                f"{', '.join(dict.fromkeys(guessed))}.",
                "each waits",
            )
        )
    flow = tuple(_of_person(step, jobs, idle_s) for step in pipeline.flow)
    return pipeline._replace(notes=tuple(notes), flow=flow)


def _of_person(step: DraftStep, jobs: RecordedJobs, idle_s: float) -> DraftStep:
    """Ask of a long pause whether it is a person's."""
    if step.kind == "tool" and step.name.startswith("before-") and isinstance(step.delay_s, int | float):
        said = [one for one in step.notes if not one.text.startswith("tool time")]
        pause = note(f"tool time: the program did something for {seconds(step.delay_s)} between two calls")
        longer = (ask("is that a tool, or a person's time (then a session fits better)?", "a tool"),)
        return step._replace(notes=(*said, pause, *(longer if step.delay_s > idle_s else ())))
    return step._replace(body=tuple(_of_person(inner, jobs, idle_s) for inner in step.body))
