"""What `slotwise check` shows of a workload: each graph with its width, span and work, the candidates, the servers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from harness.core.plan import Plan, Pool
from harness.recommend.memory import RunnerNeed
from harness.units import count, seconds, size
from harness.wording.open_questions import open_questions_text
from harness.workload.describe import Description, PipelineFacts
from harness.workload.draw import draw
from harness.workload.inline import DEFAULTS
from harness.workload.load import Loaded
from harness.workload.schema import ServerSpec, without_credentials

__all__ = ["workload_lines", "workload_plain"]

COLUMNS = 80


def workload_lines(loaded: Loaded, description: Description, runners: Sequence[RunnerNeed] = ()) -> list[str]:
    """Write what `slotwise check` shows of one workload, 80 columns wide; `runners` where they matter."""
    workload = loaded.workload
    result = [f"{workload.name}  ({loaded.path})", *_wrapped("  ", workload.description)]
    if loaded.questions:
        result += _wrapped("  ! ", open_questions_text(loaded.path.name, [one.line for one in loaded.questions]))
    for facts in description.pipelines:
        result += ["", *_wrapped("", f"{facts.name}: {facts.path}, {facts.arrivals}", hang="  ")]
        result += [f"  {line}" for line in draw(loaded.graphs[facts.name], COLUMNS - 2)]
        result += _pipeline_lines(facts)
    open_ended = [facts.name for facts in description.pipelines if facts.total is None]
    total = description.total
    result += ["", "In all"]
    widest = description.max_useful_slots
    result += _wrapped("  width  ", "no bound" if widest is None else f"{_calls(widest)} at once")
    counted = f", not counting {', '.join(open_ended)}" if open_ended else ""
    result += _wrapped("  work   ", f"{_work(total.calls, total.prompt_tokens, total.output_tokens)}{counted}")
    result += ["", f"Candidates ({_repeats(loaded)})", *_candidates(loaded)]
    result += ["", "Servers", *_servers(loaded)]
    if runners:
        result += ["", "Runners (one for each context that a model is asked for)", *_runners(runners)]
    result += ["", "Worth knowing"]
    for hint in description.hints:
        result += _wrapped("  - ", hint)
    return result


def _pipeline_lines(facts: PipelineFacts) -> list[str]:
    span = facts.span
    about = " on average" if facts.expected else ""
    chain = f"{_calls(span.calls)} in sequence{about} ({' -> '.join(span.nodes)})"
    tokens = f"{span.output_tokens} output and about {span.prompt_tokens} prompt tokens"
    tools = f", {span.tool_s:.3g} s of tools" if span.tool_s else ""
    if span.longest_tool_s > span.tool_s:
        tools += f"; another chain waits {span.longest_tool_s:.3g} s for tools"
    width = f"{_calls(facts.width)} at once in a job" if facts.width else "embeddings alone, which take no slot"
    if facts.width_all_jobs is None:
        width += ", no bound over all jobs"
    elif facts.width_all_jobs != facts.width:
        width += f", {facts.width_all_jobs} over all jobs"
    work = f"{_work(*facts.work)} a job{about}"
    if facts.total is not None and facts.jobs != 1:
        work += f"; {_work(*facts.total)} in all"
    return [
        *(line for kind, text in facts.control for line in _wrapped(f"  {kind:<7}", text)),
        *_wrapped("  width  ", width),
        *_wrapped("  span   ", f"{chain}: {tokens}{tools}"),
        *_wrapped("  work   ", work),
    ]


def _calls(n: float) -> str:
    return count(n, "call") if isinstance(n, int) else f"{n:g} calls"


def _work(calls: float, prompt_tokens: int, output_tokens: int) -> str:
    if calls and not prompt_tokens and not output_tokens:
        return count(calls, "embedding request") if isinstance(calls, int) else f"{calls:g} embedding requests"
    return f"{_calls(calls)}, about {prompt_tokens} prompt and {output_tokens} output tokens"


def _repeats(loaded: Loaded) -> str:
    measure = loaded.workload.measure
    standard = "" if loaded.workload.compare else "the standard set; "
    warm_up = f"after {count(measure.warmup, 'warm-up')}" if measure.warmup else "without warm-up"
    return f"{standard}{count(measure.repeats, 'repeat')} {warm_up}"


def _candidates(loaded: Loaded) -> list[str]:
    pad = max(len(plan.name) for plan in loaded.plans)
    return [line for plan in loaded.plans for line in _wrapped(f"  {plan.name:<{pad}}  ", _routing(loaded, plan))]


def _routing(loaded: Loaded, plan: Plan) -> str:
    parts = []
    for i, queue in enumerate(plan.queues):
        placed = _placed_on(loaded, plan, i)
        who = f"{', '.join(placed)} on " if placed and len(plan.queues) > 1 else ""
        limit = f" {queue.limit}" if queue.limit else ""
        most, batch = queue.most, queue.most_batch
        kept = f", {most - batch} for interactive calls" if most is not None and batch is not None else ""
        own = f", at most {count(most, 'call')} at once" if most is not None and queue.concurrency.source.where else ""
        scheduling = "" if queue.scheduling.first_come else f", {queue.scheduling.name}"
        parts.append(f"{who}{queue.server}: {queue.concurrency.name}{limit}{own}{kept}{scheduling}")
    for pool in _pools(plan):
        servers = ", ".join(plan.queues[queue].server for queue in pool.queues)
        parts.append(f"{', '.join(_placed_on(loaded, plan, pool))}: {pool.policy.name} of {servers}")
    return "; ".join(parts)


def _pools(plan: Plan) -> list[Pool]:
    """Return the pools of a plan, each once."""
    return list(dict.fromkeys(at for place in plan.placement for at in place if not isinstance(at, int)))


def _placed_on(loaded: Loaded, plan: Plan, queue: int | Pool) -> list[str]:
    """Name what is on a queue or a pool: pipelines, or PIPELINE.NODE where a pipeline is on several."""
    names = []
    for pipeline, place in zip(loaded.pipelines, plan.placement, strict=True):
        at = {node.name: where for node, where in zip(pipeline.graph.nodes, place, strict=True) if node.kind == "agent"}
        here = [f"{pipeline.name}.{name}" for name, where in at.items() if where == queue]
        names += here if len(set(at.values())) > 1 else [pipeline.name] if here else []
    return names


def _place(loaded: Loaded, plan: Plan) -> dict[str, Any]:
    """Return where everything goes, as it may be written in a workload."""
    place: dict[str, Any] = {
        name: queue.server for i, queue in enumerate(plan.queues) for name in _placed_on(loaded, plan, i)
    }
    for pool in _pools(plan):
        servers = [plan.queues[queue].server for queue in pool.queues]
        place |= {name: {pool.policy.name: servers} for name in _placed_on(loaded, plan, pool)}
    return place


def _servers(loaded: Loaded) -> list[str]:
    pad = max(len(name) for name in loaded.servers)
    result = []
    for name, spec in loaded.servers.items():
        where = f" at {without_credentials(spec.address)}" if spec.address else ""
        pace = f", {spec.starts_per_s:g} starts a second" if spec.starts_per_s else ""
        size = _size(spec)
        models = " + ".join(loaded.models[name])
        most = spec.load_limit
        loads = f", {count(most, 'model')} loaded at a time" if most and len(loaded.models[name]) > 1 else ""
        on = f" on {spec.machine}" if spec.machine else ""
        result += _wrapped(f"  {name:<{pad}}  ", f"{spec.kind}{where}{on} {models}: {size}{loads}{pace}")
    return result


def _size(spec: ServerSpec) -> str:
    """Say how many slots of which size a server has; one that runs already is only known by what the file says."""
    told = not spec.running or "slots" in spec.model_fields_set
    slots = count(spec.slots, "slot") if told else "slots are counted by a run"
    context = spec.known_context
    return f"{slots}, {context} tokens of context each" if context is not None else f"{slots}, context of its own"


def _runners(runners: Sequence[RunnerNeed]) -> list[str]:
    """Say what each runner of a server takes, and how long its load."""
    pad = max(len(one.server) for one in runners)
    result = []
    for one in runners:
        context = "the server's own" if one.context_tokens is None else str(one.context_tokens)
        weights, cache = ("not known" if part is None else size(part) for part in (one.weights_bytes, one.cache_bytes))
        load = "not known" if one.load_s is None else seconds(one.load_s)
        text = (
            f"{one.model} with {context} tokens of context: weights {weights}; KV cache of {count(one.slots, 'slot')} "
            f"{cache}; a load {load}"
        )
        result += _wrapped(f"  {one.server:<{pad}}  ", text)
    return result


def _wrapped(start: str, text: str, hang: str | None = None) -> list[str]:
    indent = " " * len(start) if hang is None else hang
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=start,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _node(name: str, node: dict[str, Any]) -> dict[str, Any]:
    """Return a node's attributes: those that every node had always, and what else this one has."""
    always = ("kind", "width", "delay_s", "agent", "model", "timeout_s", "over", "prompt_tokens", "output_tokens")
    plain = {key: value for key, value in node.items() if key in always or value != DEFAULTS[key]}
    if node["batch"]:
        plain["kind"] = "embed"
    for key in ("delay", "items", "output", "thinking", "drawn_passes", "run"):
        if key in plain:
            plain[key] = plain[key]._asdict()
    if "grows" in plain:
        plain["grows"] = {"by": plain["grows"].by._asdict(), "reuse_prefix": plain["grows"].reuse_prefix}
    return {"name": name, **plain}


