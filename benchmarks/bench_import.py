"""CPU time and peak memory of importing 100,000 spans: as JSON lines, and as one object.

The application is an agent with tools, a branch, a fan-out and a loop. Each model call has a prompt of a few
kilobytes, as instrumentations write them. Run it: python benchmarks/bench_import.py [SPANS]
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SPANS = 100_000
PROMPT = "Summarise what the customer wrote, and keep to the facts that are in it. " * 30
CHILD = """
import json, resource, sys, time
from pathlib import Path
from harness.app.import_ import import_traces
from harness.app.options import ImportOptions
import_traces(Path(sys.argv[1]), ImportOptions(out=Path(sys.argv[2]), force=True))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"cpu_s": time.process_time(), "peak_bytes": peak}), file=sys.stderr)
"""


class Application:
    """Writes the spans of one pass after the other."""

    def __init__(self) -> None:
        self.draw = random.Random(1)
        self.made = 0
        self.now_ns = 1_700_000_000_000_000_000

    def span(
        self, trace: str, parent: str, name: str, start_s: float, end_s: float, **attributes: Any
    ) -> dict[str, Any]:
        self.made += 1
        values = [
            {"key": key.replace("__", "."), "value": {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}}
            for key, v in attributes.items()
        ]
        return {
            "traceId": trace,
            "spanId": f"{self.made:016x}",
            "parentSpanId": parent,
            "name": name,
            "kind": 1,
            "startTimeUnixNano": str(self.now_ns + round(start_s * 1e9)),
            "endTimeUnixNano": str(self.now_ns + round(end_s * 1e9)),
            "attributes": values,
        }

    def call(self, trace: str, root: str, agent: str, at_s: float) -> tuple[dict[str, Any], float]:
        end_s = at_s + self.draw.lognormvariate(0.5, 0.4)
        tokens = {
            "gen_ai__usage__input_tokens": round(self.draw.lognormvariate(6, 0.5)),
            "gen_ai__usage__output_tokens": round(self.draw.lognormvariate(4, 0.5)),
        }
        fixed = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "m", "gen_ai__input__messages": PROMPT}
        return self.span(trace, root, "chat m", at_s, end_s, gen_ai__agent__name=agent, **fixed, **tokens), end_s

    def trace(self) -> list[dict[str, Any]]:
        self.now_ns += round(self.draw.expovariate(0.5) * 1e9)
        trace = f"{self.made + 1:032x}"
        spans: list[dict[str, Any]] = []
        root = self.span(trace, "", "invoke_workflow support", 0, 0, gen_ai__operation__name="invoke_workflow")
        at_s = 0.0

        def call(agent: str, start_s: float) -> float:
            span, end_s = self.call(trace, root["spanId"], agent, start_s)
            spans.append(span)
            return end_s

        at_s = call("triage", at_s)
        at_s = call("billing" if self.draw.random() < 0.6 else "technical", at_s)
        at_s = max(call("worker", at_s) for _ in range(self.draw.randint(2, 5)))
        while True:
            at_s = call("critic", at_s)
            if self.draw.random() < 0.4:
                break
            end_s = at_s + self.draw.lognormvariate(-1, 0.5)
            name = {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": "search"}
            spans.append(self.span(trace, root["spanId"], "execute_tool search", at_s, end_s, **name))
            at_s = end_s
        root["endTimeUnixNano"] = str(self.now_ns + round(at_s * 1e9))
        return [root, *spans]


def request(spans: list[dict[str, Any]]) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {}, "spans": spans}]}]}


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else SPANS
    application = Application()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Written as they are made: a process's peak memory counts that of the one it was forked from.
        head, tail = json.dumps(request([])).removesuffix("[]}]}]}") + "[\n", "\n]}]}]}"
        with (folder / "lines.jsonl").open("w") as lines, (folder / "object.json").open("w") as whole:
            whole.write(head)
            while application.made < wanted:
                spans = application.trace()
                whole.write(("" if application.made == len(spans) else ",\n") + ",\n".join(map(json.dumps, spans)))
                lines.write(json.dumps(request(spans)) + "\n")
            whole.write(tail)
        table = Table("file", "size (MB)", "spans", "CPU (s)", "peak memory (MB)", title="slotwise import traces")
        for path in (folder / "lines.jsonl", folder / "object.json"):
            command = [sys.executable, "-c", CHILD, str(path), str(folder / "out.yaml")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            figures = json.loads(done.stderr.splitlines()[-1])
            table.add_row(
                path.name,
                f"{path.stat().st_size / 1e6:.0f}",
                str(application.made),
                f"{figures['cpu_s']:.1f}",
                f"{figures['peak_bytes'] / 1e6:.0f}",
            )
        Console().print(table)


if __name__ == "__main__":
    main()
