"""What a started server looks like to the rest of the harness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["RunningServer"]


class RunningServer(NamedTuple):
    """A server that answers. `slots_asked` is what was configured; only a probe knows what it really has."""

    name: str
    kind: str  # "llamacpp", "ollama", "simulated"
    url: str
    model: str  # the name to put in requests
    slots_asked: int | None  # None: a running server that was only named by URL
    managed: bool  # started by us, to be stopped by us
    version: str  # engine name and version, for the record
    exact_queue: bool  # tells its queue wait in a response header (our own front)
    can_pin_output: bool  # honours ignore_eos
    details: dict[str, str | int | float]  # threads, batch_tokens, context_tokens, slots_logged, size_bytes, ...
    emulated: bool = False  # behind it is a model, not an engine: nothing timed there is measured
    names: Mapping[str, str] = {}  # where it serves several models: what each, as asked for, is called in requests
