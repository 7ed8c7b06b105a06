"""A candidate as text to copy: systemd, compose, and the limit in code for asyncio, LangChain and LangGraph.

All of it is made of the same environment and the same limit. Python names always have a prefix or a suffix, so that a
server called `ollama` or `class` shadows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from harness.analysis.model import CandidateSummary, PoolUse, ServerUse
from harness.analysis.settings_order import TURNS, key_lines
from harness.analysis.settings_pool import pool_blocks
from harness.units import count

__all__ = [
    "Deployment",
    "asyncio_text",
    "compose_text",
    "langchain_text",
    "langgraph_text",
    "places_of",
    "systemd_texts",
]

FIRST_PORT = 11434  # Ollama's own
MODEL = 'MODEL = "llama3.2"  # yours, as `ollama list` names it'


class Deployment(NamedTuple):
    """A server of a candidate, and where it listens."""

    use: ServerUse
    port: int
    identifier: str  # a part of Python names
    pipelines: str  # whose calls go there, comma-separated
    several: bool  # the candidate has others

    @property
    def environment(self) -> dict[str, str]:
        """The variables that `ollama serve` reads, apart from its address."""
        use = self.use
        found = {"OLLAMA_NUM_PARALLEL": str(use.slots)}
        if use.context_tokens:
            found["OLLAMA_CONTEXT_LENGTH"] = str(use.context_tokens)
        if use.most_loaded:
            found["OLLAMA_MAX_LOADED_MODELS"] = str(use.most_loaded)
        if use.threads:
            found["LLAMA_ARG_THREADS"] = str(use.threads)
        return found

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def unit(self) -> str:
        """What the service is called: Ollama's own where there is one server or this is the first."""
        return "ollama" if self.port == FIRST_PORT else f"ollama-{self.use.server}"

    @property
    def wave(self) -> int | None:
        """Calls of a wave; None where calls are not sent in waves."""
        return self.use.limit if self.use.together and (self.use.limit or 0) > 1 else None

    @property
    def limited(self) -> bool:
        """Whether a limit in code holds calls back one by one."""
        return self.use.limit is not None and self.wave is None

    @property
    def ordered(self) -> bool:
        """Whether who waits at that limit is let in by something else than first come, first served."""
        return self.limited and self.use.key is not None

    @property
    def reserved(self) -> bool:
        """Whether batch calls have a limit of their own before that one."""
        return self.limited and self.use.batch_limit is not None

    @property
    def extra(self) -> str:
        """What a function that asks takes besides the prompt."""
        return (", key=None" if self.ordered else "") + (", batch=False" if self.reserved else "")

    @property
    def passed(self) -> str:
        """The same, handed on."""
        return (", key" if self.ordered else "") + (", batch" if self.reserved else "")


def places_of(candidate: CandidateSummary) -> tuple[Deployment, ...]:
    """Give each server of a candidate a port, from Ollama's own upwards."""
    places: list[Deployment] = []
    for number, use in enumerate(candidate.servers):
        name = use.server.replace("-", "_").lower()
        if any(place.identifier == name for place in places):
            name += f"_{number}"
        sent = [s.pipeline for s in candidate.pipelines if use.server in s.servers]
        places.append(Deployment(use, FIRST_PORT + number, name, ", ".join(sent), len(candidate.servers) > 1))
    return tuple(places)


def systemd_texts(places: Sequence[Deployment]) -> tuple[tuple[str, str], ...]:
    """Return (path, text) of a drop-in for each server; a second server is a copy of Ollama's own unit."""
    texts = []
    for place in places:
        path = f"/etc/systemd/system/{place.unit}.service.d/override.conf"
        lines = [f"# {path}"]
        if place.unit != "ollama":
            lines += [
                f"# first: sudo cp /etc/systemd/system/ollama.service /etc/systemd/system/{place.unit}.service",
                "# and: sudo systemctl daemon-reload",
            ]
        lines += [
            f"# write it: sudo systemctl edit {place.unit}.service",
            f"# then: sudo systemctl enable {place.unit} && sudo systemctl restart {place.unit}",
            "[Service]",
        ]
        environment = ({"OLLAMA_HOST": f"127.0.0.1:{place.port}"} if place.several else {}) | place.environment
        # One line: a key that occurs twice is an error to most readers of INI files, though not to systemd.
        lines.append("Environment=" + " ".join(f'"{key}={value}"' for key, value in environment.items()))
        texts.append((path, _text(lines)))
    return tuple(texts)


