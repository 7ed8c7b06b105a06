"""What `slotwise probe` does, apart from its options."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from rich.console import Console

from harness.analysis.ladder import Ladder
from harness.errors import UserError, did_you_mean
from harness.measure.probe import measure_ladder
from harness.measure.progress import Progress
from harness.measure.session import opened
from harness.report.charts import ladder_chart, to_svg
from harness.report.ladder import ladder_report
from harness.report.progress import progress_for
from harness.report.summary import to_plain
from harness.units import safe_url
from harness.workload.schema import ENGINES, LlamaCppServer, OllamaServer, ServerSpec

__all__ = ["probe_servers", "server_of"]

MOST_SERVERS = 2
MOST_AT_ONCE = 128
DEFAULT_MODEL = str(LlamaCppServer.model_fields["model"].default)


def server_of(text: str, model: str | None) -> tuple[str, ServerSpec]:
    """Read `[NAME=]URL` or `[NAME=]KIND:SLOTS` into a name and a server; UserError where it is neither."""
    name, separator, rest = text.partition("=")
    if not separator or "/" in name:  # a URL may have an equals sign of its own
        name, rest = "", text
    if rest.startswith(("http://", "https://")):
        if model is None:
            raise UserError(f"{safe_url(rest)}: which model? Name one that the server has with --model")
        return name or safe_url(rest).split("//")[1].rstrip("/"), OllamaServer(kind="ollama", model=model, url=rest)
    kind, colon, slots = rest.partition(":")
    if not colon or not slots.isdigit() or not 1 <= int(slots) <= 64:
        meant = f'; did you mean "http://{rest}"?' if slots.isdigit() and ("." in kind or kind == "localhost") else ""
        raise UserError(f'expected a URL or KIND:SLOTS with 1 to 64 slots, such as llamacpp:4, found "{text}"{meant}')
    if kind not in ENGINES:
        raise UserError(f'expected the kind {" or ".join(ENGINES)}, found "{kind}"{did_you_mean(kind, ENGINES)}')
    given = {} if model is None else {"model": model}
    if ENGINES[kind].model_fields["model"].is_required() and not given:
        raise UserError(f"{rest}: which model? Name one with --model")
    return name or f"{kind}-{slots}", ENGINES[kind].model_validate({"kind": kind, "slots": int(slots), **given})


def probe_servers(
    servers: tuple[str, ...],
    model: str | None,
    *,
    tokens: int,
    rungs: str,
    rounds: int,
    chart: Path | None,
    as_json: bool,
) -> None:
    """Measure one or two ladders and show them side by side."""
    if len(servers) > MOST_SERVERS:
        raise UserError(f"expected one or two servers, found {len(servers)}")
    specs = dict(server_of(text, model) for text in servers)
    if len(specs) < len(servers):
        raise UserError("both servers have the same name; name them apart: everyday=URL other=ollama:4")
    try:
        at_once = sorted({int(rung) for rung in rungs.split(",")})
    except ValueError:
        at_once = []
    if not at_once or at_once[0] < 1 or at_once[-1] > MOST_AT_ONCE:
        raise UserError(f'--rungs: expected numbers from 1 to {MOST_AT_ONCE}, such as 1,2,4,8, found "{rungs}"')
    with progress_for(sys.stderr) as progress:
        ladders = asyncio.run(_measure(specs, progress, tuple(at_once), tokens, rounds))
    if chart is not None:
        try:
            chart.write_text(to_svg(ladder_chart(ladders)), encoding="utf-8")
        except OSError as error:
            raise UserError(f"{chart}: the chart cannot be written: {error.strerror}") from error
    if as_json:
        print(json.dumps([to_plain(ladder) for ladder in ladders], indent=2))
    else:
        Console(highlight=False).print(ladder_report(ladders))


async def _measure(
    specs: dict[str, ServerSpec], progress: Progress, rungs: tuple[int, ...], tokens: int, rounds: int
) -> list[Ladder]:
    """One server after the other, so that neither disturbs the other."""
    ladders = []
    for name, spec in specs.items():
        async with opened(name, spec, progress) as endpoint:
            ladders.append(await measure_ladder(endpoint, progress, rungs=rungs, tokens=tokens, rounds=rounds))
    return ladders
