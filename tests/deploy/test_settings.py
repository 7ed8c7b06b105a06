"""Settings to copy: every form says the same, and is what its reader takes."""

from __future__ import annotations

import ast
import asyncio
import configparser
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from analysis.scenarios import scenario, steady
from deploy.uses import ONE, candidate, used

from harness.analysis.analyse import analyse
from harness.analysis.model import PoolUse, Settings
from harness.app.settings import settings_text
from harness.core.placement import PLACEMENT
from harness.core.scheduling import SCHEDULING
from harness.deploy.deployment import Deployment
from harness.deploy.kinds import SETTINGS, SettingsKind, kinds_listed
from harness.deploy.settings import settings_for
from harness.errors import UserError
from harness.report.markdown import markdown_report
from harness.report.summary_schema import summary_schema


def split(**changes: Any) -> Settings:
    return settings_for(candidate(used(ONE, "serial", server="one-slot", slots=1), ONE._replace(**changes)))


def environment(line: str) -> dict[str, str]:
    """The variables before `ollama serve`."""
    words = shlex.split(line, comments=True)
    assert words[-2:] == ["ollama", "serve"]
    return dict(word.split("=", 1) for word in words[:-2])


def unit(text: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as its docs say
    parser.read_string(text)
    assert parser.sections() == ["Service"]
    assert set(parser["Service"]) == {"Environment"}
    return dict(word.split("=", 1) for word in shlex.split(parser["Service"]["Environment"]))


def test_one_server_needs_no_address() -> None:
    found = settings_for(candidate(ONE._replace(threads=2, most_loaded=2, models=("a", "b"))))
    env = {
        "OLLAMA_NUM_PARALLEL": "4",
        "OLLAMA_CONTEXT_LENGTH": "2048",
        "OLLAMA_MAX_LOADED_MODELS": "2",
        "LLAMA_ARG_THREADS": "2",
    }
    assert environment(found.shell[0]) == env
    assert found.whole("serve") == f"{found.shell[0]}\n"
    (systemd,) = (text for text in found.texts if text.kind == "systemd")
    assert systemd.path == "/etc/systemd/system/ollama.service.d/override.conf"
    assert unit(systemd.text) == env
    compose = yaml.safe_load(found.whole("compose"))
    assert list(compose["services"]) == ["ollama"]
    assert compose["services"]["ollama"]["environment"] == env
    assert compose["services"]["ollama"]["ports"] == ["127.0.0.1:11434:11434"]


def test_levers_are_variables_in_every_form_and_their_risk_is_said() -> None:
    levers = (("ram_cache", "off"), ("kv_unified", "on"))
    found = settings_for(candidate(ONE._replace(levers=levers)))
    env = {
        "OLLAMA_NUM_PARALLEL": "4",
        "OLLAMA_CONTEXT_LENGTH": "2048",
        "LLAMA_ARG_CACHE_RAM": "0",
        "LLAMA_ARG_KV_UNIFIED": "1",
    }
    assert environment(found.shell[0]) == env
    assert unit(found.whole("systemd")) == env
    assert yaml.safe_load(found.whole("compose"))["services"]["ollama"]["environment"] == env
    risk = (
        "Without the RAM prompt cache: a conversation that had to leave its slot is read again from its first word at "
        "its next turn."
    )
    assert found.remarks[0] == risk
    assert found.remarks[2:] == (
        "LLAMA_ARG_CACHE_RAM takes Ollama 0.30 or newer.",
        "LLAMA_ARG_KV_UNIFIED takes Ollama 0.30 or newer.",
    )
    for kind in ("serve", "systemd", "compose"):
        assert [line.strip() for line in found.whole(kind).splitlines() if "its next turn" in line] == [f"# {risk}"]


def test_a_lever_that_ollama_lacks_is_said_to_be_left_out() -> None:
    found = settings_for(candidate(ONE._replace(kind="llamacpp", levers=(("micro_batch", "128"),))))
    assert environment(found.shell[0]) == {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "2048"}
    assert found.remarks == (
        "Micro batch 128: a long prompt is read more slowly.",
        "micro_batch 128 was used, and these settings do not have it: Ollama has no variable for it.",
    )


def test_nodes_that_part_are_sent_where_each_belongs() -> None:
    two = candidate(ONE._replace(server="one-slot", slots=1), ONE)
    digest, chat = two.pipelines
    digest = digest._replace(
        servers=("four-slot", "one-slot"),
        nodes=(("draft", "one-slot"), ("check", "one-slot"), ("answer", "four-slot")),
    )
    found = settings_for(two._replace(pipelines=(digest, chat)))
    assert found.remarks[-1] == (
        "Send digest's draft, check to port 11434 (one-slot) and answer to port 11435 (four-slot); chat to port 11434."
    )


def test_two_servers_have_a_port_each_in_every_form() -> None:
    found = split()
    assert [environment(line).get("OLLAMA_HOST") for line in found.shell] == [None, "127.0.0.1:11435"]  # its own
    assert found.remarks[-1] == "Send digest to port 11435; chat to port 11434."
    units = [text for text in found.texts if text.kind == "systemd"]
    assert [text.path.split("/")[4] for text in units] == ["ollama.service.d", "ollama-four-slot.service.d"]
    assert [unit(text.text) for text in units] == [environment(line) for line in found.shell]
    assert "sudo cp /etc/systemd/system/ollama.service /etc/systemd/system/ollama-four-slot.service" in units[1].text
    services = yaml.safe_load(found.whole("compose"))["services"]
    assert {name: service["ports"] for name, service in services.items()} == {
        "ollama": ["127.0.0.1:11434:11434"],
        "ollama-four-slot": ["127.0.0.1:11435:11434"],
    }
    # Inside a container the address stays what the image says.
    assert all("OLLAMA_HOST" not in service["environment"] for service in services.values())
    volumes = yaml.safe_load(found.whole("compose"))["volumes"]
    assert all(service["volumes"][0].split(":")[0] in volumes for service in services.values())
    for kind in ("asyncio", "langchain", "langgraph"):
        assert re.findall(r'"(http://[^"]*)"', found.whole(kind)) == [
            "http://127.0.0.1:11434",
            "http://127.0.0.1:11435",
        ]


@pytest.mark.parametrize("name", ["ollama", "class", "asyncio", "MODEL", "a-b"])
@pytest.mark.parametrize("kind", ["asyncio", "langchain", "langgraph"])
def test_a_servers_name_shadows_nothing(name: str, kind: str) -> None:
    found = split(server=name)
    (text,) = (text.text for text in found.texts if text.kind == kind)
    made = [
        node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    ]
    imported = {"asyncio", "ollama", "ChatOllama"}
    assert not imported & set(made)
    assert made.count("MODEL") == 1


def test_two_names_that_are_one_in_python_stay_apart() -> None:
    found = settings_for(candidate(ONE._replace(server="a-b"), ONE._replace(server="a_b")))
    assert "a_b_limit" in found.whole("asyncio")
    assert "a_b_1_limit" in found.whole("asyncio")


def test_every_kind_has_a_text_and_ends_in_a_line() -> None:
    found = split()
    assert {text.kind for text in found.texts} == set(SETTINGS)
    for text in found.texts:
        assert text.text.endswith("\n") and not text.text.endswith("\n\n")
        assert all(len(line) <= 120 for line in text.text.splitlines() if not line.startswith("#"))


TRADE = ({"serial": steady(16), "batched": steady(13), "split": steady(14.5, noise=(0.01, -0.01, 0.005, 0.0, 0.0))},
         {"serial": steady(3), "batched": steady(2), "split": steady(1)})  # fmt: skip


def test_which_candidates() -> None:
    one = analyse(scenario({"serial": steady(16), "batched": steady(13)}))
    assert settings_text(one, "serve") == "OLLAMA_NUM_PARALLEL=4 OLLAMA_CONTEXT_LENGTH=2048 ollama serve\n"
    assert settings_text(one, "serve", "serial").startswith("OLLAMA_NUM_PARALLEL=1 ")
    assert "OLLAMA_NUM_PARALLEL=4" in settings_text(analyse(scenario(*TRADE)), "systemd")  # a compromise is one


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("sytemd", None, r'--settings: expected serve, systemd, .*, found "sytemd"; did you mean "systemd"\?'),
        ("serve", "batch", r'--candidate: expected one of serial, batched, found "batch"; did you mean "batched"\?'),
    ],
)
def test_mistakes(kind: str, name: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings_text(analyse(scenario({"serial": steady(16), "batched": steady(13)})), kind, name)


def test_reserve_is_two_semaphores() -> None:
    use = used(ONE, "reserve", server="four-slot")
    names: dict[str, object] = {}
    exec("\n".join(settings_for(candidate(use)).code), {"asyncio": asyncio}, names)
    every, batch = names["four_slot"], names["four_slot_batch"]
    assert isinstance(every, asyncio.Semaphore) and isinstance(batch, asyncio.Semaphore)
    assert (every._value, batch._value) == (4, 3)


@pytest.mark.parametrize("scheduling", SCHEDULING)
def test_every_order_but_the_plain_one_needs_more_than_a_semaphore(scheduling: str) -> None:
    remarks = settings_for(candidate(used(ONE, "window", scheduling))).remarks
    assert any("priority queue" in remark for remark in remarks) == (scheduling != "fifo")


def test_a_choice_of_servers_is_said() -> None:
    policy = PLACEMENT["least-loaded"]
    found = settings_for(candidate(ONE)._replace(pools=(PoolUse("digest", "least-loaded", policy.says, policy.code),)))
    assert found.remarks[-1].startswith("digest: each call goes to the server with the most free slots")


def test_a_reserve_holds_batch_calls_where_there_is_no_other_limit() -> None:
    use = ONE._replace(limit=None, batch_limit=2)
    assert settings_for(candidate(use)).code == (
        "# four-slot: no limit in code; the server's own queue decides",
        "four_slot_batch = asyncio.Semaphore(2)  # batch calls take this one first",
    )


@pytest.mark.parametrize("scheduling", [name for name, policy in SCHEDULING.items() if not policy.first_come])
def test_an_order_is_said_as_the_code_has_it(scheduling: str) -> None:
    remarks = {name: settings_for(candidate(used(ONE, name, scheduling))).remarks for name in ("waves", "unbounded")}
    first = SCHEDULING[scheduling].says
    assert remarks["waves"] == (
        f"four-slot: {first}; the code takes its waves from a list in order, so sort the list that way.",
    )
    assert remarks["unbounded"] == ()  # nothing waits in code


def nomad(deployment: Deployment) -> dict[str, str]:
    return {
        f"/Library/{server.service}.plist": f"<string>{server.environment}</string>\n" for server in deployment.servers
    }


def test_one_more_kind_is_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "nomad", SettingsKind(nomad, "As a Nomad job"))
    analysis = analyse(scenario({"serial": steady(16), "batched": steady(13)}))
    text = settings_text(analysis, "nomad")
    assert text == "<string>{'OLLAMA_NUM_PARALLEL': '4', 'OLLAMA_CONTEXT_LENGTH': '2048'}</string>\n"
    assert f"As a Nomad job, /Library/ollama.plist:\n\n    {text}" in markdown_report(analysis)
    assert summary_schema()["$defs"]["SettingsText"]["properties"]["kind"]["enum"] == list(SETTINGS)
    assert kinds_listed().endswith(", gateway or nomad")
    with pytest.raises(UserError, match=r"gateway, nomad, found"):
        settings_text(analysis, "kubernetes")


