"""Servers on different machines do not slow each other; profiles go by machine. Worked by hand on a paper profile."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from predict.paper import PROFILE

from harness.analysis.analyse import analyse
from harness.cli.app import _main
from harness.core.records import CallRecord
from harness.errors import UserError
from harness.predict.resampling import with_resampling
from harness.predict.servers import Profiles
from harness.predict.simulation import Prediction, predict
from harness.profiles.load import load_profile
from harness.profiles.schema import Profile
from harness.wording.said import said
from harness.workload.load import Loaded, load_workload

# Two batch pipelines that begin at once, each a chain of calls on a server of its own.
WORKLOAD = """
version: 1
name: two
pipelines:
  left: {path: batch, jobs: 3, nodes: {a: {agent: {prompt: "TEXT", output_tokens: 5}}}}
  right: {path: batch, jobs: 2, nodes: {b: {agent: {prompt: "TEXT", output_tokens: 9}}}}
servers:
  one: {kind: ollama, model: none, slots: 1, url: "http://127.0.0.1:1", ON_ONE}
  two: {kind: ollama, model: none, slots: 2, url: "http://127.0.0.1:2", ON_TWO}
compare:
  both: {placement: {left: one, right: two}, concurrency: unbounded}
""".replace("TEXT", "0123456789abcdef" * 4)
SHARED = PROFILE.replace("contention: null", "contention: {2: 1.5}")
NOISY = PROFILE.replace("after_s: 0}", "after_s: 0, noise: 0.1}")


def profile(folder: Path, text: str, name: str = "dyadic") -> Profile:
    path = folder / f"{name}.yaml"
    path.write_text(text.replace("name: dyadic", f"name: {name}"), encoding="utf-8")
    return load_profile(str(path))


def loaded(folder: Path, one: str = "", two: str = "", text: str = WORKLOAD) -> Loaded:
    path = folder / "two.yaml"
    on = {"ON_ONE": one, "ON_TWO": two}
    for key, machine in on.items():
        text = text.replace(f", {key}", f", machine: {machine}" if machine else "")
    path.write_text(text, encoding="utf-8")
    return load_workload(path)


def ends(prediction: Prediction, pipeline: str) -> list[float | None]:
    return [call.reply.end_s for call in prediction.run.calls if call.pipeline == pipeline]


def times(prediction: Prediction) -> list[tuple[Any, ...]]:
    def of_call(call: CallRecord) -> tuple[Any, ...]:
        return call.pipeline, call.job, call.server, call.reply

    return [of_call(call) for call in prediction.run.calls]


@pytest.mark.parametrize("text", [PROFILE, SHARED], ids=["no contention", "contention"])
def test_two_servers_on_two_machines_are_each_as_if_alone(tmp_path: Path, text: str) -> None:
    paper = profile(tmp_path, text)
    apart = predict(loaded(tmp_path, "gpu0", "gpu1"), paper, repeats=1)
    # A prompt of 16 tokens in 1/8 s, then four steps of 1/8 s, one call after the other.
    assert ends(apart, "left") == [0.625, 1.25, 1.875]
    # Both prompts in one step of 2/8 s, then eight steps of two.
    assert ends(apart, "right") == [0.25 + 8 * 0.1875] * 2


def test_two_servers_on_one_machine_slow_each_other(tmp_path: Path) -> None:
    paper = profile(tmp_path, SHARED)
    together = predict(loaded(tmp_path, "host", "host"), paper, repeats=1)
    assert ends(together, "right") == [1.5 * (0.25 + 8 * 0.1875)] * 2  # the other is busy all the while
    unnamed = predict(loaded(tmp_path), paper, repeats=1)
    assert times(together) == times(unnamed)
    by_halves = predict(loaded(tmp_path, "host"), paper, repeats=1)  # one is named, the other is elsewhere
    assert ends(by_halves, "left") == [0.625, 1.25, 1.875]


def test_two_on_one_machine_and_one_elsewhere(tmp_path: Path) -> None:
    """The two slow each other as ever, to the last bit, and the third is as if alone."""
    third = '  third: {kind: ollama, model: none, slots: 1, url: "http://127.0.0.1:3", machine: gpu2}\ncompare:'
    nodes = "  more: {path: batch, jobs: 3, nodes: {c: {agent: {prompt: "
    text = WORKLOAD.replace("compare:", third).replace("right: two}", "right: two, more: third}")
    text = text.replace("servers:", f'{nodes}"{"0123456789abcdef" * 4}", output_tokens: 5}}}}}}}}\nservers:')
    paper = profile(tmp_path, SHARED)
    three = predict(loaded(tmp_path, "host", "host", text), paper, repeats=1)
    two = predict(loaded(tmp_path, "host", "host"), paper, repeats=1)
    assert [time for time in times(three) if time[0] != "more"] == times(two)
    assert ends(three, "more") == [0.625, 1.25, 1.875]


def test_noise_is_that_of_a_server_alone(tmp_path: Path) -> None:
    paper = profile(tmp_path, NOISY)
    apart = predict(loaded(tmp_path, "gpu0", "gpu1"), paper, repeats=3)
    alone = WORKLOAD.replace("left: one, right: two}", "left: one, right: one}")
    with_right = predict(
        loaded(tmp_path, "gpu0", "", alone.replace("jobs: 2", "jobs: 1, after: left")), paper, repeats=3
    )
    first = [call.reply for call in with_right.run.calls if call.pipeline == "left"]
    assert [call.reply for call in apart.run.calls if call.pipeline == "left"] == first


def test_without_machines_many_servers_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not say how 2 busy servers .* name their machines \(`machine`\)"):
        predict(loaded(tmp_path), profile(tmp_path, PROFILE), repeats=1)


FOUR_GPUS = """
version: 1
name: four-gpus
pipelines:
  users:
    path: interactive
    jobs: 8
    arrival: {closed: 8, think_s: 1}
    nodes: {reply: {agent: {prompt: "TEXT", output_tokens: 5}}}