def compose_text(places: Sequence[Deployment]) -> str:
    """Return a compose file: a service for each server, one volume of models, nothing beyond the loopback."""
    lines = ["# compose.yaml; then: docker compose up -d", "services:"]
    for place in places:
        lines += [
            f"  {place.unit}:",
            "    image: ollama/ollama",
            "    restart: unless-stopped",
            f'    ports: ["127.0.0.1:{place.port}:11434"]',
            "    environment:",
            *(f'      {key}: "{value}"' for key, value in place.environment.items()),
            '    volumes: ["ollama:/root/.ollama"]',
            "    # gpus: all    # with an NVIDIA GPU and its container toolkit",
        ]
    return _text([*lines, "volumes:", "  ollama: {}"])


def asyncio_text(places: Sequence[Deployment], pool: PoolUse | None = None) -> str:
    """Return the limit for plain asyncio and Ollama's own client.

    `pool`: how one of the servers is chosen where each may take any call.
    """
    blocks = [[*_imports(places), "", "import ollama", "", MODEL], *_turns(places)]
    if pool:
        blocks.append([f'{place.identifier}_server = ollama.AsyncClient(host="{place.url}")' for place in places])
        return _joined([*blocks, *pool_blocks(places, pool, "server", "ask", _chat)])
    for place in places:
        name = place.identifier
        setup = [f'{name}_server = ollama.AsyncClient(host="{place.url}")', *_limit(place)]
        chat = f'{name}_server.chat(model=MODEL, messages=[{{"role": "user", "content": prompt}}])'
        ask = [f"async def ask_{name}(prompt{place.extra}):", f'    """Ask {_whom(place)}."""']
        ask += _held(place, f"reply = await {chat}")
        ask.append("    return reply.message.content")
        together = f"await asyncio.gather(*(ask_{name}(prompt{place.passed}) for prompt in "
        blocks += [setup, *_key(place), ask, _ask_all(place, f"{together}prompts))", f"{together}%s))")]
    return _joined(blocks)


def langchain_text(places: Sequence[Deployment], pool: PoolUse | None = None) -> str:
    """Return the limit for LangChain: `max_concurrency` of a batch, which knows no order, reserve or other server."""
    if pool:
        return _joined(_models_in_a_pool(places, pool))
    special = any(place.ordered or place.reserved for place in places)
    head = [*(_imports(places) if special else []), *([""] if special else [])]
    blocks = [[*head, "from langchain_ollama import ChatOllama", "", MODEL], *_turns(places)]
    for place in places:
        n, name = place.use.limit, place.identifier
        setup = [f'{name}_model = ChatOllama(model=MODEL, base_url="{place.url}")']
        if place.ordered or place.reserved:
            call = [f"async def call_{name}(prompt{place.extra}):", f'    """Call {_whom(place)}."""']
            call += _held(place, f"return await {name}_model.ainvoke(prompt)")
            together = f"await asyncio.gather(*(call_{name}(prompt{place.passed}) for prompt in prompts))"
            blocks += [[*setup, *_limit(place)], *_key(place), call, _ask_all(place, together, "")]
            continue
        if place.limited:
            setup += [
                "# Each batch counts for itself: where several may run at the same time, put one",
                f"# asyncio.Semaphore({n}) around every {name}_model.ainvoke instead.",
            ]
        config = f', config={{"max_concurrency": {n}}}' if place.limited else ""
        blocks += [
            setup,
            _ask_all(place, f"await {name}_model.abatch(prompts{config})", f"await {name}_model.abatch(%s)"),
        ]
    return _joined(blocks)


def _chat(client: str) -> tuple[str, ...]:
    message = '[{"role": "user", "content": prompt}]'
    return f"reply = await {client}.chat(model=MODEL, messages={message})", "return reply.message.content"


def _models_in_a_pool(places: Sequence[Deployment], pool: PoolUse) -> list[list[str]]:
    head = [*_imports(places), "", "from langchain_ollama import ChatOllama", "", MODEL]
    models = [f'{place.identifier}_model = ChatOllama(model=MODEL, base_url="{place.url}")' for place in places]
    blocks = pool_blocks(places, pool, "model", "call", lambda client: (f"return await {client}.ainvoke(prompt)",))
    return [head, *_turns(places), models, *blocks]