def test_every_kind_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/reports.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text.split("## Settings to copy")[1].split("\n## ")[0], re.M) == list(SETTINGS)


def test_each_servers_block_says_its_machine() -> None:
    found = settings_for(
        candidate(ONE._replace(server="g0", machine="gpu0"), ONE._replace(server="g1", machine="gpu1", slots=2))
    )
    assert [line.partition("  # ")[2] for line in found.shell] == ["g0 on gpu0", "g1 on gpu1"]
    assert any("CUDA_VISIBLE_DEVICES" in remark for remark in found.remarks)
    compose = found.whole("compose")
    assert [line for line in compose.splitlines() if "# on" in line] == [
        "  ollama:  # on gpu0",
        "  ollama-g1:  # on gpu1",
    ]
    assert [*yaml.safe_load(compose)["services"]] == ["ollama", "ollama-g1"]
    for text, machine in zip((one.text for one in found.texts if one.kind == "systemd"), ("gpu0", "gpu1"), strict=True):
        assert text.splitlines()[0].endswith(f"override.conf on {machine}")
        unit(text)
    for library in ("asyncio", "langchain", "langgraph"):
        code = found.whole(library)
        ast.parse(code)
        assert [line.partition("  # ")[2] for line in code.splitlines() if "127.0.0.1" in line] == [
            "on gpu0",
            "on gpu1",
        ]


