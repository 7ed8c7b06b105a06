"""The live harness compared with what a server really did.

    python benchmarks/truth.py [--calls 200] [--json]     takes three minutes

A simulated server keeps its own log, on the monotonic clock that all processes of a machine share: when each call
arrived and got its slot, when its prompt began, when its first and last token were delivered. The harness uses it like
any server, and splits the time of every call. Target: the median of every part is within 2 % or 2 ms of the log.

Jobs are fan-outs of eight with a merge (whole answers) and single calls (streamed), under every concurrency policy. A
server cannot separate the router's wait from the time on the way to it. So their sum, with the way back, is compared
with the times from ready to arrived and from delivered to received.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.analysis.timesplit import split_call
from harness.core.arrival_processes import Closed, Listed
from harness.core.concurrency import CONCURRENCY
from harness.core.draws import integer
from harness.core.engine import Engine
from harness.core.events import Call
from harness.core.graph import Graph, Node, Pipeline
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord, ChatRequest, DelayRecord, JobRecord, Reply
from harness.core.sizes import fixed
from harness.core.step_costs import StepCosts
from harness.drivers.chat import Chat
from harness.drivers.live import drive
from harness.servers.fronts import child
from harness.servers.simulated_engine import SimulatedConfig, Truth, read_truth

COSTS = StepCosts(
    decode_s=(0.0, 0.010, 0.015, 0.018, 0.020),
    prefill=((1, 0.0008),),
    prompt_step_s=0.004,
    context_s_per_token=5e-6,
    batch_tokens=256,
)
FAN = 8
WITHIN_S, WITHIN_RATIO = 0.002, 0.02


class Pair(NamedTuple):
    """One call as both saw it."""

    call: CallRecord
    truth: Truth
    zero_s: float  # of the trial, on the shared clock


def pipelines(calls: int) -> tuple[Pipeline, ...]:
    """Return half of the calls as fans with a merge, half as single ones."""
    fans = max(1, calls // 2 // (FAN + 1))
    singles = calls - fans * (FAN + 1)
    fan = Graph((Node("part", "agent", (), (1,), FAN), Node("merge", "agent", (0,), (), 1)))
    one = Graph((Node("reply", "agent", (), (), 1),))
    return (
        Pipeline("fan", "batch", fan, Listed(tuple(1.5 * i for i in range(fans))), jobs=fans),
        Pipeline("chat", "interactive", one, Closed(2, fixed(0.05)), jobs=singles),
    )


async def trial(url: str, concurrency: str, calls: int, first_seed: int) -> tuple[float, list[CallRecord]]:
    """Drive one trial; the sampling seed of a request is how the two logs are joined."""
    loop = asyncio.get_running_loop()
    chat = Chat(url, "truth", loop.time)
    both = pipelines(calls)
    plan = Plan(
        concurrency, (ServerQueue("truth", COSTS.slots, CONCURRENCY[concurrency], max_wait_s=0.5),), ((0, 0), (0,))
    )
    records: list[CallRecord | JobRecord | DelayRecord] = []
    zero_s = loop.time()

    async def send(call: Call) -> Reply:
        key = (7, call.pipeline, call.job, call.node, call.item)
        text = "word " * (20 + integer(80, *key, "prompt"))
        options = {"seed": first_seed + call.id, "num_predict": 8 + integer(24, *key, "output")}
        reply, _ = await chat.ask(
            ChatRequest(None, text, options, stream=both[call.pipeline].path == "interactive"), zero_s
        )
        return reply

    await drive(Engine(both, plan, origin="emulated"), send, records.append, start_s=zero_s)
    await chat.close()
    return zero_s, [record for record in records if isinstance(record, CallRecord)]


async def pairs(calls: int) -> dict[str, list[Pair]]:
    """Return what both saw, by concurrency policy."""
    seen: dict[str, tuple[float, list[CallRecord]]] = {}
    with tempfile.TemporaryDirectory(prefix="slotwise-") as folder:
        log = Path(folder) / "truth.jsonl"
        config = {"engine": SimulatedConfig("truth", "truth", COSTS, 2048).to_json(), "faults": None}
        async with child("truth", "simulated", {**config, "truth_log": str(log)}) as ready:
            await trial(ready["url"], "window", 10, 0)  # connections, imports
            for number, concurrency in enumerate(CONCURRENCY, start=1):
                seen[concurrency] = await trial(ready["url"], concurrency, calls, number * 1_000_000)
        truths = {truth.seed: truth for truth in read_truth(log)}
    result = {}
    for number, (concurrency, (zero_s, records)) in enumerate(seen.items(), start=1):
        failed = [record for record in records if record.outcome != "ok"]
        assert not failed, failed[0]
        result[concurrency] = [Pair(record, truths[number * 1_000_000 + record.call], zero_s) for record in records]
    return result


def parts(pair: Pair) -> dict[str, tuple[float, float]]:
    """Return (what the harness says, what happened) by part, in seconds."""
    call, truth, zero_s = pair
    split = split_call(call, None)
    reply = call.reply
    assert split is not None and reply.sent_s is not None and reply.end_s is not None
    assert truth.arrived_s is not None and truth.prompt_s is not None and truth.last_sent_s is not None
    first_s = truth.first_sent_s if truth.first_sent_s is not None else truth.first_token_s
    assert first_s is not None
    ready_s, sent_s, end_s = zero_s + call.ready_s, zero_s + reply.sent_s, zero_s + reply.end_s
    back_s = end_s - truth.last_sent_s
    mine = split.parts
    outside_s = mine.router_wait_s + mine.throttle_wait_s + mine.client_s
    found = {
        "router, client": (outside_s, truth.arrived_s - ready_s + back_s),
        "client": (mine.client_s, truth.arrived_s - sent_s + back_s),
        "server queue": (mine.queue_wait_s, truth.slot_s - truth.arrived_s),
        "load": (mine.load_s, 0.0),
        "slot set-up": (mine.slot_setup_s, truth.prompt_s - truth.slot_s),
        "prefill": (mine.prefill_s, first_s - truth.prompt_s),
        "decode": (mine.decode_s, truth.last_sent_s - first_s),
        "not attributed": (mine.not_attributed_s, 0.0),
    }
    if reply.first_token_s is not None:
        found["first token"] = (reply.first_token_s - call.ready_s, first_s - ready_s)
    found["last token"] = (reply.end_s - call.ready_s, truth.last_sent_s - ready_s)
    return found


class Row(NamedTuple):
    """Medians over the calls of one concurrency policy, in seconds."""

    concurrency: str
    part: str
    calls: int
    harness_s: float
    truth_s: float
    error_s: float  # of the medians
    call_error_s: float  # median over the calls of |harness - truth|
    within: bool


def rows(concurrency: str, both: list[Pair]) -> list[Row]:
    """Compare part by part."""
    split = [parts(pair) for pair in both]
    table = []
    for part in dict.fromkeys(name for one in split for name in one):
        values = [one[part] for one in split if part in one]
        harness_s, truth_s = median(v[0] for v in values), median(v[1] for v in values)
        error_s = harness_s - truth_s
        within = abs(error_s) <= max(WITHIN_S, WITHIN_RATIO * truth_s)
        call_error_s = median(abs(v[0] - v[1]) for v in values)
        table.append(Row(concurrency, part, len(values), harness_s, truth_s, error_s, call_error_s, within))
    return table


def show(table: list[Row], say: Callable[[str], None] = print) -> None:
    """Print the table."""
    head = f"{'policy':<10} {'part':<14} {'calls':>5} {'harness':>10} {'truth':>10} {'error':>9} {'a call':>9}"
    say(f"{head}  2 % or 2 ms")
    for row in table:
        say(
            f"{row.concurrency:<10} {row.part:<14} {row.calls:>5} "
            f"{1e3 * row.harness_s:>7.2f} ms {1e3 * row.truth_s:>7.2f} ms "
            f"{1e3 * row.error_s:>+6.2f} ms {1e3 * row.call_error_s:>6.2f} ms  {'yes' if row.within else 'NO'}"
        )


def main() -> None:
    """Run the trials and print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=200, help="per concurrency policy")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = asyncio.run(pairs(arguments.calls))
    table = [row for concurrency, both in found.items() for row in rows(concurrency, both)]
    if arguments.json:
        print(json.dumps([row._asdict() for row in table]))
    else:
        print(
            "medians over the calls of each policy; `error` is that of the medians, `a call` is the median of |error|"
        )
        show(table)


if __name__ == "__main__":
    main()