def langgraph_text(places: Sequence[Deployment], pool: PoolUse | None = None) -> str:
    """Return the limit for LangGraph: `max_concurrency` of an invocation, and one that holds for all of them."""
    if pool:
        run = ["async def run(graph, state):", '    """Run a compiled graph whose nodes call the pool once."""']
        return _joined([*_models_in_a_pool(places, pool), [*run, "    return await graph.ainvoke(state)"]])
    limited = any(place.use.limit is not None for place in places)
    head = [*(_imports(places) if limited else []), *([""] if limited else [])]
    blocks = [[*head, "from langchain_ollama import ChatOllama", "", MODEL], *_turns(places)]
    for place in places:
        n, name = place.use.limit, place.identifier
        setup = [f'{name}_model = ChatOllama(model=MODEL, base_url="{place.url}")']
        call = [f"async def call_{name}(prompt{place.extra}):", f'    """Call {_whom(place)} from a node."""']
        if n is None:
            call.append(f"    return await {name}_model.ainvoke(prompt)")
        else:
            over = "  # over all nodes, graphs and invocations"
            setup += _limit(place) if place.limited else [f"{name}_limit = asyncio.Semaphore({n}){over}"]
            call += _held(place, f"return await {name}_model.ainvoke(prompt)", waves_too=True)
        blocks += [setup, *_key(place), call]
    (place, *others) = places
    n = place.use.limit
    if others or n is None or place.ordered or place.reserved:
        why = (
            "count the nodes of all servers together"
            if others
            else "hold back what need not be"
            if n is None
            else "let nodes in first come, first served"
        )
        run = [f"    # No max_concurrency: it would {why}.", "    return await graph.ainvoke(state)"]
    else:
        run = [
            "    # So many nodes at once, in this invocation; enough by itself where there is one at a time and nodes",
            "    # do nothing but call.",
            f'    return await graph.ainvoke(state, config={{"max_concurrency": {n}}})',
        ]
    blocks.append(["async def run(graph, state):", '    """Run a compiled graph once."""', *run])
    return _joined(blocks)


def _imports(places: Sequence[Deployment]) -> list[str]:
    ordered, reserved = (any(getattr(place, what) for place in places) for what in ("ordered", "reserved"))
    wanted = ["asyncio", *(["contextlib"] if ordered or reserved else []), *(["heapq", "itertools"] if ordered else [])]
    return [f"import {name}" for name in wanted]


def _turns(places: Sequence[Deployment]) -> list[list[str]]:
    return [list(TURNS)] if any(place.ordered for place in places) else []


def _limit(place: Deployment) -> list[str]:
    """Return what makes the limit of a server, and that of its batch calls where they have one."""
    if not place.limited:
        return []
    n, name = place.use.limit, place.identifier
    about = f"{count(n or 0, 'call')} in flight at most, over all lists, nodes and graphs"
    if place.ordered:
        lines = [f"{name}_limit = Turns({n})  # {about}; the lowest key first"]
    else:
        lines = [f"{name}_limit = asyncio.Semaphore({n})  # {about}"]
    if place.reserved:
        most = place.use.batch_limit
        lines.append(f"{name}_batch_limit = asyncio.Semaphore({most})  # batch calls take this one first")
    return lines


def _key(place: Deployment) -> list[list[str]]:
    return [key_lines(place.use.key, place.identifier)] if place.ordered and place.use.key else []


def _held(place: Deployment, line: str, *, waves_too: bool = False) -> list[str]:
    """Return one line of a function's body within the limit of its server."""
    if not (place.limited or waves_too):
        return [f"    {line}"]
    name = place.identifier
    limit = f"{name}_limit.at(key)" if place.ordered else f"{name}_limit"
    before = []
    if place.ordered:
        before = [
            "    key = asyncio.get_running_loop().time() if key is None else key  # else first come, first served"
        ]
    if place.reserved:
        limit = f"{name}_batch_limit if batch else contextlib.nullcontext(), {limit}"
    return [*before, f"    async with {limit}:", f"        {line}"]


def _ask_all(place: Deployment, at_once: str, of_a_wave: str) -> list[str]:
    """Return the function that asks for all of a list; `of_a_wave` has a %s for the part of it that goes together."""
    head = f"async def ask_all_{place.identifier}(prompts{place.extra}):"
    if place.wave is None:
        how = (
            "all at once: the server's own queue decides" if place.use.limit is None else "the next as soon as one ends"
        )
        return [head, f'    """Ask {_whom(place)} for each prompt, {how}."""', f"    return {at_once}"]
    return [
        head,
        f'    """Ask {_whom(place)} for each prompt, {place.wave} together, and wait for all of them."""',
        "    replies = []",
        f"    for start in range(0, len(prompts), {place.wave}):",
        f"        replies += {of_a_wave % f'prompts[start : start + {place.wave}]'}",
        "    return replies",
    ]


def _whom(place: Deployment) -> str:
    return f"{place.use.server} ({place.pipelines})" if place.pipelines else place.use.server


def _joined(blocks: Sequence[Sequence[str]]) -> str:
    """Put two blank lines around functions and one between the rest."""
    text = ""
    for before, block in pairwise([[], *blocks]):
        gap = 0 if not before else 2 if _defines(before) or _defines(block) else 1
        text += "\n" * gap + _text(block)
    return text


def _defines(block: Sequence[str]) -> bool:
    return block[0].startswith(("async def ", "def ", "class "))


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
