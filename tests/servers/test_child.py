"""What the process of a front is made of."""

from __future__ import annotations

import asyncio
import socket

from harness.servers.child import listen


def test_small_packets_are_not_held_back() -> None:
    """Without TCP_NODELAY the last packet of an answer waits for the client's delayed acknowledgement, 40 ms."""

    async def steps() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = listen("127.0.0.1", 0)
        async with await asyncio.start_server(accepted, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            await reader.read()
            writer.close()
            await writer.wait_closed()
            return await told

    assert asyncio.run(steps()) != 0
