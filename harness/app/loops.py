"""An event loop for what waits on servers, wherever the caller is: a command, a notebook, a thread of a program."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

__all__ = ["finished", "terminable"]

T = TypeVar("T")
BEGINS_S = 5.0  # longer than any thread takes to begin; an interrupt from before there is one does not wait for ever


def finished(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, as `asyncio.run` does, and also where an event loop is running already: a notebook.

    There it runs on a loop in a thread of its own, and this thread waits. Ctrl-C cancels it; what it cleans up is
    waited for.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main)
    return _in_a_thread(main)


def _in_a_thread(main: Coroutine[Any, Any, T]) -> T:
    result: Future[T] = Future()
    stop: list[Any] = []
    begun = threading.Event()

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task is not None
        stop.append((asyncio.get_running_loop(), task))
        begun.set()
        return await main

    def work() -> None:
        try:
            result.set_result(asyncio.run(cancellable()))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            result.set_exception(error)
        finally:
            begun.set()

    thread = threading.Thread(target=work, name="slotwise", daemon=True)
    try:
        thread.start()  # an interrupt may come before it returns
        found = result.result()
    except KeyboardInterrupt:
        begun.wait(BEGINS_S)
        for loop, task in stop:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(task.cancel)
        if thread.is_alive():
            thread.join()
        raise
    thread.join()
    return found


@contextmanager
def terminable() -> Iterator[None]:
    """Take a polite kill (SIGTERM), or a closed terminal (SIGHUP), for a Ctrl-C meanwhile.

    Servers are stopped, and what was measured is kept. Under nohup a closed terminal is none of our business.

    Only the main thread of a program hears signals, so elsewhere it changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is not signal.SIG_IGN]
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
