"""What a server of a workload says of its engine's levers (`harness.core.levers`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from harness.core.levers import LEVERS, Lever, lever_value
from harness.workload.schema.base import FrozenDict, mistake

__all__ = ["LeverTable", "check_levers"]


def _kept(value: object) -> object:
    """Return levers as they are kept, by name; of anything that is no mapping pydantic says what is wrong."""
    if not isinstance(value, Mapping):
        return value
    found: dict[str, str] = {}
    for name, said in value.items():
        try:
            found[str(name)] = lever_value(str(name), said)
        except ValueError as error:
            raise mistake(str(error), str(name)) from None
    return found


def _values(lever: Lever) -> dict[str, Any]:
    """What an editor offers; readers of YAML differ in whether `off` is a text or a boolean."""
    if not lever.values:
        return {"type": "integer", "minimum": 1}
    if lever.takes_file:
        return {"anyOf": [{"enum": _enum(lever)}, {"type": "string", "pattern": "\\.gguf$"}]}
    return {"enum": _enum(lever)}


def _enum(lever: Lever) -> list[str | bool]:
    return [*lever.values, *({"on": True, "off": False}[v] for v in lever.values if v in ("on", "off"))]


LeverTable = Annotated[
    Mapping[str, str],
    BeforeValidator(_kept),
    AfterValidator(FrozenDict),
    Field(
        json_schema_extra={
            "properties": {lever.name: {"description": lever.about, **_values(lever)} for lever in LEVERS.values()},
            "additionalProperties": False,
        }
    ),
]


def check_levers(levers: Mapping[str, str], running: bool, by_variable: bool, batch_tokens: int | None) -> None:
    """Raise a mistake where a server cannot be started with its levers.

    Args:
        levers: of the server.
        running: it is there already.
        by_variable: it is told its levers by environment variables.
        batch_tokens: of one step of its engine; None = not known.
    """
    if levers and running:
        raise mistake(
            "levers are variables of the server's process, and this one runs already (`url`): start it with them, or "
            "leave `url` out",
            "levers",
        )
    for name, value in levers.items():
        if by_variable and not LEVERS[name].variables:
            raise mistake(f"{name}: {LEVERS[name].instead}", "levers", name)
        if by_variable and value not in LEVERS[name].variables:
            raise mistake(
                f"{name}: Ollama takes no file for it; expected {' or '.join(LEVERS[name].variables)}, or use the "
                "embedded engine (kind: llamacpp)",
                "levers",
                name,
            )
    if batch_tokens is not None and int(levers.get("micro_batch", batch_tokens)) > batch_tokens:
        raise mistake(f"micro_batch: expected at most the {batch_tokens} of `batch_tokens`", "levers", "micro_batch")