def test_one_server_on_a_named_machine_needs_no_advice() -> None:
    found = settings_for(candidate(ONE._replace(machine="gpu0")))
    assert found.shell[0].endswith("ollama serve  # on gpu0")
    assert not any("CUDA_VISIBLE_DEVICES" in remark for remark in found.remarks)


def test_a_gateway_has_the_policy_or_says_why_not() -> None:
    def last(concurrency: str, scheduling: str) -> str:
        found = settings_for(candidate(used(ONE, concurrency, scheduling)))
        return found.whole("gateway").splitlines()[-1]

    begun = "slotwise serve --upstream http://127.0.0.1:11434 --slots 4"
    assert last("window", "interactive-first") == f"{begun} --concurrency window --scheduling interactive-first"
    assert last("reserve", "fifo") == f"{begun} --concurrency reserve --reserve 1 --scheduling fifo"
    assert last("serial", "fifo") == f"{begun} --concurrency serial --scheduling fifo"
    assert "a gateway sees single calls" in last("window", "shortest-first")


def test_a_server_that_is_no_ollama_gets_none_of_ollamas_settings() -> None:
    mine = used(ONE, server="mine", kind="openai", slots=4, context_tokens=2048)
    how = "# mine: start it as before, with 4 slots: llama-server --parallel 4 --ctx-size 8192, or vllm serve"
    alone, beside = settings_for(candidate(mine)), settings_for(candidate(mine, ONE))
    for kind in ("systemd", "launchd", "compose", "serve"):
        assert how in (text := alone.whole(kind)) and "OLLAMA_NUM_PARALLEL" not in text
        assert how in (text := beside.whole(kind)) and "OLLAMA_NUM_PARALLEL" in text
    assert "openai.AsyncOpenAI(" in alone.whole("asyncio")
    untold = settings_for(candidate(used(mine, context_tokens=0))).whole("serve")
    assert "--parallel 4, or vllm" in untold and "ctx-size" not in untold


@pytest.mark.parametrize(
    ("url", "serve", "where"),
    [
        ("http://127.0.0.1:11500", {"OLLAMA_HOST": "127.0.0.1:11500"}, ""),
        ("http://localhost:11434", {}, ""),
        ("http://gpu-box:11434", {}, "  # on gpu-box"),
    ],
)
def test_a_server_that_runs_already_is_called_where_it_is(url: str, serve: dict[str, str], where: str) -> None:
    found = settings_for(candidate(ONE._replace(kind="ollama", url=url)))
    (line,) = found.shell
    assert environment(line) == {**serve, "OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "2048"}
    assert line.endswith(f"ollama serve{where}")
    for library in ("asyncio", "langchain", "langgraph"):
        code = found.whole(library)
        assert f'"{url}"' in code and code.count("http://") == 1, code
