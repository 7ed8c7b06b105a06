"""`control: model`: what the (fake) model answers decides which way a live job goes; every answer is "so"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conftest import VirtualLoop
from fake_ollama import FakeOllama

from harness.core.engine import Engine
from harness.core.records import CallRecord, JobRecord
from harness.drivers.chat import Chat
from harness.drivers.live import drive
from harness.measure.sender import Endpoint, Sender
from harness.servers.spec import RunningServer
from harness.workload.load import load_workload
from harness.workload.texts import Texts, listed

TEXT = """\
version: 1
name: w
control: %s
pipelines:
  p:
    path: batch
    jobs: 3
    nodes:
      sort: {agent: {prompt: x, output_tokens: [5, 50]}, branch: {so: 0, other: 1}}
      taken:
        agent: {prompt: x, output_tokens: 5}
        after: [sort.so]
        repeat: {max: 3, until: {p: 0, when: {regex: so}}}
      not-taken: {agent: {prompt: x, output_tokens: 5}, after: [sort.other], repeat: {max: 3, until: 0}}
servers: {s: {kind: llamacpp, slots: 8}}
compare: {c: {placement: s}}
"""


def _said(text: str) -> tuple[str | None, str]:
    return None, text


def run(
    run_virtual: Callable[[Any], Any], tmp_path: Path, text: str
) -> tuple[Counter[str], list[JobRecord], list[int]]:
    """Run a workload live; return calls by node, the jobs, and the lengths that `sort` was asked for."""
    path = tmp_path / "w.yaml"
    path.write_text(text)
    loaded = load_workload(path)
    server = RunningServer("s", "llamacpp", "http://s:1", "m", 8, True, "v", True, True, {"context_tokens": 512})
    (plan,) = loaded.plans

    async def main(loop: VirtualLoop) -> tuple[list[Any], list[int]]:
        fake = FakeOllama(loop.time, lambda user: 1.0)
        chat = Chat(server.url, "m", loop.time, transport=fake.transport())
        texts = Texts(lambda *_: _said("text"), loaded.uses, loaded.loops, loaded.lists(), listed=listed)
        sender = Sender(
            plan,
            loaded.pipelines,
            {"s": Endpoint(server, chat, None)},
            loaded.agents,
            texts,
            zero_s=loop.time(),
            seed=7,
            repeat=0,
            decisions=loaded.decisions(),
        )
        records: list[Any] = []
        engine = Engine(loaded.pipelines, plan, origin="measured", seed=7)
        await drive(engine, sender, records.append, start_s=loop.time())
        return records, [served.options["num_predict"] for served in fake.served]

    records, lengths = run_virtual(main)
    jobs = [record for record in records if isinstance(record, JobRecord)]
    return Counter(record.node for record in records if isinstance(record, CallRecord)), jobs, lengths


def test_the_answers_decide(run_virtual: Callable[[Any], Any], tmp_path: Path) -> None:
    calls, jobs, lengths = run(run_virtual, tmp_path, TEXT % "model")
    assert calls == {"sort": 3, "taken": 3}  # one pass each: the first answer ends the loop
    assert [job.outcome for job in jobs] == ["ok"] * 3
    drawn = [length for length in lengths if length != 5]
    assert all(5 <= length <= 50 for length in drawn)
    assert len(set(drawn)) > 1


def test_the_draws_decide(run_virtual: Callable[[Any], Any], tmp_path: Path) -> None:
    calls, jobs, _ = run(run_virtual, tmp_path, TEXT % "draws")
    assert calls == {"sort": 3, "not-taken": 9}  # all three passes
    assert [job.outcome for job in jobs] == ["ok"] * 3


def test_an_answer_that_fits_no_rule_fails_the_job(run_virtual: Callable[[Any], Any], tmp_path: Path) -> None:
    text = (TEXT % "model").replace("{so: 0, other: 1}", "{yes: 0, other: 1}").replace("sort.so", "sort.yes")
    calls, jobs, _ = run(run_virtual, tmp_path, text)
    assert calls == {"sort": 3}
    assert {(job.outcome, job.error) for job in jobs} == {
        (
            "error",
            'node "sort": no label of its branch fits; expected yes: begins with yes; other: begins with other; '
            'found: "so"',
        )
    }


def test_a_list_that_is_none_fails_the_job(run_virtual: Callable[[Any], Any], tmp_path: Path) -> None:
    text = (TEXT % "model").split("      taken:")[0].replace(", branch: {so: 0, other: 1}", "")
    text += "      each: {agent: {prompt: '{item}', output_tokens: 5}, over: sort, items: {count: 2}, after: [sort]}\n"
    text += "servers: {s: {kind: llamacpp, slots: 8}}\ncompare: {c: {placement: s}}\n"
    _, jobs, _ = run(run_virtual, tmp_path, text)
    assert {job.error for job in jobs} == {'node "sort": expected a JSON list to fan out over; found: "so"'}
    calls, jobs, _ = run(run_virtual, tmp_path, text.replace("control: model", "control: draws"))
    assert (calls, {job.outcome for job in jobs}) == ({"sort": 3, "each": 6}, {"ok"})
