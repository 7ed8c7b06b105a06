"""How long the workbench takes from a change to figures, over its API, for each shipped workload.

    python benchmarks/bench_studio.py [--changes 20] [--finals 3] [--profile epyc-2core]

A change is a text that the workbench has not seen. The requests go through the app itself and its worker processes,
with no socket and no browser between. Printed are how long a look at the text takes (the median), the median and the
95th percentile of the first figures, and the longest time of the final ones.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

import httpx

from harness.app.init import starting_points
from harness.studio.file import Opened
from harness.studio.web import LIMITS_S, TOKEN_HEADER, Studio
from harness.studio.work import DesignPlace

MOST_FIRST_S, MOST_FINAL_S = 0.3, 3.0


async def timed(client: httpx.AsyncClient, name: str, body: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Ask, and return how long that took, with the answer."""
    began_s = time.perf_counter()
    answer = await client.post(f"/api/{name}", json=body)
    took_s = time.perf_counter() - began_s
    found: dict[str, Any] = answer.json()
    return took_s, found


async def row(path: Path, text: str, profile: str, changes: int, finals: int) -> str:
    """Measure one workload."""
    app = Studio(Opened(DesignPlace(path), text), "token", {**LIMITS_S, "simulation": 600.0})
    app.start()
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers={TOKEN_HEADER: "token"}, timeout=900
    )
    version = 0

    async def ask(name: str, **more: Any) -> tuple[float, dict[str, Any]]:
        nonlocal version
        version += 1
        body = {"tab": "bench", "version": version, "text": f"{text}\n# change {version}\n", **more}
        return await timed(client, name, body)

    machine = {"machine": {"profiles": [profile]}, "extrapolate": True}
    try:
        await ask("look")  # the processes are up
        await ask("figures", stage="preliminary", **machine)
        looks = [(await ask("look"))[0] for _ in range(changes)]
        first = [await ask("figures", stage="preliminary", **machine) for _ in range(changes)]
        if (found := first[0][1])["state"] != "ok":
            why = found["mistakes"][-1]["whole"] if found["mistakes"] else found["message"]
            return f"{path.stem:20} not predicted: {why}"
        times = sorted(took_s for took_s, _ in first)
        last = [(await ask("figures", stage="final", **machine))[0] for _ in range(finals)]
    finally:
        await client.aclose()
        await app.stop()
    p95 = times[min(len(times) - 1, round(0.95 * len(times)))]
    marks = ("" if p95 <= MOST_FIRST_S else " first too slow") + (
        "" if max(last) <= MOST_FINAL_S else " final too slow"
    )
    return (
        f"{path.stem:20} {1000 * statistics.median(looks):8.0f} {1000 * statistics.median(times):8.0f} "
        f"{1000 * p95:8.0f} {max(last):8.2f}{marks}"
    )


def main() -> None:
    """Measure every shipped workload."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--finals", type=int, default=3)
    parser.add_argument("--profile", default="epyc-2core")
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    print(f"{'workload':20} {'look ms':>8} {'first ms':>8} {'p95 ms':>8} {'final s':>8}")
    for name, path in starting_points().items():
        if given.only in name:
            print(
                asyncio.run(row(path, path.read_text(encoding="utf-8"), given.profile, given.changes, given.finals)),
                flush=True,
            )


if __name__ == "__main__":
    main()
