"""One task of a crew as steps of a draft: a call, a loop of an agent with tools, or a manager who delegates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.imports.crewai import Crew, CrewAgent, CrewTask
from harness.imports.draft import DraftNote, DraftStep, Flow, Names, ask, note
from harness.units import count

__all__ = [
    "ANSWER",
    "EACH_TOOL",
    "INPUT",
    "PLACEHOLDER",
    "TOOL_WORDS",
    "WORDS",
    "CrewBook",
    "MadeTask",
    "local_model",
    "perhaps",
    "task_steps",
]

# Tokens of what CrewAI writes itself (translations/en.json): around a task, and more where there are tools.
WORDS, TOOL_WORDS, EACH_TOOL = 80, 200, 80
ANSWER, PLACEHOLDER, RESULT = 400, 10, 300  # guesses, in tokens
TOOL_S = 1.0  # a guess
PASSES = (2, 4)  # a guess: calls of an agent with tools, and of a manager, for one task
_MEAN = sum(PASSES) / 2
INPUT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_\-]*)\}")
_LOCAL = ("ollama/", "ollama_chat/")


class MadeTask(NamedTuple):
    """The steps of a task, what later tasks wait for and read, and how many calls of a model it makes on average."""

    steps: Flow
    name: str
    calls: float


class CrewBook:
    """Names, agents and inputs of one draft."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.agents: dict[str, tuple[dict[str, Any], tuple[DraftNote, ...]]] = {}
        self.inputs: dict[str, dict[str, Any]] = {}
        self.agent_names, self.graphs, self.input_names = Names(), Names(), Names({"item", "input", "previous"})
        self.placeholders: dict[str, str] = {}
        self.foreign: list[str] = []  # models that no Ollama has
        self.largest = 0

    def filled(self, text: str) -> str:
        """Return a text of the project as a template: its placeholders are inputs, other braces are braces."""
        parts, at = [], 0
        for found in INPUT.finditer(text):
            name = found[1]
            if name not in self.placeholders:
                own = self.placeholders[name] = self.input_names(name, "in")
                self.inputs[own] = {"synthetic": {"count": 1, "tokens": PLACEHOLDER}}
            parts += [_braces(text[at : found.start()]), f"{{{self.placeholders[name]}}}"]
            at = found.end()
        return "".join((*parts, _braces(text[at:])))

    def add(self, name: str, agent: CrewAgent, prompt: str, tools: Sequence[str], own: Sequence[DraftNote] = ()) -> str:
        """Add an agent with this prompt; return its name."""
        given = self.agent_names(name, "agent")
        words = WORDS + (TOOL_WORDS + EACH_TOOL * len(tools) if tools else 0)
        frame = f"crewai-words-{words}"
        self.inputs.setdefault(frame, {"synthetic": {"count": 1, "tokens": words}})
        said = f"You are {agent.role}. {agent.backstory} Your personal goal is: {agent.goal}"
        most = int(agent.settings.get("max_tokens", agent.settings.get("num_predict", 0)))
        spec: dict[str, Any] = {
            "system": f"{self.filled(said)} {{{frame}}}",
            "prompt": prompt,
            "output_tokens": min(most, ANSWER) if most else ANSWER,
            "shares_prefix": True,
        }
        if "temperature" in agent.settings:
            spec["temperature"] = min(2.0, agent.settings["temperature"])
        if agent.settings.get("num_ctx", 0) >= 256:
            spec["num_ctx"] = int(agent.settings["num_ctx"])
        local = local_model(agent.model)
        if local and local != self.model:
            spec["model"] = local
        if agent.model and not local and agent.model not in self.foreign:
            self.foreign.append(agent.model)
        notes = [note(f"agent {agent.name}" + (f", model: {agent.model}" if agent.model else "")), *own]
        if most:
            notes.append(note(f"its answers have at most {most} tokens (max_tokens)"))
        self.agents[given] = (spec, tuple(notes))
        growth = (RESULT + ANSWER) * PASSES[1] if tools else 0
        self.largest = max(self.largest, (len(said) + len(prompt)) // 4 + words + ANSWER + growth)
        return given


def local_model(name: str) -> str:
    """Return an Ollama's name of a model; "" where it is none of an Ollama, or not known."""
    return next((name.removeprefix(prefix) for prefix in _LOCAL if name.startswith(prefix)), "")


def perhaps(made: MadeTask, names: Names) -> MadeTask:
    """Put a choice before a task that runs on a condition."""
    first = made.steps[0]
    own = names(f"{made.name}-if")
    question = ask(f"{made.name} runs on a condition: how often?", "every second time")
    choice = DraftStep(
        own, "tool", first.after, keys={"branch": {"run": 0.5, "skip": 0.5}},
        notes=(note("takes no time: it stands for the condition"), question),
    )  # fmt: skip
    steps = (choice, *(step._replace(after=(f"{own}.run",)) for step in made.steps[:1]), *made.steps[1:])
    return MadeTask(steps, made.name, made.calls / 2)


def task_steps(
    crew: Crew,
    task: CrewTask,
    names: Names,
    book: CrewBook,
    after: tuple[str, ...],
    read: Sequence[str],
    waits_more: bool,
) -> MadeTask:
    name = names(task.name, "task")
    agent = _agent_of(crew, task)
    tools = tuple(dict.fromkeys((*agent.tools, *task.tools)))
    notes: list[DraftNote] = []
    if not crew.hierarchical and task.agent not in crew.agents:
        notes.append(ask(f"which agent does {task.name}? The project names none.", agent.name))
    said = f"Current Task: {book.filled(task.description)} Expected: {book.filled(task.expected_output)}"
    delegates = agent.flags.get("allow_delegation") is True
    if not crew.hierarchical and (agent.max_iter == 1 or not (tools or delegates)):
        prompt = " ".join((said, *(f"{{{other}}}" for other in read)))
        step = DraftStep(name, "agent", after, book.add(name, agent, prompt, ()), notes=tuple(notes))
        return MadeTask((step,), name, 1.0)
    steps: list[DraftStep] = []
    if read and waits_more:  # a loop reads whatever it comes after: what it only waits for gets a node without a text
        gate = names(f"{name}-after")
        others = tuple(other for other in after if other not in read)
        steps.append(DraftStep(gate, "tool", others, notes=(note("takes no time: waited for, and not read"),)))
        after = (*read, gate)
    prompt = f"{said} {{input}}" if read else said
    if crew.hierarchical:
        return _managed(crew, task, name, book, after, prompt, (*steps,), notes)
    if delegates:
        notes.append(
            ask(f"{agent.name} may delegate to other agents: how often? Here that is one of its tools.", "as a tool")
        )
        tools = (*tools, "delegate", "ask")
    loop = _loop(name, agent, prompt, tools, book)
    mean = sum(_passes(agent.max_iter)) / 2
    return MadeTask((*steps, loop._replace(after=after, notes=(*notes, *loop.notes))), name, mean)


def _agent_of(crew: Crew, task: CrewTask) -> CrewAgent:
    if task.agent in crew.agents:
        return crew.agents[task.agent]
    by_key = next((agent for agent in crew.agents.values() if agent.name == task.agent), None)
    return by_key or next(iter(crew.agents.values()), CrewAgent("agent", "an agent", "", "", (), "", {}, None, {}))


def _loop(name: str, agent: CrewAgent, prompt: str, tools: Sequence[str], book: CrewBook) -> DraftStep:
    """Return an agent that calls tools: a loop whose prompts grow by what it answered and what the tools gave."""
    passes = _passes(agent.max_iter)
    act = book.add(name, agent, prompt, tools)
    bound = "" if agent.max_iter is None else f" (max_iter: {agent.max_iter})"
    branch = {"tool": _share(passes), "answer": round(1 - _share(passes), 6)}
    body = (
        DraftStep("act", "agent", (), act, keys={"grows": {"by": RESULT}, "branch": branch}),
        DraftStep("tool", "tool", ("act.tool",), delay_s=TOOL_S),
    )
    question = ask(
        f"how often does {name} call its model{bound}, how long do its tools take ({', '.join(tools)}), and how many "
        "tokens do they give?",
        f"{_words(passes)}, {TOOL_S:g} s, {RESULT} tokens",
    )
    keys = {"repeat": {"passes": passes}}
    return DraftStep(name, "graph", (), book.graphs(f"{name}-loop"), keys=keys, body=body, notes=(question,))


def _managed(
    crew: Crew,
    task: CrewTask,
    name: str,
    book: CrewBook,
    after: tuple[str, ...],
    prompt: str,
    steps: Flow,
    notes: Sequence[DraftNote],
) -> MadeTask:
    """Return the loop of a manager, who delegates a task to its agent, or to one of all where it has none."""
    own = crew.agents.get(crew.manager)
    role = own or CrewAgent(
        "manager", "Crew Manager", "Manage the team to complete the task in the best way possible.",
        "You are a seasoned manager with a knack for getting the best out of your team.",
        (), crew.manager_model, {}, None, {},
    )  # fmt: skip
    workers = [crew.agents[task.agent]] if task.agent in crew.agents else [
        agent for key, agent in crew.agents.items() if key != crew.manager
    ]  # fmt: skip
    inner = Names({"act", "back", "item", "input", "previous", "until"})
    passes = list(PASSES)
    share = round(_share(passes) / max(1, len(workers)), 6)
    manager = book.add(
        f"{name}-manager", role._replace(model=role.model or crew.manager_model), prompt, ("delegate", "ask")
    )
    body: list[DraftStep] = []
    branch: dict[str, float] = {}
    each = 0.0
    for worker in workers:
        label = inner(worker.name, "agent")
        branch[label] = share
        asked = f"Current Task: {book.filled(task.description)}"
        if worker.tools and worker.max_iter != 1:
            step = _loop(label, worker, asked, worker.tools, book)._replace(name=label, after=(f"act.{label}",))
            each += sum(_passes(worker.max_iter)) / 2 / len(workers)
        else:
            step = DraftStep(label, "agent", (f"act.{label}",), book.add(f"{name}-{label}", worker, asked, ()))
            each += 1 / len(workers)
        body.append(step)
    branch["answer"] = round(1 - sum(branch.values()), 6)
    act = DraftStep("act", "agent", (), manager, keys={"grows": {"by": ANSWER}, "branch": branch})
    back = DraftStep(
        "back", "tool", tuple(step.name for step in body), notes=(note("takes no time: back to the manager"),)
    )
    loop = DraftStep(
        name, "graph", after, book.graphs(f"{name}-managed"), keys={"repeat": {"passes": passes}},
        body=(act, *body, *((back,) if body else ())),
        notes=(
            *notes,
            ask(
                f"how often does the manager of {name} call its model? It delegates in all calls but one.",
                _words(passes),
            ),
        ),
    )  # fmt: skip
    delegated = _MEAN * _share(passes) if workers else 0.0
    return MadeTask((*steps, loop), name, _MEAN + delegated * each)


def _passes(most: int | None) -> list[int]:
    return [min(bound, most or bound) for bound in PASSES]


def _share(passes: Sequence[int]) -> float:
    """Return the share of passes that are not the last, on average."""
    mean = sum(passes) / 2
    return round((mean - 1) / mean, 6)


def _words(passes: Sequence[int]) -> str:
    return f"{passes[0]} to {passes[1]} times" if passes[0] < passes[1] else f"{count(passes[0], 'time')}"


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
