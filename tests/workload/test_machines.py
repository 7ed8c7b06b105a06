"""`machine` and `machines` in a workload file: what may be written, what is wrong, and what follows for candidates."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UserError, WorkloadError
from harness.report.workload import workload_lines
from harness.workload.describe import describe
from harness.workload.load import Loaded, Overrides, load_workload
from harness.workload.machines import by_machine, started_on
from harness.workload.schema import MachineSpec

HEAD = (
    "version: 1\nname: w\npipelines: {p: {path: batch, jobs: 1, nodes: {n: {agent: {prompt: x, output_tokens: 1}}}}}\n"
)
TWO = """\
servers:
  a: {kind: ollama, model: m, url: "http://127.0.0.1:1", machine: gpu0}
  b: {kind: ollama, model: m, url: "http://127.0.0.1:2", machine: gpu1}
compare: {a: {placement: a}, b: {placement: b}}
"""


def load(folder: Path, text: str, overrides: Overrides | None = None) -> Loaded:
    path = folder / "w.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return load_workload(path, overrides)


def test_a_name_is_enough(tmp_path: Path) -> None:
    loaded = load(tmp_path, TWO)
    assert by_machine(loaded.servers) == {"gpu0": ("a",), "gpu1": ("b",)}
    assert loaded.workload.machines == {}
    lines = workload_lines(loaded, describe(loaded))
    assert any("a  ollama at http://127.0.0.1:1 on gpu0 m: slots are counted" in line for line in lines)


def test_what_is_known_of_a_machine(tmp_path: Path) -> None:
    loaded = load(tmp_path, f"{TWO}machines: {{gpu0: {{profile: epyc-2core, memory: 80 GB}}, gpu1: {{memory: 24GiB}}}}")
    machines = loaded.workload.machines
    assert machines["gpu0"] == MachineSpec(profile="epyc-2core", memory="80 GB")
    assert [spec.memory_bytes for spec in machines.values()] == [80_000_000_000, 24 * 2**30]
    assert MachineSpec().memory_bytes is None


@pytest.mark.parametrize(
    ("machines", "message"),
    [
        (
            "{gpu0: {}, gpu2: {}}",
            'w.yaml:6:67: server "b": no machine "gpu1"; did you mean "gpu2"? (all are in `machines`)\n'
            'FOLDER/w.yaml:8:22: machine "gpu2" has no server; write `machine: gpu2` at one, or remove it',
        ),
        ("{gpu0: {}, gpu1: {memory: 80}}", "w.yaml:8:37: machines.gpu1.memory: expected text, found 80"),
        (
            "{gpu0: {}, gpu1: {memory: 80 G}}",
            'w.yaml:8:37: machines.gpu1.memory: expected a size such as 80GB or 24GiB, found "80 G"',
        ),
        (
            "{gpu0: {}, gpu1: {profile: epyc-2cores}}",
            'w.yaml:8:38: machine "gpu1": no profile "epyc-2cores"; did you mean "epyc-2core"?',
        ),
        (
            "{gpu0: {}, gpu1: {memroy: 80GB}}",
            'w.yaml:8:29: unknown key "memroy" in machines.gpu1; did you mean "memory"?',
        ),
    ],
)
def test_mistakes(tmp_path: Path, machines: str, message: str) -> None:
    with pytest.raises(WorkloadError) as caught:
        load(tmp_path, f"{TWO}machines: {machines}\n")
    assert str(caught.value) == f"{tmp_path}/{message.replace('FOLDER', str(tmp_path))}"


def test_a_machine_in_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r'machine: expected a name of letters, .* found "gpu:0"'):
        load(tmp_path, TWO.replace("gpu0", '"gpu:0"'))


def test_a_server_keeps_its_machine_where_it_runs_elsewhere(tmp_path: Path) -> None:
    asked = Overrides(server_urls={"a": "http://10.0.0.7:11434"})
    spec = load(tmp_path, TWO, asked).servers["a"]
    assert (spec.address, spec.machine) == ("http://10.0.0.7:11434", "gpu0")
    managed = TWO.replace(', url: "http://127.0.0.1:1"', "").replace(', url: "http://127.0.0.1:2"', "")
    embedded = load(tmp_path, managed, Overrides(model="other")).servers["b"]
    assert (embedded.model, embedded.machine) == ("other", "gpu1")


def test_the_standard_set_stays_on_one_machine(tmp_path: Path) -> None:
    """A one-slot server elsewhere is no twin of it."""
    loaded = load(
        tmp_path,
        "servers:\n  many: {kind: llamacpp, slots: 4, machine: gpu0}\n"
        "  one: {kind: llamacpp, slots: 1, machine: gpu1}\n",
    )
    assert {spec.machine for spec in loaded.servers.values()} == {"gpu0"}
    assert loaded.derived == ("one-slot",)


def test_servers_of_two_models_on_two_machines_need_no_halves(tmp_path: Path) -> None:
    servers = (
        "servers:\n  a: {kind: llamacpp, model: small, slots: 4ON}\n"
        "  b: {kind: llamacpp, model: large, slots: 4, machine: gpu1}\n"
    )
    text = HEAD.replace("{prompt: x", "{model: large, prompt: x").replace(
        "nodes: {", "nodes: {m: {agent: {prompt: x, output_tokens: 1}}, "
    )
    path = tmp_path / "w.yaml"
    threads = {}
    for where in (", machine: gpu0", ", machine: gpu1"):
        path.write_text(text + servers.replace("ON", where), encoding="utf-8")
        found = load_workload(path)
        window = next(plan for plan in found.plans if plan.name == "window")
        threads[where] = {found.servers[queue.server].engine_threads for queue in window.queues}
    assert threads == {", machine: gpu0": {None}, ", machine: gpu1": {"half"}}


# --- servers that are started here ------------------------------------------------------------------------------------

MANAGED = """\
servers:
  a: {kind: ollama, model: m, machine: gpu0}
  b: {kind: ollama, model: m}
  c: {kind: ollama, model: m, url: "http://127.0.0.1:2", machine: gpu1}
  d: {kind: simulated, profile: epyc-2core, machine: gpu2}
