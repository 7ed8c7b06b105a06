"""CrewAI projects as workloads: what runs after what, who reads whom, which model, and what is asked."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from imports.orders import orders

from harness.app.import_ import Imported, import_crewai
from harness.app.options import ImportOptions
from harness.errors import UserError
from harness.workload.load import load_workload

AGENTS = """
researcher: {role: "{topic} researcher", goal: "Find news about {topic}", backstory: "Knows it all. {not a name}"}
writer: {role: Writer, goal: Write, backstory: Wrote books., llm: ollama/llama3.2}
"""
TASKS = """
research: {description: "Read about {topic} in {year}", expected_output: Ten points, agent: researcher}
check: {description: Check it, expected_output: 'A list such as {"a": [1]}', agent: researcher}
write: {description: Write it, expected_output: A page, agent: writer}
"""


@pytest.fixture
def imported(tmp_path: Path) -> Any:
    """Import a project of these files; return what was imported, loaded."""

    def run(agents: str = AGENTS, tasks: str = TASKS, code: str = "", main: str = "") -> tuple[Imported, Any]:
        package = tmp_path / "project" / "src" / "package"
        (package / "config").mkdir(parents=True)
        (package / "config" / "agents.yaml").write_text(agents)
        (package / "config" / "tasks.yaml").write_text(tasks)
        for name, text in (("crew.py", code), ("main.py", main)):
            if text:
                (package / name).write_text(dedent(text))
        target = tmp_path / "out.yaml"
        found = import_crewai(tmp_path / "project", ImportOptions(out=target))
        return found, load_workload(target)

    return run


def crew(tasks: str, agents: str = "", more: str = "") -> str:
    """Return a crew.py; `tasks` are the arguments of research, check and write, a line each."""
    methods = "".join(
        f"    @task\n    def {name}(self):\n        return Task(config=self.tasks_config['{name}'], {arguments})\n"
        for name, arguments in zip(("research", "check", "write"), tasks.split("\n"), strict=True)
    )
    return (
        "raise SystemExit('this is never executed')\nfrom crewai import Agent, Crew, LLM, Process, Task\n"
        "@CrewBase\nclass News:\n    local = LLM(model='ollama/qwen3:0.6b', temperature=0.7, max_tokens=200)\n"
        "    @agent\n    def researcher(self):\n"
        f"        return Agent(config=self.agents_config['researcher'], {agents})\n"
        f"    @agent\n    def writer(self):\n        return Agent(config=self.agents_config['writer'])\n{methods}"
        f"    @crew\n    def crew(self):\n        return Crew(agents=self.agents, tasks=self.tasks, {more})\n"
    )


def test_a_sequential_crew_is_a_chain_in_which_each_task_reads_all_before(imported: Any) -> None:
    found, loaded = imported(code=crew("\n\n"), main="News().crew().kickoff(inputs={})")
    assert orders(loaded) == {(frozenset({"research"}), frozenset({"check"}), frozenset({"write"}))}
    agents = loaded.workload.agents
    assert agents["write"].prompt.endswith("{research} {check}")
    assert agents["research"].system.startswith("You are {topic} researcher. Knows it all. {{not a name}}")
    assert '{{"a": [1]}}' in agents["check"].prompt and "{year}" in agents["research"].prompt
    assert set(loaded.workload.inputs) == {"topic", "year", "crewai-words-80"}
    assert {server.model for server in loaded.workload.servers.values()} == {"llama3.2"}
    account = found.draft.account
    assert (account.found.calls, account.made.calls, account.found.width, account.made.width) == (3, 3, 1, 1)
    assert account.lost == () and account.missing() == {}
    asked = "\n".join(found.questions)
    assert "{topic}, {year}" in asked and "how many jobs" in asked and "MODEL or OPENAI_MODEL_NAME" in asked
    assert "sequential" not in asked  # the code says so


def test_asynchronous_tasks_run_beside_each_other_and_the_next_waits_for_all(imported: Any) -> None:
    found, loaded = imported(code=crew("async_execution=True\nasync_execution=True\ncontext=[self.check()]"))
    assert orders(loaded) == {(frozenset({"research", "check"}), frozenset({"write"}))}
    assert loaded.workload.agents["write"].prompt.endswith("{check}")
    assert (found.draft.account.found.width, found.draft.account.made.width) == (2, 2)


def test_context_in_yaml_and_the_order_that_a_crew_lists(imported: Any) -> None:
    tasks = TASKS.replace("agent: writer", "agent: writer, context: [research]")
    code = crew("\n\n").replace("tasks=self.tasks", "tasks=[self.research(), self.write()]")
    found, loaded = imported(tasks=tasks, code=code)
    assert orders(loaded) == {(frozenset({"research"}), frozenset({"write"}))}
    assert [(loss.calls, loss.why) for loss in found.draft.account.lost] == [
        (1, "in tasks of tasks.yaml that no crew uses: check")
    ]
    assert found.draft.account.missing() == {}


def test_an_agent_with_tools_is_a_loop_that_grows(imported: Any) -> None:
    code = crew("\n\ncontext=[self.research()]", agents="llm=self.local, tools=[Search(), read], max_iter=3")
    found, loaded = imported(code=code, main="News().crew().kickoff_for_each(inputs=[1, 2])")
    body = loaded.workload.subpipelines["research-loop"].nodes
    assert body["act"].grows is not None and set(body["act"].labels) == {"tool", "answer"}
    assert loaded.workload.pipelines["News"].nodes["research"].repeat.passes == (2, 3)
    agents = loaded.workload.agents
    assert {server.model for server in loaded.workload.servers.values()} == {"qwen3:0.6b"}
    assert (agents["research"].temperature, agents["write"].model) == (0.7, "llama3.2")
    assert agents["research"].output_tokens == 200
    assert agents["write"].prompt.endswith("{research}")  # what its last call answered, not its tools
    asked = "\n".join(found.questions)
    assert "(max_iter: 3)" in asked and "(Search, read)" in asked
    assert loaded.workload.pipelines["News"].jobs == 4
    account = found.draft.account
    assert account.found.calls == 4 * 3 and account.made.calls == pytest.approx(4 * (2.5 + 2.5 + 1))
    assert account.missing() == {}


def test_a_manager_delegates_each_task_to_its_agent(imported: Any) -> None:
    code = crew(
        "\n\n", agents="tools=[Search()]", more="process=Process.hierarchical, manager_llm='ollama/gpt-oss:20b'"
    )
    found, loaded = imported(code=code)
    managed = loaded.workload.subpipelines["write-managed"].nodes
    assert set(managed) == {"act", "writer", "back"} and managed["act"].grows is not None
    assert managed["writer"].after == ("act.writer",)
    assert set(loaded.workload.subpipelines["research-managed"].nodes) == {"act", "researcher", "back"}
    assert loaded.workload.agents["write-manager"].model == "gpt-oss:20b"
    assert loaded.workload.agents["write-manager"].prompt.endswith("{input}")
    assert found.draft.account.missing() == {}
    assert sum("the manager of" in question for question in found.questions) == 3


def test_conditions_forms_persons_and_more_calls_are_asked(imported: Any) -> None:
    code = crew(
        "human_input=True\noutput_json=Points\n", agents="allow_delegation=True", more="planning=True, memory=True"
    )
    code = code.replace(
        "return Task(config=self.tasks_config['write']", "return ConditionalTask(config=self.tasks_config['write']"
    )
    found, loaded = imported(code=code)
    asked = "\n".join(found.questions)
    for words in ("a person is asked after research", "answers of check have to have a form", "`memory` is on"):
        assert words in asked
    assert "may delegate" in asked and "write runs on a condition" in asked
    assert found.draft.account.found.calls == 4 and found.draft.account.missing() == {}  # with the one that plans
    nodes = loaded.workload.pipelines["News"].nodes
    assert set(nodes) >= {"planner", "write-if"} and nodes["write"].after == ("write-if.run",)


def test_without_code_the_order_is_asked(imported: Any) -> None:
    found, loaded = imported()
    assert orders(loaded) == {(frozenset({"research"}), frozenset({"check"}), frozenset({"write"}))}
    assert any("no code with this crew was found" in question for question in found.questions)


def test_refusals_name_the_way_out(tmp_path: Path, imported: Any) -> None:
    with pytest.raises(UserError, match=r"slotwise import record -- python main\.py"):
        import_crewai(tmp_path, ImportOptions(out=tmp_path / "x.yaml"))
    with pytest.raises(UserError, match=r"agents\.yaml:2:2: expected YAML, found"):
        imported(agents="a: [1\nb: 2")


@pytest.mark.parametrize("text", ["a: !!int x", '"\\UFFFFFFFF"', "a: 2026-99-99"])
def test_what_the_reader_of_yaml_stumbles_over_is_one_line(text: str, imported: Any) -> None:
    with pytest.raises(UserError, match=r"agents\.yaml: expected YAML, found none \([^\n]+\)$"):
        imported(agents=text)
