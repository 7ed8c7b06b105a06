"""Files that `slotwise apply` writes, as texts: what is not ours stays, and nothing hostile comes in."""

from __future__ import annotations

import plistlib

import pytest
import yaml
from deploy.uses import ONE, candidate
from hypothesis import given
from hypothesis import strategies as st

from harness.deploy.block import BEGIN, END, block_in, outside, with_block
from harness.deploy.checked import NAMES, checked_environment, checked_service
from harness.deploy.compose_override import ollama_services, override_text, services_in
from harness.deploy.deployment import deployment_of
from harness.deploy.kinds import SETTINGS
from harness.deploy.launchd import SET_ALL
from harness.deploy.systemd import drop_in_text, other_settings
from harness.errors import UserError

ENVIRONMENT = {"OLLAMA_NUM_PARALLEL": "4", "OLLAMA_CONTEXT_LENGTH": "2048"}


@given(st.text().filter(lambda text: "slotwise apply" not in text), st.text(alphabet="ab =\n").map(lambda t: f"{t}\n"))
def test_lines_that_are_not_ours_stay(text: str, body: str) -> None:
    once = with_block(text, body)
    assert block_in(once) == body
    assert outside(once) in (text, f"{text}\n")
    assert with_block(with_block(text, "x\n"), body) == once


@pytest.mark.parametrize("text", [f"{BEGIN}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}\n" * 2])
def test_marks_that_are_no_pair(text: str) -> None:
    with pytest.raises(ValueError, match="expected one"):
        with_block(text, "x\n")


@given(st.text())
def test_a_hostile_value_never_becomes_a_line(value: str) -> None:
    """Whatever a run says the slots are: digits that Slotwise could have written, or an error."""
    (server,) = deployment_of(candidate(ONE._replace(slots=value))).servers  # type: ignore[arg-type]
    try:
        found = checked_environment(server)
    except UserError:
        return
    assert found["OLLAMA_NUM_PARALLEL"].isascii() and found["OLLAMA_NUM_PARALLEL"].isdecimal()
    assert set(found) <= NAMES


@given(st.text())
def test_a_hostile_name_never_becomes_a_path(name: str) -> None:
    try:
        checked_service(f"ollama-{name}")
    except UserError:
        return
    assert not set(name) & set("/.\n\r \0\"'%$") and name


@pytest.mark.parametrize("slots", ["4\nExecStart=/bin/evil", '4" "LD_PRELOAD=/x', "", "0", "-1", "4 ", "٤"])
def test_values_that_are_refused(slots: str) -> None:
    (server,) = deployment_of(candidate(ONE._replace(slots=slots))).servers  # type: ignore[arg-type]
    with pytest.raises(UserError, match="which Slotwise never writes"):
        checked_environment(server)


def test_a_lever_that_is_not_known_is_refused() -> None:
    (server,) = deployment_of(candidate(ONE._replace(levers=(("evil", "on"),)))).servers
    with pytest.raises(UserError, match="which Slotwise never writes"):
        checked_environment(server)


def test_a_drop_in_whose_last_line_goes_on_is_refused() -> None:
    with pytest.raises(ValueError, match="ends with a backslash"):
        drop_in_text('[Service]\nEnvironment="A=1" \\\n', ENVIRONMENT)


def test_what_other_files_say() -> None:
    files = [
        ("/u/ollama.service", "[Service]\nEnvironment=OLLAMA_NUM_PARALLEL=1\n"),
        ("/u/d/aa.conf", "[Unit]\nEnvironment=OLLAMA_NUM_PARALLEL=3\n[Service]\n#Environment=OLLAMA_NUM_PARALLEL=5\n"),
        ("/u/d/zz.conf", "[Service]\nEnvironment=\nUnsetEnvironment=OLLAMA_CONTEXT_LENGTH PATH\n"),
    ]
    found = other_settings("slotwise.conf", files, ENVIRONMENT)
    assert [(one.path.rpartition("/")[2], one.variable, one.value, one.wins) for one in found] == [
        ("ollama.service", "OLLAMA_NUM_PARALLEL", "1", False),
        ("zz.conf", "", "", True),
        ("zz.conf", "OLLAMA_CONTEXT_LENGTH", "", True),
    ]


def test_two_servers_share_an_override() -> None:
    first = override_text("# mine\nnetworks: {}\n", "ollama", ENVIRONMENT, ["# a risk"])
    both = override_text(first, "ollama-b", {"OLLAMA_NUM_PARALLEL": "1"}, port=11435)
    assert both.startswith("# mine\nnetworks: {}\n") and "    # a risk\n" in both
    found = yaml.safe_load(both)
    assert found["services"]["ollama"] == {"environment": ENVIRONMENT}
    assert found["services"]["ollama-b"]["ports"] == ["127.0.0.1:11435:11434"]
    assert found["volumes"] == {"ollama": None} or found["volumes"] == {"ollama": {}}
    assert override_text(both, "ollama", ENVIRONMENT, ["# a risk"]).count("  ollama:\n") == 1
    again = yaml.safe_load(override_text(both, "ollama", {"OLLAMA_NUM_PARALLEL": "2"}))
    assert again["services"]["ollama"] == {"environment": {"OLLAMA_NUM_PARALLEL": "2"}}


def test_services_of_a_compose_file() -> None:
    text = "services:\n  a: {image: 'ghcr.io/x/ollama:1'}\n  b: {image: ollama-web}\n  c: {build: !reset .}\n"
    assert services_in(text) == {"a": "ghcr.io/x/ollama:1", "b": "ollama-web", "c": ""}
    assert ollama_services(services_in(text)) == ["a"]
    with pytest.raises(ValueError, match="no YAML"):
        services_in("a: [")


def test_a_launch_agent_hands_variables_over_as_arguments() -> None:
    deployment = deployment_of(candidate(ONE, ONE._replace(server="other", slots=1)))
    texts = SETTINGS["launchd"].write(deployment)
    first, second = (plistlib.loads(text.encode()) for text in texts.values())
    assert list(texts) == [f"~/Library/LaunchAgents/slotwise.ollama{end}.plist" for end in ("", "-other")]
    assert first["ProgramArguments"] == [
        *("/bin/sh", "-c", SET_ALL, "sh"),
        *("OLLAMA_NUM_PARALLEL", "4", "OLLAMA_CONTEXT_LENGTH", "2048"),
    ]
    assert second["ProgramArguments"] == ["/usr/bin/env", "ollama", "serve"]
    assert second["EnvironmentVariables"]["OLLAMA_HOST"] == "127.0.0.1:11435"
