"""What the Ollama front costs: CPU of its process per call and per token, with an engine that only returns words.

Target: at most 1 ms per call and 0.1 ms per token, so that at 150 tokens/s the front takes under 2 % of a core.
"burst": the engine has all tokens at once. "paced": one every 2 ms for each slot, so every token wakes the event
loop, as with a real engine. CPU is the user and system time of the server's process alone, minus what it takes to
start and stop one. Figures are medians over rounds.

    python benchmarks/bench_front.py [--rounds 5] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import sys
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.servers.fronts import child

SLOTS = 8
CALLS = 200
SHORT, LONG = 1, 101
PACE_S = 0.002


def children_cpu_s() -> float:
    """Return user and system seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def cpu_s(calls: int, tokens: int, *, stream: bool, pause_s: float) -> float:
    """Return the CPU seconds of a front's whole life with that many calls, SLOTS of them at a time."""
    before = children_cpu_s()
    async with child("bench", "canned", {"slots": SLOTS, "pause_s": pause_s}) as ready:
        limits = httpx.Limits(max_connections=SLOTS, max_keepalive_connections=SLOTS)
        async with httpx.AsyncClient(base_url=ready["url"], limits=limits, timeout=120) as client:
            body = {
                "model": "canned",
                "messages": [{"role": "user", "content": "word " * 100}],
                "stream": stream,
                "options": {"num_predict": tokens},
            }
            left = iter(range(calls))

            async def worker() -> None:
                for _ in left:
                    response = await client.post("/api/chat", json=body)
                    last = json.loads(response.text.splitlines()[-1])
                    assert last["eval_count"] == tokens

            await asyncio.gather(*(worker() for _ in range(SLOTS)))
    return children_cpu_s() - before


async def one_round() -> dict[str, tuple[float, float]]:
    """Return CPU milliseconds (a call, a token) by row."""
    idle = await cpu_s(0, 0, stream=False, pause_s=0)
    rows = {}
    for row, stream, pause_s in (
        ("streamed, burst", True, 0.0),
        ("streamed, paced", True, PACE_S),
        ("whole, burst", False, 0.0),
    ):
        short = await cpu_s(CALLS, SHORT, stream=stream, pause_s=pause_s)
        long = await cpu_s(CALLS, LONG, stream=stream, pause_s=pause_s)
        rows[row] = (1e3 * (short - idle) / CALLS, 1e3 * (long - short) / CALLS / (LONG - SHORT))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rounds = [asyncio.run(one_round()) for _ in range(arguments.rounds)]
    table = {
        row: {
            "ms_per_call": statistics.median(r[row][0] for r in rounds),
            "ms_per_token": statistics.median(r[row][1] for r in rounds),
        }
        for row in rounds[0]
    }
    if arguments.json:
        print(json.dumps({"rounds": len(rounds), "front": table}))
        return
    print(f"front, CPU of its process; medians of {len(rounds)} rounds of {CALLS} calls")
    print(f"{'':<18} {'ms a call':>10} {'ms a token':>11} {'of a core at 150 tok/s':>23}")
    for row, cost in table.items():
        share = 150 * cost["ms_per_token"] / 1000 + 1.5 * cost["ms_per_call"] / 1000  # answers of 100 tokens
        print(f"{row:<18} {cost['ms_per_call']:>10.3f} {cost['ms_per_token']:>11.4f} {share:>22.1%}")
    print(f"{'target':<18} {1:>10.3f} {0.1:>11.4f} {0.02:>22.1%}")


if __name__ == "__main__":
    main()
