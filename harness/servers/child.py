"""Fronts in a process of their own: `python -m harness.servers.child`, its orders one line of JSON on stdin.

One engine; or several simulated ones, which then stand on one machine. It says one line of JSON on stdout when all are
ready (or why not), and then nothing more. It holds the read
end of a pipe whose other end only the parent has: when that closes, however the parent died, the process is
gone at once. That works on every Unix and needs no help from the parent's last moments.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from harness.errors import SlotwiseError, UserError
from harness.servers.access import Access, Guarded
from harness.servers.fine_loop import fine_loop
from harness.servers.front.engine import TextEngine

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

__all__ = ["main"]


def _llamacpp(config: dict[str, Any]) -> TextEngine:
    from harness.servers.llamacpp_engine import LlamaCppConfig, LlamaCppEngine

    return LlamaCppEngine(LlamaCppConfig(**config))


def _canned(config: dict[str, Any]) -> TextEngine:
    from harness.servers.front.canned import CannedEngine

    return CannedEngine(**config)


def _openai(config: dict[str, Any]) -> TextEngine:
    from harness.servers.openai_engine import OpenAiConfig, OpenAiEngine

    return OpenAiEngine(OpenAiConfig(**config))


def _simulated(config: dict[str, Any]) -> TextEngine:
    from harness.servers.simulated_engine import SimulatedConfig, SimulatedEngine, truth_log

    path = config.get("truth_log")
    return SimulatedEngine(SimulatedConfig.from_json(config["engine"]), path and truth_log(Path(path)))


def _around_simulated(app: ASGIApp, config: dict[str, Any]) -> ASGIApp:
    from harness.servers.distance import Distant
    from harness.servers.faults import Faults, Faulty

    if config["faults"] is not None:
        app = Faulty(app, Faults(**config["faults"]))
    costs = config["engine"]["costs"]
    return Distant(app, costs["before_s"], costs["after_s"])


def _bare(app: ASGIApp, config: dict[str, Any]) -> ASGIApp:
    return app


class _Front(NamedTuple):
    engine: Callable[[dict[str, Any]], TextEngine]
    around: Callable[[ASGIApp, dict[str, Any]], ASGIApp] = _bare  # what stands between clients and the front
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop


FRONTS: dict[str, _Front] = {
    "llamacpp": _Front(_llamacpp),
    "canned": _Front(_canned),
    "openai": _Front(_openai),
    "simulated": _Front(_simulated, _around_simulated, fine_loop),
}


def main() -> NoReturn:
    """Serve until told to stop (SIGTERM) or until the parent is gone."""
    from harness.servers.front.app import create_app

    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever native code prints goes to the log
    orders = json.loads(sys.stdin.buffer.readline())
    front, configs = FRONTS[orders["kind"]], orders["configs"]
    threading.Thread(target=_die_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _leave)
    try:
        host, hosts, origins = orders["access"]
        listeners = [listen(host, orders["port"] if not i else 0) for i in range(len(configs))]
        engines = [front.engine(config) for config in configs]
    except SlotwiseError as error:
        print(json.dumps({"error": str(error), "exit_code": error.exit_code}), file=answer, flush=True)
        os._exit(error.exit_code)
    if orders["contention"]:
        _share(engines, {int(busy): factor for busy, factor in orders["contention"].items()})
    apps = [
        Guarded(
            front.around(create_app(engine), config),
            Access.given(host, hosts, origins)._replace(bound=listener.getsockname()[0]),
        )
        for engine, config, listener in zip(engines, configs, listeners, strict=True)
    ]
    _serve(list(zip(engines, apps, listeners, strict=True)), front.loop, answer)
    os._exit(0)  # not through atexit: a thread of the engine may be in the middle of a long prompt


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. A `UserError` says what stands in the way."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UserError(f"--host {host}: not an address of this machine ({error.strerror})") from None
    # With the protocol named: asyncio turns Nagle's algorithm off only where it is TCP by name, and Nagle with delayed
    # acknowledgements adds 40 ms to every call on a connection that is used again.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)  # at once: until then a second bind to the same port would still succeed
    except OSError as error:
        listener.close()
        hint = "; stop what uses it, or choose another with --port (0 takes a free one)"
        raise UserError(f"{host}:{port}: cannot listen there ({error.strerror}){hint}") from None
    return listener


def _share(engines: list[TextEngine], stretch: dict[int, float]) -> None:
    from harness.servers.simulated_engine import SimulatedEngine

    SimulatedEngine.share([engine for engine in engines if isinstance(engine, SimulatedEngine)], stretch)


def _serve(
    fronts: list[tuple[TextEngine, ASGIApp, socket.socket]], loop: Callable[[], asyncio.AbstractEventLoop], answer: Any
) -> None:
    import uvicorn

    waited_for = len(fronts)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            signal.signal(signal.SIGTERM, _leave)  # uvicorn's own handler would wait for running calls
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the parent's to handle
            nonlocal waited_for
            waited_for -= 1
            if not waited_for:
                ready = [_about(engine, listener) for engine, _, listener in fronts]
                print(json.dumps(ready), file=answer, flush=True)
                answer.close()

    async def serve() -> None:
        await asyncio.gather(*(Server(_settings(app)).serve(sockets=[listener]) for _, app, listener in fronts))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(serve())


def _about(engine: TextEngine, listener: socket.socket) -> dict[str, Any]:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    model = engine.model
    return {
        "url": f"http://{shown}:{port}",
        "pid": os.getpid(),
        "model": model.name,
        "version": engine.version,
        "slots": engine.slots,
        "context_tokens": engine.context_tokens,
        "model_bytes": model.file_bytes,
        "size_bytes": model.memory_bytes,
        "size_vram_bytes": model.vram_bytes,
        "quantization": model.quantization,
        "digest": model.digest,
    }


def _settings(app: ASGIApp) -> uvicorn.Config:
    import uvicorn

    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        http="h11",  # pinned: installed extras must not change what is measured
        server_header=False,
        date_header=False,
        timeout_keep_alive=300,
    )


def _die_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _leave(*_: object) -> None:
    os._exit(0)


if __name__ == "__main__":
    main()
