"""A kind of server that only this file knows goes the whole way: checked, predicted or refused, emulated, reported."""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
from conftest import VirtualLoop
from pydantic import Field
from quiet import Quiet
from runs.virtual_run import header

from harness.analysis.analyse import analyse
from harness.cli.check import check
from harness.core.records import ChatRequest, Reply
from harness.errors import UserError, WorkloadError
from harness.measure.session import measure
from harness.predict.simulation import predict
from harness.profiles.load import load_profile
from harness.runs.folder import RunFolder, read_run
from harness.servers import launch
from harness.servers.spec import Around, Client, Launched, RunningServer
from harness.workload.load import load_workload
from harness.workload.schema import KINDS, ServerBase, ServerSpec, Workload
from harness.workload.schema.base import Name

ANSWER_S = 1 / 8
WORKLOAD = """version: 1
name: tiny
pipelines:
  digest:
    path: batch
    jobs: 1
    nodes:
      part: {agent: {prompt: "About {item}.", output_tokens: 4, exact_output: true}, over: items}
inputs: {items: {list: [a, b, c, d]}}
servers:
  card: {kind: gpu, model: smollm2-135m, slots: 4}
measure: {repeats: 2, warmup: 0}
"""


class GpuServer(ServerBase):
    """What the file says of one: all else is as with any server."""

    kind: Literal["gpu"]
    model: str


class GpuClient:
    """Answers `ANSWER_S` after a slot is free, first come, first served; no HTTP, no ChatOllama."""

    def __init__(self, slots: asyncio.Semaphore, told: list[str]) -> None:
        self._slots = slots
        self._told = told

    async def ask(self, request: ChatRequest, zero_s: float = 0.0) -> tuple[Reply, str]:
        """Wait for a slot, then for the answer."""
        clock = asyncio.get_running_loop().time
        sent_s = clock() - zero_s
        async with self._slots:
            queue_s = clock() - zero_s - sent_s
            await asyncio.sleep(ANSWER_S)
        end_s = clock() - zero_s
        tokens = int(request.options["num_predict"])
        reply = Reply("ok", sent_s, None, end_s, prompt_tokens=8, output_tokens=tokens, queue_s=queue_s)
        return reply._replace(total_s=end_s - sent_s, load_s=0.0, prefill_s=0.0, decode_s=ANSWER_S), "yes"

    async def close(self) -> None:
        """Note it."""
        self._told.append("closed")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Add the kind as CONTRIBUTING.md says: its model to the schema and its launcher to the dict. Yield what it did."""
    events: list[str] = []

    @asynccontextmanager
    async def gpu(name: str, spec: GpuServer, around: Around) -> AsyncIterator[Launched]:
        server = RunningServer(
            name=name,
            kind=spec.kind,
            url="http://card:1",
            model=spec.model,
            slots_asked=spec.slots,
            managed=True,
            version="gpu 1",
            exact_queue=True,
            can_pin_output=True,
            details={"context_tokens": spec.context_tokens},
            emulated=True,
        )
        slots = asyncio.Semaphore(spec.slots)

        def connect(url: str, model: str) -> Client:
            assert (url, model) == (server.url, spec.model)
            return GpuClient(slots, events)

        events.append(f"{name} up")
        try:
            yield Launched(server, connect)
        finally:
            events.append(f"{name} down")

    kinds: Any = (*KINDS.values(), GpuServer)
    one_of: Any = Annotated[functools.reduce(operator.or_, kinds), Field(discriminator="kind")]
    with monkeypatch.context() as known:
        known.setitem(KINDS, "gpu", GpuServer)
        known.setitem(launch.KINDS, "gpu", gpu)
        known.setattr(Workload.model_fields["servers"], "annotation", Mapping[Name, one_of])
        Workload.model_rebuild(force=True)
        yield events
    Workload.model_rebuild(force=True)


def written(folder: Path, change: Callable[[str], str] = str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(change(WORKLOAD), encoding="utf-8")
    return path


@pytest.mark.usefixtures("told")
def test_it_is_checked_and_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check([written(tmp_path)])
    printed = capsys.readouterr().out
    assert "  card      gpu smollm2-135m: 4 slots, 2048 tokens of context each\n" in printed
    assert "  one-slot  gpu smollm2-135m: 1 slot, 2048 tokens of context each\n" in printed


@pytest.mark.usefixtures("told")
def test_its_mistakes_are_told_as_those_of_any_other(tmp_path: Path) -> None:
    path = written(tmp_path, lambda text: text.replace("slots: 4", "slotz: 4"))
    with pytest.raises(WorkloadError, match=r'unknown key "slotz" in servers\.card; did you mean "slots"\?'):
        load_workload(path)
    two = 'part: {agent: {prompt: "About {item}.", output_tokens: 4, model: other}, over: items}\n      last: '
    path = written(tmp_path, lambda text: text.replace("part: ", two, 1))
    with pytest.raises(WorkloadError, match='server "card" has one model, and nodes ask it for smollm2-135m, other'):
        load_workload(path)


@pytest.mark.usefixtures("told")
def test_it_is_predicted_or_refused_by_its_model(tmp_path: Path) -> None:
    profile = load_profile("epyc-2core", tmp_path)
    predicted = predict(load_workload(written(tmp_path)), profile, repeats=1).run
    assert {(server.kind, server.slots_found, server.url) for server in predicted.servers} == {
        ("gpu", 1, ""),
        ("gpu", 4, ""),
    }
    assert {call.origin for call in predicted.calls} == {"predicted"}
    other = load_workload(written(tmp_path, lambda text: text.replace("smollm2-135m", "another")))
    with pytest.raises(UserError, match='was measured with model "smollm2-135m", server "card" uses "another"'):
        predict(other, profile, repeats=1)


def test_it_is_run_and_reported(tmp_path: Path, told: list[str]) -> None:
    loaded, started = load_workload(written(tmp_path)), datetime(2026, 3, 4, tzinfo=UTC)
    loop = VirtualLoop()
    try:
        with RunFolder.create(tmp_path, "tiny", started) as folder:
            head = loop.run_until_complete(measure(loaded, folder, header(loaded), Quiet()))
            folder.write_header(head)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    run = read_run(folder.path)
    assert {(server.name, server.kind, server.slots_found, server.version) for server in run.servers} == {
        ("card", "gpu", 4, "gpu 1"),
        ("one-slot", "gpu", 1, "gpu 1"),
    }
    assert {call.origin for call in run.calls} == {run.origin} == {"emulated"}
    assert {(trial.candidate, trial.makespan_s) for trial in run.trials} == {
        ("serial", 4 * ANSWER_S),
        ("window", ANSWER_S),
        ("waves", ANSWER_S),
        ("unbounded", ANSWER_S),
    }
    assert sorted(told[:2]) == ["card up", "one-slot up"]
    assert sorted(told[2:]) == ["card down", "closed", "closed", "one-slot down"]
    assert {path.chosen for path in analyse(run, folder.path).paths} <= {"window", "waves", "unbounded"}


def test_the_schema_and_the_launchers_know_the_same_kinds() -> None:
    union, _ = get_args(ServerSpec)
    assert get_args(union) == tuple(KINDS.values())
    assert [get_args(kind.model_fields["kind"].annotation) for kind in KINDS.values()] == [(name,) for name in KINDS]
    assert set(launch.KINDS) == set(KINDS)
