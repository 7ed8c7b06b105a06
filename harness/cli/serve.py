"""`slotwise serve`: an Ollama-compatible server with N slots, in the foreground."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["serve"]


def serve(
    model: Annotated[str, typer.Option(help="A built-in model's name, or the path of a GGUF file.")] = "smollm2-135m",
    slots: Annotated[int, typer.Option(min=1, max=64, help="Calls it generates at the same time.")] = 1,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets everybody in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 11435,
    context_tokens: Annotated[int, typer.Option(min=256, help="Context of one slot, in tokens.")] = 2048,
    batch_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Prompt tokens of one engine step.")] = 512,
    threads: Annotated[int | None, typer.Option(min=1, max=512, help="Engine threads; default: every core.")] = None,
) -> None:
    """Serve a model with N slots to any Ollama client, until Ctrl-C."""
    import asyncio
    import sys

    from harness import units
    from harness.report.progress import progress_for
    from harness.servers.launch import launched
    from harness.workload.schema import LlamaCppServer

    spec = LlamaCppServer(
        kind="llamacpp",
        model=model,
        slots=slots,
        context_tokens=context_tokens,
        batch_tokens=batch_tokens,
        threads=threads,
    )

    async def until_told() -> None:
        import signal

        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        with progress_for(sys.stderr) as progress:
            # from the first moment: a Ctrl-C while the model loads ends it as cleanly as one later
            starting = asyncio.current_task()
            assert starting is not None
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, starting.cancel)
            async with launched(
                "serve", spec, say=progress.say, progress=progress.download, host=host, port=port
            ) as server:
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(number, told.set)
                typer.echo(
                    f"{server.model} at {server.url}: {units.count(slots, 'slot')} of "
                    f"{server.details['context_tokens']} tokens ({server.version})"
                )
                address = server.url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
                typer.echo(f"Point a client at it:  OLLAMA_HOST={address}  or  ChatOllama(base_url={address!r})")
                if host not in ("127.0.0.1", "::1", "localhost"):
                    typer.echo("Everybody who reaches this machine can use it: there is no password.")
                typer.echo("Ctrl-C ends it.")
                await _ended(told, server.url)
        typer.echo("ended")

    try:
        asyncio.run(until_told())
    except asyncio.CancelledError:
        raise typer.Exit(130) from None


async def _ended(told: object, url: str) -> None:
    """Wait for the signal; a server that dies by itself is a failure, not an end."""
    import asyncio

    import httpx

    from harness.errors import ServerFailure

    assert isinstance(told, asyncio.Event)
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        while True:
            try:
                async with asyncio.timeout(5):
                    await told.wait()
                return
            except TimeoutError:
                pass
            try:
                await client.get("/api/version")
            except httpx.TimeoutException:
                continue  # the machine is busy; only a refused connection means that it is gone
            except httpx.TransportError:
                raise ServerFailure(f"serve: the server at {url} has ended by itself") from None
