"""The embedded engine: llama.cpp's own server loop from the `xllamacpp` wheel, behind the front's seam.

The wheel runs llama-server's scheduler in this process. Its calls block a thread each (without the GIL), so
there is a pool of one thread per slot, and the front's FIFO never has more calls than that in here. It also
insists on an HTTP listener of its own: that is put on a Unix socket whose path is removed at once, so that
nothing reaches the engine except through the front.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.levers import RAM_CACHE_BYTES, is_file, kv_share
from harness.errors import ServerFailure
from harness.servers.front.engine import Cached, EngineError, Final, GenerateRequest, Model, Piece, Thought
from harness.servers.gguf import Gguf, read_gguf

__all__ = ["LlamaCppConfig", "LlamaCppEngine", "describe"]


class LlamaCppConfig(NamedTuple):
    """How to load a model; everything that could differ behind one's back between two servers is pinned."""

    model_name: str
    model_path: str
    slots: int
    context_tokens: int  # of one slot
    batch_tokens: int  # logical and physical batch
    threads: int  # of prompt processing and of generation
    levers: Mapping[str, str] = {}  # `harness.core.levers`; of those left out the RAM cache and unified KV are off


def describe(name: str, path: Path, gguf: Gguf, memory_bytes: int, vram_bytes: int) -> Model:
    """Return what the front tells about a GGUF file."""
    modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Model(
        name=name,
        digest=gguf.digest,
        modified_at=modified.isoformat().replace("+00:00", "Z"),
        file_bytes=gguf.file_bytes,
        memory_bytes=memory_bytes,
        vram_bytes=vram_bytes,
        family=gguf.architecture,
        parameter_size=_parameter_size(gguf.parameters),
        quantization=gguf.quantization,
        template=gguf.chat_template,
        thinking="enable_thinking" in gguf.chat_template,
        info=gguf.metadata | {"general.parameter_count": gguf.parameters},
    )


def _parameter_size(parameters: int) -> str:
    """Format as Ollama does: 134.52M, 8.0B."""
    if parameters >= 1_000_000_000:
        return f"{parameters / 1e9:.1f}B"
    return f"{parameters / 1e6:.2f}M" if parameters else ""


