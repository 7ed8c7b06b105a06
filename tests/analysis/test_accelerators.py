"""On an accelerator: layers that spill to the CPU are said first and passed over; cores are not said."""

from __future__ import annotations

from typing import Any

from analysis.scenarios import scenario, steady

from harness.analysis.analyse import analyse
from harness.analysis.facts import BusyMachine, LayersOnCpu
from harness.analysis.rule import able
from harness.runs.model import Note, Run
from harness.wording.run_answer import run_answer
from harness.wording.said import said

WHOLE: dict[str, str | int | float] = {"size_bytes": 10_000_000_000, "size_vram_bytes": 10_000_000_000, "threads": 1}
SPILLED: dict[str, str | int | float] = {**WHOLE, "size_vram_bytes": 6_000_000_000}


def with_details(run: Run, **details: dict[str, str | int | float]) -> Run:
    """Give the servers details by the name of a server, with _ for -."""
    found = {name.replace("_", "-"): told for name, told in details.items()}
    servers = tuple(
        server._replace(details={**server.details, **found.get(server.name, WHOLE)}) for server in run.servers
    )
    return run._replace(servers=servers, machine={**run.machine, "cores": 16, "accelerator": "NVIDIA L4"})


def digests(**options: Any) -> Run:
    return scenario({"serial": steady(16), "batched": steady(8)}, **options)


def test_layers_on_the_cpu_are_said_first_and_passed_over() -> None:
    """However fast it was, as long as another one has none."""
    analysis = analyse(with_details(digests(), four_slot=SPILLED))
    (notice,) = (notice for notice in analysis.notices if isinstance(notice, LayersOnCpu))
    assert notice == LayersOnCpu("four-slot", 10_000_000_000, 6_000_000_000, ("batched",), passed_over=True)
    assert analysis.notices[0] is notice
    assert analysis.choice.candidate == "serial"
    assert analysis.paths[0].passed_over == ("batched",) and analysis.paths[0].standing == "only one"
    answer = run_answer(analysis)
    assert answer.warnings[0] == "Layers on the CPU: 40 % of four-slot's model did not fit (slow)."
    text = " ".join(line.text for one in answer.parts for line in one.lines)
    assert '"batched" has layers on the CPU, so it is excluded.' in text and "Jobs failed" not in text
    whole = said(analysis)
    assert 'Excluded, because layers of a model are on the CPU: "batched".' in str(whole)
    assert " that the model and the cache of all slots of four-slot take, 4.0 GB (40 %) did not fit" in str(whole)


def test_where_all_have_some_the_fastest_is_recommended_all_the_same() -> None:
    analysis = analyse(with_details(digests(), four_slot=SPILLED, one_slot=SPILLED))
    assert analysis.choice.candidate == "batched" and analysis.paths[0].passed_over == ()
    assert [n.passed_over for n in analysis.notices if isinstance(n, LayersOnCpu)] == [False, False]
    assert able([True, True, False], [False, True, False], [True, False, False]) == (0,)


def test_threads_mean_nothing_on_an_accelerator() -> None:
    run = digests()
    on_cores = analyse(with_details(run, four_slot={"threads": 8}, one_slot={"threads": 8}))
    assert "LLAMA_ARG_THREADS=8" in str(on_cores.choice.settings)
    on_gpu = analyse(with_details(run))
    assert on_gpu.choice.candidate == "batched" and "LLAMA_ARG_THREADS" not in str(on_gpu.choice.settings)
    assert {use.accelerator for c in on_gpu.candidates for use in c.servers} == {"NVIDIA L4"}


def test_two_servers_there_share_the_device() -> None:
    chat = {"split": steady(3), "serial": steady(9)}
    run = scenario({"split": steady(8), "serial": steady(16)}, chat)
    (settings,) = analyse(with_details(run)).choice.settings
    assert any("share NVIDIA L4 and its memory" in remark for remark in settings.remarks)
    servers = tuple(server._replace(details={"threads": 8}) for server in run.servers)
    on_cores = run._replace(servers=servers, machine={"cores": 16})
    (settings,) = analyse(on_cores).choice.settings
    assert not any("share NVIDIA" in remark for remark in settings.remarks)


def test_busy_cores_matter_where_an_engine_is_on_cores() -> None:
    run = digests()
    run = run._replace(
        trials=tuple(trial._replace(other_cores=1.0) for trial in run.trials),
        notes=(Note("busy at start", "Other programs kept 1.0 cores busy."),),
    )

    def busy(run: Run) -> list[str]:
        return [n.kind for n in analyse(run).notices if isinstance(n, BusyMachine) or n.kind == "busy at start"]

    assert busy(with_details(run, four_slot={}, one_slot={})) == ["busy machine", "busy at start"]
    assert busy(with_details(run)) == []
    assert busy(with_details(run, four_slot=SPILLED)) == ["busy machine", "busy at start"]  # the cores compute a part
