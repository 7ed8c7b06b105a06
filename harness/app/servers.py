"""A server as it is named on a command line: by its URL, or by its kind and its slots."""

from __future__ import annotations

from harness.app.loops import finished
from harness.errors import UserError
from harness.servers.running import server_at
from harness.units import safe_url
from harness.workload.schema import ENGINES, LlamaCppServer, ServerSpec, kind_hint

__all__ = ["DEFAULT_MODEL", "server_named"]

DEFAULT_MODEL = str(LlamaCppServer.model_fields["model"].default)


def server_named(text: str, model: str | None) -> tuple[str, ServerSpec]:
    """Read `[NAME=]URL` or `[NAME=]KIND:SLOTS` into a name and a server.

    A running server is asked which API it speaks; without `model` the only one that it has is taken.

    Raises:
        UserError: it is neither, or a model has to be chosen.
        ServerFailure: a running server does not answer.
    """
    name, separator, rest = text.partition("=")
    if not separator or "/" in name:  # a URL may have an equals sign of its own
        name, rest = "", text
    if rest.startswith(("http://", "https://")):
        return name or safe_url(rest).split("//")[1].rstrip("/"), finished(server_at(rest, model))
    kind, colon, slots = rest.partition(":")
    if not colon or not slots.isdigit() or not 1 <= int(slots) <= 64:
        meant = f'; did you mean "http://{rest}"?' if slots.isdigit() and ("." in kind or kind == "localhost") else ""
        raise UserError(f'expected a URL or KIND:SLOTS with 1 to 64 slots, such as llamacpp:4, found "{text}"{meant}')
    if kind not in ENGINES:
        raise UserError(f'expected the kind {" or ".join(ENGINES)}, found "{kind}"{kind_hint(kind)}')
    given = {} if model is None else {"model": model}
    if ENGINES[kind].model_fields["model"].is_required() and not given:
        raise UserError(f"{rest}: expected a model, found none; choose one with --model, such as --model llama3.2")
    return name or f"{kind}-{slots}", ENGINES[kind].model_validate({"kind": kind, "slots": int(slots), **given})