def workload_plain(loaded: Loaded, description: Description, runners: Sequence[RunnerNeed] = ()) -> dict[str, Any]:
    """Return the answer for `--json`."""
    servers = {}
    for name, spec in loaded.servers.items():
        plain = spec.model_dump(mode="json", exclude_none=True)
        servers[name] = {
            key: without_credentials(value) if value == spec.address else value for key, value in plain.items()
        }
    pipelines = []
    for facts in description.pipelines:
        graph = loaded.graphs[facts.name]
        plain = facts._asdict()
        plain["span"] = facts.span._asdict()
        plain["work"] = facts.work._asdict()
        plain["total"] = facts.total._asdict() if facts.total else None
        plain["nodes"] = [_node(name, graph.nodes[name]) for name in graph]
        plain["edges"] = [list(edge) for edge in graph.edges]
        plain["labels"] = [[a, b, list(taken)] for a, b, taken in graph.edges(data="labels") if taken]
        pipelines.append(plain)
    return {
        "name": loaded.workload.name,
        "description": loaded.workload.description,
        "digest": loaded.digest,
        "open_questions": [question._asdict() for question in loaded.questions],
        "pipelines": pipelines,
        "max_useful_slots": description.max_useful_slots,
        "total": description.total._asdict(),
        "candidates": [
            {
                "name": plan.name,
                "queues": [queue.to_plain() for queue in plan.queues],
                "placement": _place(loaded, plan),
            }
            for plan in loaded.plans
        ],
        "servers": servers,
        "models": {name: list(models) for name, models in loaded.models.items()},
        "runners": [one._asdict() for one in runners],
        "derived": list(loaded.derived),
        "hints": list(description.hints),
    }
