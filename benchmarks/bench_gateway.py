"""What the gateway costs: the same calls with and without it, side by side, on a server that takes no time.

    python benchmarks/bench_gateway.py

The target: at most 1 ms a call and 0.1 ms a token. Each piece is written by itself, 2 ms after the one before, as real
servers do; the client is httpx. Server and gateway are processes of their own.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from statistics import median

import httpx

PIECES = 50
PACE_S = 0.002
CALLS = 40
SERVER = f"""
import asyncio, uvicorn
LINE = b'{{"message":{{"content":"so"}},"done":false}}\\n'
async def app(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    kind = b"application/x-ndjson" if scope["path"] == "/api/chat" else b"application/json"
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]}})
    if scope["path"] == "/api/chat":
        for _ in range({PIECES} if b"paced" in dict(scope["headers"]) else 1):
            await send({{"type": "http.response.body", "body": LINE, "more_body": True}})
            await asyncio.sleep({PACE_S} if b"paced" in dict(scope["headers"]) else 0)
    await send({{"type": "http.response.body", "body": b"{{}}\\n"}})
uvicorn.run(app, port=PORT, log_level="critical", http="h11", loop="asyncio")
"""
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def up(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(600):
            try:
                await client.get(f"{url}/api/version")
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
    raise SystemExit(f"nothing answers at {url}")


async def call_ms(client: httpx.AsyncClient, url: str) -> float:
    began_s = time.perf_counter()
    await client.post(f"{url}/api/chat", json=CHAT)
    return (time.perf_counter() - began_s) * 1000


async def stream_ms(client: httpx.AsyncClient, url: str) -> float:
    """Return the milliseconds from the first to the last piece: what it has more than without is delay that adds up."""
    began_s = time.perf_counter()
    async with client.stream("POST", f"{url}/api/chat", json=CHAT, headers={"paced": "1"}) as response:
        async for _ in response.aiter_raw():
            pass
    return (time.perf_counter() - began_s) * 1000


def cpu_s(process: int) -> float:
    from pathlib import Path

    fields = Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def main() -> None:
    ports = free_port(), free_port()
    direct, through = (f"http://127.0.0.1:{port}" for port in ports)
    code = SERVER.replace("PORT", str(ports[0]))
    gateway = (
        "from harness.app.gateway import gateway\nfrom harness.app.options import GatewayOptions\n"
        f"gateway(GatewayOptions(upstreams=({direct!r},), slots=(8,), port={ports[1]}))"
    )
    server = subprocess.Popen([sys.executable, "-c", code])  # noqa: ASYNC220 - at once
    await up(direct)
    before = subprocess.Popen([sys.executable, "-c", gateway])  # noqa: ASYNC220 - likewise
    try:
        await up(through)
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            await asyncio.sleep(1)
            for what, measure, calls in (("a call", call_ms, CALLS * 5), ("a stream", stream_ms, CALLS)):
                found: dict[str, list[float]] = {direct: [], through: []}
                began_s = cpu_s(before.pid)
                for _ in range(calls):
                    for url, times in found.items():  # taking turns
                        times.append(await measure(client, url))
                without, with_it = (median(times) for times in found.values())
                spent_ms = (cpu_s(before.pid) - began_s) * 1000 / calls
                print(f"{what:9} without {without:7.2f} ms, through the gateway {with_it:7.2f} ms, ", end="")
                print(f"more: {with_it - without:.2f} ms; CPU of the gateway {spent_ms:.2f} ms")
                if what == "a stream":
                    print(f"a token   {spent_ms / PIECES * 1000:.0f} us of the gateway's CPU, ", end="")
                    print(f"{(with_it - without) / PIECES * 1000:.0f} us more until the end")
    finally:
        before.terminate()
        server.terminate()
        before.wait()
        server.wait()


asyncio.run(main())
