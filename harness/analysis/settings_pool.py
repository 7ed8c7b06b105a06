"""Several servers that take whatever comes, as code to copy: which of them a call goes to, and how many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.units import count

if TYPE_CHECKING:
    from harness.analysis.model import PoolUse
    from harness.analysis.settings_text import Deployment

__all__ = ["pool_blocks"]


def pool_blocks(
    places: Sequence[Deployment], pool: PoolUse, client: str, verb: str, ask: Callable[[str], Sequence[str]]
) -> list[list[str]]:
    """Return the blocks of code of a pool after the clients of its servers.

    Args:
        places: its servers, all with the same policies.
        pool: says how one of them is chosen.
        client: what the names of the clients end in.
        verb: what the function is called with, `ask` or `call`.
        ask: lines that ask one client and return the answer.
    """
    first = places[0]
    free = [place.use.slots if place.use.limit is None else place.use.limit for place in places]
    clients = ", ".join(f"{place.identifier}_{client}" for place in places)
    setup = [f"pool = [{clients}]", f"pool_free = {free}  # slots of each that nobody has"]
    key = ["    key = asyncio.get_running_loop().time() if key is None else key  # else first come, first served"]
    extra, passed = (", key=None", ", key") if first.ordered else ("", "")
    limit = "Turns" if first.ordered else "asyncio.Semaphore"
    held = ".at(key)" if first.ordered else ""
    found = "max(range(len(pool)), key=pool_free.__getitem__)"
    if pool.code == "settled":
        setup.append("pool_home = {}  # where each conversation is")
        if first.limited:
            limits = ", ".join(f"{limit}({n})" for n in free)
            setup.append(f"pool_limits = [{limits}]  # so many calls in flight at most on each")
        lines = [
            f"async def {verb}_pool(prompt, conversation{extra}):",
            '    """Ask the server that has the conversation; a new one goes to that with most free slots."""',
            *(key if first.ordered else []),
            "    if conversation not in pool_home:",
            f"        pool_home[conversation] = {found}",
            "    number = pool_home[conversation]",
            "    pool_free[number] -= 1",
            "    try:",
        ]
        inside = list(ask("pool[number]"))
        if first.limited:
            lines += [
                f"        async with pool_limits[number]{held}:",
                *(f"            {line}" for line in inside),
            ]
        else:
            lines += [f"        {line}" for line in inside]
        return [setup, [*lines, "    finally:", "        pool_free[number] += 1"]]
    lines = [
        f"async def {verb}_pool(prompt{extra}):",
        '    """Ask the server with most free slots; what finds none waits in one queue for all."""',
    ]
    indent = "    "
    if first.limited:
        setup.append(
            f"pool_limit = {limit}({sum(free)})  # {count(sum(free), 'call')} in flight at most on all of them"
        )
        lines += [*(key if first.ordered else []), f"    async with pool_limit{held}:"]
        indent += "    "
    lines += [
        f"{indent}number = {found}",
        f"{indent}pool_free[number] -= 1",
        f"{indent}try:",
        *(f"{indent}    {line}" for line in ask("pool[number]")),
        f"{indent}finally:",
        f"{indent}    pool_free[number] += 1",
    ]
    every = [
        f"async def {verb}_all_pool(prompts{extra}):",
        '    """Ask for each prompt."""',
        f"    return await asyncio.gather(*({verb}_pool(prompt{passed}) for prompt in prompts))",
    ]
    return [setup, lines, every]
