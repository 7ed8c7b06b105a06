"""Client CPU per call through the whole live harness, compared with a bare gather of the same ChatOllama calls.

A fake Ollama server with fixed answers, in its own process, answers 200 calls of 50 tokens, streamed and not streamed.
The CPU time of this process is compared. The target is at most 0.3 ms per call more than the bare client.

Run it on an idle machine: python benchmarks/bench_client.py
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median

from langchain_core.messages import HumanMessage
from langchain_ollama import ChatOllama
from rich.console import Console
from rich.table import Table

from harness.core.arrival_processes import Listed
from harness.core.engine import Engine
from harness.core.graph import Graph, Node, Pipeline
from harness.core.plan import Plan, ServerQueue
from harness.core.records import CallRecord
from harness.drivers.chat import Chat
from harness.drivers.live import drive
from harness.measure.sender import Endpoint, Sender
from harness.servers.spec import RunningServer
from harness.workload.reads import Readable
from harness.workload.schema import AgentSpec
from harness.workload.texts import Texts, listed

CALLS, TOKENS, IN_FLIGHT, ROUNDS = 200, 50, 8, 7

CANNED = f"""
import asyncio, json, socket, sys
words = [json.dumps({{"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": False,
         "message": {{"role": "assistant", "content": "word "}}}}).encode() + b"\\n"] * {TOKENS}
def final(content):
    return json.dumps({{"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": True, "done_reason": "length",
        "message": {{"role": "assistant", "content": content}}, "total_duration": 10**9, "load_duration": 10**6,
        "prompt_eval_count": 20, "prompt_eval_duration": 10**8, "eval_count": {TOKENS}, "eval_duration": 8 * 10**8,
        }}).encode() + b"\\n"
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\\r\\n")[0])
            stream = json.loads(await reader.readexactly(length))["stream"]
            kind = b"application/x-ndjson" if stream else b"application/json"
            parts = [*words, final("")] if stream else [final("word " * {TOKENS})]
            writer.write(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\nContent-Type: ")
            writer.write(kind + b"\\r\\n\\r\\n")
            for part in parts:
                writer.write(b"%x\\r\\n%b\\r\\n" % (len(part), part))
                await writer.drain()
                if stream:
                    await asyncio.sleep(0.001)  # a real server's tokens do not come in one packet
            writer.write(b"0\\r\\n\\r\\n")
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()
async def main():
    server = await asyncio.start_server(serve, sock=socket.socket(fileno=int(sys.argv[1])))
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
"""


def _message(pipeline: str, who: int, node: str, item: int, outputs: object) -> tuple[str | None, str]:
    return None, f"call {item}"


async def bare(url: str, stream: bool) -> None:
    client = {"timeout": None, "trust_env": False}
    model = ChatOllama(
        model="m", base_url=url, async_client_kwargs=client, sync_client_kwargs={"verify": False}
    )  # built as the harness builds it: two TLS contexts cost 48 ms
    options = {"num_predict": TOKENS}
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(i: int) -> None:
        async with gate:
            messages = [HumanMessage(f"call {i}")]
            if stream:
                async for _ in model.astream(messages, options=options):
                    pass
            else:
                await model.ainvoke(messages, options=options, stream=False)

    await asyncio.gather(*(one(i) for i in range(CALLS)))


async def harnessed(url: str, stream: bool) -> None:
    loop = asyncio.get_running_loop()
    server = RunningServer("s", "ollama", url, "m", IN_FLIGHT, False, "canned", False, False, {})
    path = "interactive" if stream else "batch"
    node = Node("n", "agent", (), (), width=CALLS, agent="a")
    pipeline = Pipeline("p", path, Graph((node,)), Listed((0.0,)), jobs=1)  # type: ignore[arg-type]  # path: a Literal
    plan = Plan("bench", (ServerQueue("s", IN_FLIGHT),), ((0,),))
    agent = AgentSpec(prompt="call", output_tokens=TOKENS)
    uses = {("p", "n"): Readable({})}
    texts = Texts(_message, uses, listed=listed)
    written: list[str] = []
    endpoints = {"s": Endpoint(server, Chat(url, "m", loop.time), None)}
    sender = Sender(plan, (pipeline,), endpoints, {("p", "n"): agent}, texts, zero_s=loop.time(), seed=0, repeat=0)
    engine = Engine((pipeline,), plan, origin="measured", timeout_s=60.0)

    def keep(record: object) -> None:
        if isinstance(record, CallRecord):
            written.append(json.dumps(record.to_json()))

    await drive(engine, sender, keep, start_s=loop.time())
    assert len(written) == CALLS


def cpu_ms(run: Callable[[str, bool], Awaitable[None]], url: str, stream: bool) -> float:
    """CPU milliseconds of this process per call; building the client included, once for 200 calls."""

    async def main() -> float:
        before = time.process_time()
        await run(url, stream)
        return time.process_time() - before

    return asyncio.run(main()) * 1000 / CALLS


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        command = [sys.executable, "-c", CANNED, str(sock.fileno())]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[sock.fileno()]
        ) as server:
            rows = []
            for stream in (False, True):
                figures: dict[str, list[float]] = {"bare": [], "harness": []}
                for _ in range(ROUNDS):  # interleaved, so that drift hits both alike
                    figures["bare"].append(cpu_ms(bare, url, stream))
                    figures["harness"].append(cpu_ms(harnessed, url, stream))
                rows.append((stream, median(figures["bare"]), median(figures["harness"])))
            assert server.stdin is not None
            server.stdin.close()
    table = Table(
        title=f"Client CPU per call: {CALLS} calls of {TOKENS} tokens, {IN_FLIGHT} in flight, median of {ROUNDS}"
    )
    for column in ("calls", "bare gather", "whole harness", "more"):
        table.add_column(column, justify="right")
    for stream, bare_ms, harness_ms in rows:
        kind = "streamed" if stream else "not streamed"
        table.add_row(kind, f"{bare_ms:.2f} ms", f"{harness_ms:.2f} ms", f"{harness_ms - bare_ms:+.2f} ms (target 0.3)")
    Console().print(table)


if __name__ == "__main__":
    main()