class LlamaCppEngine:
    """A loaded model with `slots` slots of `context_tokens` each."""

    def __init__(self, config: LlamaCppConfig) -> None:
        path = Path(config.model_path)
        gguf = read_gguf(path)  # a wrong file is told before the native loader, whose message is a null pointer
        try:
            import xllamacpp
        except ImportError as error:
            raise ServerFailure(
                f"the embedded engine cannot be loaded ({error}); do: pip install 'slotwise[local]'"
            ) from None
        trained = gguf.context_tokens or config.context_tokens
        self.slots = config.slots
        self.context_tokens = min(config.context_tokens, trained)
        self.version = f"xllamacpp {xllamacpp.__version__}"
        self.emulated = False
        self._server = _load(xllamacpp, config, self.context_tokens)
        on_gpu = any(not d["type"].name.endswith("_CPU") for d in xllamacpp.get_device_info())
        kv_bytes = round(gguf.kv_bytes_per_token * kv_share(config.levers))
        memory_bytes = gguf.file_bytes + kv_bytes * self.context_tokens * config.slots
        self.model = describe(config.model_name, path, gguf, memory_bytes, memory_bytes if on_gpu else 0)
        self._pool = ThreadPoolExecutor(config.slots, thread_name_prefix="slot")

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Piece, None]:
        """Yield what the engine says; an early close returns when its thread is free again."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Piece | EngineError] = asyncio.Queue()

        def push(piece: Piece | EngineError) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        run = _Run(request, push)
        ended = loop.run_in_executor(self._pool, run, self._server)
        try:
            while True:
                piece = await pieces.get()
                if isinstance(piece, EngineError):
                    raise piece
                yield piece
                if isinstance(piece, Final):
                    return
        finally:
            run.cancelled = True
            await ended


def _load(xllamacpp: Any, config: LlamaCppConfig, context_tokens: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = config.model_path
    params.n_parallel = config.slots
    params.n_ctx = context_tokens * config.slots  # llama.cpp divides it by the slots
    params.n_batch = params.n_ubatch = config.batch_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = config.threads
    _pull(xllamacpp, params, config, context_tokens)
    params.warmup = True
    params.verbosity = 1  # errors only
    params.ui = False
    params.endpoint_slots = False
    folder = _socket_folder()
    params.hostnames = [str(folder / "engine.sock")]
    try:
        return xllamacpp.Server(params)
    except Exception as error:  # noqa: BLE001 - native code; whatever it raises, the model did not load
        raise ServerFailure(f"{config.model_path}: the engine could not load it ({error})") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pull(xllamacpp: Any, params: Any, config: LlamaCppConfig, context_tokens: int) -> None:
    """Set what levers set."""
    levers = config.levers
    cached = levers.get("ram_cache") == "on"  # else no copies of idle prompts on the decode thread
    params.cache_ram_mib = RAM_CACHE_BYTES >> 20 if cached else 0
    params.cache_idle_slots = cached
    params.kv_unified = levers.get("kv_unified") == "on"
    if params.kv_unified:
        params.kv_unified_per_slot = context_tokens  # no slot takes the room of another one
    if "flash_attention" in levers:
        modes = xllamacpp.llama_flash_attn_type
        on = levers["flash_attention"] == "on"
        params.flash_attn_type = modes.LLAMA_FLASH_ATTN_TYPE_ENABLED if on else modes.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if "kv_type" in levers:
        kind = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{levers['kv_type'].upper()}")
        params.cache_type_k = params.cache_type_v = kind
    if "micro_batch" in levers:
        params.n_ubatch = int(levers["micro_batch"])
    if (guessed := levers.get("speculation", "off")) != "off":
        kinds = xllamacpp.common_speculative_type
        if is_file(guessed):
            params.speculative.draft.mparams.path = guessed
            params.speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        else:
            params.speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]


def _socket_folder() -> Path:
    """Make a private folder named after this process, and remove those of processes that were killed while loading."""
    parent = Path(tempfile.gettempdir())
    for left in parent.glob("slotwise-engine-*"):
        pid = left.name.rpartition("-")[2]
        if pid.isdecimal() and not _alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"slotwise-engine-{os.getpid()}"
    folder.mkdir(mode=0o700)
    return folder


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


class _Run:
    """One call in a thread of the pool: the request goes in as JSON, pieces go to the event loop."""

    def __init__(self, request: GenerateRequest, push: Callable[[Piece | EngineError], None]) -> None:
        self.cancelled = False
        self._request = request
        self._push = push
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._reason = "stop"
        self._ended = False
        self._told_cached = False

    def __call__(self, server: Any) -> None:
        if self.cancelled:
            return
        chat = self._request.messages is not None
        handle = server.handle_chat_completions if chat else server.handle_completions
        try:
            handle(json.dumps(_body(self._request)).encode(), self._on_chunk)
        except ValueError as error:  # how the engine says that it does not like the request
            self._fail(400, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, one call failed and the server goes on
            self._fail(500, f"the engine failed: {error}")
        if not self._ended and not self.cancelled:
            self._fail(500, "the engine ended without a result")

    def _fail(self, status: int, message: str) -> None:
        if not self._ended:
            self._ended = True
            self._push(EngineError(status, message))

    def _on_chunk(self, data: bytes) -> bool:
        """Take one JSON chunk; True tells the engine to stop."""
        if self.cancelled:
            return True
        chunk = json.loads(data)
        error = chunk.get("error")
        if error:
            self._fail(int(error.get("code", 500)), str(error.get("message", error)))
            return True
        progress = chunk.get("prompt_progress")
        if progress and not self._told_cached:
            self._told_cached = True
            self._push(Cached(progress["cache"]))
        choices, timings = chunk.get("choices") or [], chunk.get("timings")
        if choices:
            choice = choices[0]
            delta = choice.get("delta")
            text = delta.get("content") if delta is not None else choice.get("text")
            thought = delta.get("reasoning_content") if delta else None
            if text and timings and timings["predicted_n"] <= self._request.thinking_tokens:
                text, thought = None, text
            if text:
                if self._request.stream:
                    self._push(text)
                else:
                    self._texts.append(text)
            elif thought:
                if self._request.stream:
                    self._push(Thought(thought))
                else:
                    self._thoughts.append(thought)
            self._reason = choice.get("finish_reason") or self._reason
        if timings and not self._goes_on(choices):
            self._finish(timings)
        return False

    def _goes_on(self, choices: list[dict[str, Any]]) -> bool:
        """Tell whether timings are only those so far: they come with every piece where thinking is to be counted."""
        return self._request.thinking_tokens > 0 and any(not choice.get("finish_reason") for choice in choices)

    def _finish(self, timings: dict[str, Any]) -> None:
        if self._thoughts:
            self._push(Thought("".join(self._thoughts)))
        if self._texts:
            self._push("".join(self._texts))
        self._ended = True
        self._push(
            Final(
                reason="length" if self._reason == "length" else "stop",
                prompt_tokens=timings["cache_n"] + timings["prompt_n"],
                cached_tokens=timings["cache_n"],
                prompt_ns=round(timings["prompt_ms"] * 1e6),
                output_tokens=timings["predicted_n"],
                # one token has no second one to measure to; the engine says 1 us then, to divide by
                output_ns=round(timings["predicted_ms"] * 1e6) if timings["predicted_n"] > 1 else 0,
            )
        )


def _body(request: GenerateRequest) -> dict[str, Any]:
    """Return llama-server's request for ours; the sampling options have the same names."""
    body = request.options | {
        "n_predict": request.num_predict,
        "stream": True,  # also for whole replies: only a stream can be stopped
        "stream_options": {"include_usage": True},
        "ignore_eos": request.ignore_eos,
        "cache_prompt": request.cache_prompt,
        "timings_per_token": request.thinking_tokens > 0,  # tells how many tokens there are by now
        "return_progress": request.stream and request.cache_prompt,  # tells what was cached before the first token
    }
    if request.messages is None:
        body["prompt"] = request.prompt
    else:
        body["messages"] = request.messages
    if request.think is not None:
        body["chat_template_kwargs"] = {"enable_thinking": request.think}
    if request.format == "json":
        body["response_format"] = {"type": "json_object"}
    elif request.format is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"schema": request.format}}
    return body
