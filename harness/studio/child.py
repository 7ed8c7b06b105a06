"""A worker: `python -m harness.studio.child`, questions on stdin, answers on stdout, one after the other.

A message is its length in four bytes and then JSON. The process ends when its stdin closes, however its parent died.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from harness.app.look import begun
from harness.studio import api
from harness.studio.work import DesignPlace, answer

__all__ = ["main", "read_message", "write_message"]


def read_message(stream: BinaryIO) -> bytes | None:
    """Return the next message; None where there is no more."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    body = stream.read(length)
    return body if len(body) == length else None


def write_message(stream: BinaryIO, body: bytes) -> None:
    """Write a message."""
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


def _answered(body: bytes) -> bytes:
    """Answer a message. Whatever goes wrong is an answer: the page has to say it."""
    asked: dict[str, Any] = json.loads(body)
    form, answered = api.QUESTIONS[asked["name"]]
    question = form.model_validate(asked["asked"])
    place = DesignPlace(Path(asked["file"]), tuple(asked["profiles"]))

    def short(state: api.State, message: str) -> bytes:
        return (
            answered(tab=question.tab, version=question.version, state=state, message=message)
            .model_dump_json()
            .encode()
        )

    try:
        return answer(asked["name"], question, place).model_dump_json().encode()
    except MemoryError:
        return short("failed", "there is not enough memory for it; make the workload smaller")
    except Exception as error:  # noqa: BLE001 - a mistake of ours, which must not end the workbench
        return short("failed", f"{type(error).__name__}: {error}")


def _warm() -> None:
    """Load everything that a question needs, and build every model, before the first one comes."""
    place, text = DesignPlace(Path("warm.yaml")), begun(None).text
    machine = api.MachineAsked(profiles=("epyc-2core",))
    first = api.FiguresAsked(tab="warm", version=0, text=text, machine=machine, stage="preliminary")
    answer("look", api.LookAsked(tab="warm", version=0, text=text), place)
    answer("figures", first, place).model_dump_json()


def main() -> None:
    """Answer until stdin closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    told = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anything prints is no answer
    _warm()
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000)
    write_message(told, b"{}")  # ready
    while (body := read_message(sys.stdin.buffer)) is not None:
        write_message(told, _answered(body))


if __name__ == "__main__":
    main()