servers:
  g0: {kind: ollama, model: none, slots: 2, url: "http://127.0.0.1:11500", machine: gpu0}
  g1: {kind: ollama, model: none, slots: 2, url: "http://127.0.0.1:11501", machine: gpu1}
  g2: {kind: ollama, model: none, slots: 2, url: "http://127.0.0.1:11502", machine: gpu2}
  g3: {kind: ollama, model: none, slots: 2, url: "http://127.0.0.1:11503", machine: gpu3}
compare:
  spread: {placement: {least-loaded: [g0, g1, g2, g3]}}
  one: {placement: g0}
""".replace("TEXT", "0123456789abcdef" * 4)


def test_four_gpus_behind_a_balancer(tmp_path: Path) -> None:
    """A server for each GPU: eight people on four of them wait as two people on one do."""
    found = predict(loaded(tmp_path, text=FOUR_GPUS), profile(tmp_path, PROFILE), repeats=1)
    assert found.refused == {}
    one_s = 0.25 + 4 * 0.1875
    spread = [call.reply.end_s for call in found.run.calls if call.candidate == "spread"]
    assert spread == [one_s] * 8
    one = sorted(call.reply.end_s or 0.0 for call in found.run.calls if call.candidate == "one")
    assert one == [n * one_s for n in (1, 1, 2, 2, 3, 3, 4, 4)]
    text = " ".join(
        sentence for part in said(analyse(found.run)).paths for sentence in (part.headline, *part.sentences)
    )
    assert "run 4 servers side by side, each batched: 2 slots" in text
    assert [server.details["machine"] for server in found.run.servers] == ["gpu0", "gpu1", "gpu2", "gpu3"]


def test_the_example_of_the_docs_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/language/machines.md").read_text(encoding="utf-8")
    example = re.search(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    shown = re.search(r"^```console\n\$ (.*?)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert example is not None
    assert shown is not None
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("SLOTWISE_CACHE", str(tmp_path))
    Path("two-gpus.yaml").write_text(example[1], encoding="utf-8")
    monkeypatch.setattr("sys.argv", [*shlex.split(shown[1]), "--resamples", "0"])
    assert _main() == 0
    printed = " ".join(capsys.readouterr().out.split())
    for part in filter(None, map(str.strip, shown[2].split("...\n"))):
        assert " ".join(part.split()) in printed


# --- profiles by machine ----------------------------------------------------------------------------------------------

SLOW = PROFILE.replace("{1: 0.125", "{1: 0.25").replace("2: 0.1875}", "2: 0.375}").replace("on paper", "of stone")


def test_each_machine_has_its_profile(tmp_path: Path) -> None:
    quick, slow = profile(tmp_path, PROFILE), profile(tmp_path, SLOW, "slow")
    found = predict(
        loaded(tmp_path, "gpu0", "gpu1"), quick, repeats=1, by_machine={"gpu0": Profiles(quick), "gpu1": Profiles(slow)}
    )
    assert ends(found, "left") == [0.625, 1.25, 1.875]
    assert ends(found, "right") == [0.25 + 8 * 0.375] * 2
    notes = " ".join(note.text for note in found.run.notes)
    assert 'profile "dyadic" for machine gpu0 (a machine on paper; assumed)' in notes
    assert 'profile "slow" for machine gpu1 (a machine of stone; assumed)' in notes
    assert found.run.machine["cpu"] == "a machine on paper, a machine of stone"
    assert found.run.machine["profile"] == "dyadic, slow"


def test_the_rest_has_the_one_without_a_machine(tmp_path: Path) -> None:
    quick, slow = profile(tmp_path, PROFILE), profile(tmp_path, SLOW, "slow")
    found = predict(loaded(tmp_path, "", "gpu1"), quick, repeats=1, by_machine={"gpu1": Profiles(slow)})
    assert (ends(found, "left"), ends(found, "right")) == ([0.625, 1.25, 1.875], [3.25, 3.25])
    profiles = Profiles(quick, by_machine={"gpu1": Profiles(slow)})
    assert (profiles.on(None).of("any"), profiles.on("gpu1").of("any")) == (quick, slow)
    assert (profiles.all, profiles.name) == ((quick, slow), "dyadic + slow")
    calls, servers = found.run.calls, loaded(tmp_path, "", "gpu1").servers
    assert {call.server for call in profiles.calls_on(slow, calls, servers)} == {"two"}
    assert {call.server for call in profiles.calls_on(quick, calls, servers)} == {"one"}


def test_contention_is_that_of_the_machines_own_profile(tmp_path: Path) -> None:
    alone, shared = profile(tmp_path, PROFILE), profile(tmp_path, SHARED, "shared")
    found = predict(loaded(tmp_path, "b", "b"), alone, repeats=1, by_machine={"b": Profiles(shared)})
    assert ends(found, "right") == [1.5 * (0.25 + 8 * 0.1875)] * 2


def test_a_server_of_two_models_beside_another_machine(tmp_path: Path) -> None:
    """Beside another server on its machine it is refused; on a machine of its own it is as if alone."""
    text = WORKLOAD.replace('{prompt: "', '{model: small, prompt: "', 1).replace("left: one, right: two", "left: two")
    text = text.replace("slots: 2, url", "slots: 1, url").replace("placement: {left: two}", "placement: PLACED")
    small = profile(tmp_path, PROFILE.replace("contention: null", "contention: {2: 1.0}\nload_s: 1.0"), "small")
    large = profile(tmp_path, SLOW.replace("contention: null", "contention: {2: 1.0}\nload_s: 1.0"), "large")
    extra = "  tail: {path: batch, jobs: 1, nodes: {c: {agent: {prompt: x, output_tokens: 5, model: large}}}}\nservers:"
    placed = "{left: two, right: two, tail: one}"
    text = text.replace("servers:", extra, 1).replace("PLACED", placed).replace("model: none", "model: large")
    both = Profiles(large, {"small": small, "large": large})
    found = predict(loaded(tmp_path, "gpu0", "gpu1", text), large, repeats=1, by_model=both.by_model)
    (tail,) = ends(found, "tail")
    assert tail == 0.0078125 + 4 * 0.25
    assert len(ends(found, "left")) == 3
    with pytest.raises(UserError, match="a server with several models beside another server on the same machine"):
        predict(loaded(tmp_path, "gpu0", "gpu0", text), large, repeats=1, by_model=both.by_model)
    with pytest.raises(
        UserError, match=r'2 models on machine "gpu1".*--profile gpu1:large=NAME --profile gpu1:small=NAME'
    ):
        predict(loaded(tmp_path, "gpu0", "gpu1", text), large, repeats=1, by_machine={"gpu1": Profiles(large)})


# --- how sure it is ---------------------------------------------------------------------------------------------------

UNSURE = "after_s: 0, standard_error: {step_s.1: 0.1, step_s.2: 0.1, prefill_s_per_token: 0.1}}"


def factors(folder: Path, by_machine: dict[str, Profiles], first: Profile) -> dict[str, tuple[float, ...]]:
    workload = loaded(folder, "gpu0", "gpu1", WORKLOAD.replace("slots: 2", "slots: 1").replace("jobs: 2", "jobs: 1"))
    found = predict(workload, first, repeats=1, by_machine=by_machine)
    run = with_resampling(found.run, workload, first, profiles=20, by_machine=by_machine)
    assert run.resampled is not None
    notes = " ".join(note.text for note in run.notes)
    assert ("independent, servers with one profile share its error" in notes) == (
        by_machine["gpu0"] != by_machine["gpu1"]
    )
    return {key: value for key, value in run.resampled.factors.items() if key.endswith("/time")}


def test_machines_with_one_profile_share_its_error(tmp_path: Path) -> None:
    paper = profile(tmp_path, PROFILE.replace("after_s: 0}", UNSURE))
    found = factors(tmp_path, {"gpu0": Profiles(paper), "gpu1": Profiles(paper)}, paper)
    left, right = found["both/left/time"], found["both/right/time"]
    # One prompt to four or to eight steps: nearly the same factor, of 20 profiles each.
    assert len(left) == 20
    assert all((a > 1) == (b > 1) for a, b in zip(left, right, strict=True) if abs(a - 1) > 0.05)


def test_different_profiles_err_independently(tmp_path: Path) -> None:
    paper = profile(tmp_path, PROFILE.replace("after_s: 0}", UNSURE))
    other = profile(tmp_path, PROFILE.replace("after_s: 0}", UNSURE), "other")
    found = factors(tmp_path, {"gpu0": Profiles(paper), "gpu1": Profiles(other)}, paper)
    left, right = found["both/left/time"], found["both/right/time"]
    assert sum((a > 1) != (b > 1) for a, b in zip(left, right, strict=True)) >= 4
