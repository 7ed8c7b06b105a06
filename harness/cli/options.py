"""The options of commands that measure, and what of them changes the workload. Nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from harness.errors import UserError, did_you_mean
from harness.units import safe_url
from harness.workload.load import Overrides

__all__ = ["Options", "check_fail_on", "overrides_of"]

FAIL_ON = ("goals", "failures")


class Options(NamedTuple):
    """The options of `slotwise run`."""

    out: Path
    repeats: int | None
    warmup: int | None
    scale: int
    only: tuple[str, ...]
    engine: str | None
    model: str | None
    servers: tuple[str, ...]
    seed: int | None
    fail_on: tuple[str, ...]
    as_json: bool


def check_fail_on(names: tuple[str, ...]) -> None:
    """Raise UserError where `--fail-on` names something unknown."""
    for name in names:
        if name not in FAIL_ON:
            allowed = ", ".join(FAIL_ON)
            raise UserError(f'--fail-on: expected one of {allowed}, found "{name}"{did_you_mean(name, FAIL_ON)}')


def overrides_of(options: Options) -> Overrides:
    """Return what the command line changes in the workload."""
    return Overrides(
        engine=options.engine,
        model=options.model,
        server_urls=_server_urls(options.servers),
        repeats=options.repeats,
        warmup=options.warmup,
        scale=options.scale,
        seed=options.seed,
        only=options.only,
    )


def _server_urls(pairs: tuple[str, ...]) -> dict[str, str]:
    urls = {}
    for pair in pairs:
        name, separator, url = pair.partition("=")
        if not (name and separator and url):
            raise UserError(
                f'--server: expected NAME=URL, such as four-slot=http://127.0.0.1:11434, found "{safe_url(pair)}"'
            )
        urls[name] = url
    return urls