compare: {a: {placement: a}, b: {placement: b}, c: {placement: c}, d: {placement: d}}
"""


def test_servers_that_are_started_here_stand_here(tmp_path: Path) -> None:
    loaded = load(tmp_path, MANAGED)
    assert started_on(loaded.servers) == {"gpu0": ("a",), None: ("b",)}
    hint = "the file names several for them (a: gpu0; b: none named): slotwise run refuses that"
    assert any(hint in text for text in describe(loaded).hints)
    alike = load(tmp_path, MANAGED.replace("b: {kind: ollama, model: m}", "b: {kind: ollama, model: m, machine: gpu0}"))
    assert not any("several for them" in text for text in describe(alike).hints)


def test_a_run_of_them_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    from harness.app.options import RunOptions
    from harness.app.run import run

    load(tmp_path, MANAGED)
    with pytest.raises(UserError, match=r"they all stand on this machine.*\(a: gpu0; b: none named\).*by `url`"):
        run(tmp_path / "w.yaml", RunOptions(out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# --- taken elsewhere --------------------------------------------------------------------------------------------------


def test_profiles_of_machines_are_copied(tmp_path: Path) -> None:
    mine = (Path(__file__).parents[2] / "profiles/epyc-2core.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.yaml").write_text(mine, encoding="utf-8")
    loaded = load(tmp_path, f"{TWO}machines: {{gpu0: {{profile: mine/a.yaml}}, gpu1: {{profile: epyc-2core}}}}\n")
    machines = loaded.resolved().machines
    assert [spec.profile for spec in machines.values()] == ["profiles/a.yaml", "epyc-2core"]
    assert {*loaded.copies()} == {"profiles/a.yaml", "profiles/epyc-2core.yaml"}
