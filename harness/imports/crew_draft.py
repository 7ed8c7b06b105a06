"""Crews of a CrewAI project as a draft: a chain of tasks, side by side where they are asynchronous, or a manager's.

CrewAI's rules, from its crew.py and prompts.py: tasks run in their order; one that is not asynchronous waits for all
before it, and reads the answers of all of them unless it names its context; an asynchronous one without context reads
none. A hierarchical crew gives every task to the manager, who may delegate it to its agent, or to any where none is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from harness.imports.account import ImportAccount, ImportCounts, ImportLoss, loss_line
from harness.imports.crew_tasks import (
    ANSWER,
    EACH_TOOL,
    INPUT,
    PLACEHOLDER,
    TOOL_WORDS,
    WORDS,
    CrewBook,
    local_model,
    perhaps,
    task_steps,
)
from harness.imports.crewai import Crew, CrewAgent, CrewTask
from harness.imports.draft import Draft, DraftNote, DraftStep, Flow, Names, PipelineDraft, ask, note
from harness.units import count

__all__ = ["draft_crews"]

JOBS = 4  # a guess where a crew is started for each of several inputs
_MORE_CALLS = {
    "planning": "a call that plans before the first task",
    "memory": "embeddings and calls for its memory",
    "reasoning": "calls that plan each task (reasoning)",
}
_CONDITIONED = ("guardrail", "guardrails", "output_pydantic", "output_json")


def draft_crews(crews: Sequence[Crew], source: str, name: str) -> Draft:
    """Return the draft of crews; `name` is the workload's."""
    named = [agent.model for crew in crews for agent in crew.agents.values()] + [crew.manager_model for crew in crews]
    locals_ = Counter(filter(None, map(local_model, named)))
    book = CrewBook(locals_.most_common(1)[0][0] if locals_ else "")
    pipelines: dict[str, PipelineDraft] = {}
    pipeline_names = Names()
    found = made = 0.0
    width = 1
    for crew in crews:
        flow, calls = _flow(crew, book)
        jobs = JOBS if "for_each" in crew.started else 1
        found += jobs * _told(crew)
        made += jobs * calls
        width = max(width, _width(crew.tasks))
        pipelines[pipeline_names(crew.name, "crew")] = _pipeline(crew, flow, jobs)
    if len(crews) > 1:
        first_crew = next(iter(pipelines))
        question = ask(
            f"in which order, and how often, are these {len(crews)} crews started? Here each is a pipeline of its own.",
            "each once, beside the others",
        )
        pipelines[first_crew] = pipelines[first_crew]._replace(notes=(question, *pipelines[first_crew].notes))
    lost = [ImportLoss(why, n) for crew in crews for why, n in crew.lost]
    unused = sum(loss.calls for loss in lost)
    if abs(made - found) > 1e-9:
        lost.append(
            ImportLoss("as agents with tools, managers and conditions are guessed: see the questions", found - made)
        )
    tasks = sum(len(crew.tasks) for crew in crews)
    first = next(iter(book.agents))
    spec, notes = book.agents[first]
    book.agents[first] = (spec, (*_asked(crews, book), *notes))
    context = 1 << max(11, (int(1.25 * book.largest) + ANSWER * tasks).bit_length())
    servers: dict[str, Any] = {}
    for word, slots in (("one", 1), ("four", 4)):
        engine = {"kind": "ollama", "model": book.model} if book.model else {"kind": "llamacpp"}
        servers[f"{word}-slot"] = {**engine, "slots": slots, "context_tokens": context}
    return Draft(
        name=name,
        description=f"Imported from the CrewAI project {source}: {count(len(crews), 'crew')}, {count(tasks, 'task')}.",
        head=(
            note(
                f"Imported from the CrewAI project {source}: {count(len(crews), 'crew')}, {count(tasks, 'task')}. Its "
                "code was read and not executed. What it does not say is marked QUESTION."
            ),
            *(note(loss_line(loss)) for loss in lost),
        ),
        pipelines=pipelines,
        agents=book.agents,
        inputs=book.inputs,
        servers=servers,
        account=ImportAccount(found=ImportCounts(calls=found + unused, width=width), lost=tuple(lost)),
    )


def _told(crew: Crew) -> float:
    """Return the calls of a job that the project itself tells of: one for each task, and one that plans."""
    return len(crew.tasks) + (crew.flags.get("planning") is True)


def _width(tasks: Sequence[CrewTask]) -> int:
    """Return how many tasks run at once: asynchronous ones until the next that is not, which waits for them."""
    most = now = 0
    for task in tasks:
        now = now + 1 if task.is_async else 0
        most = max(most, now)
    return max(1, most)


def _asked(crews: Sequence[Crew], book: CrewBook) -> list[DraftNote]:
    """Return what is asked once for the whole file."""
    notes = [
        ask("how long are the answers of these agents? A project does not say.", f"{ANSWER} tokens"),
        note(
            f"crewai-words-N stand for what CrewAI writes itself: {WORDS} tokens around a task, and {TOOL_WORDS} more "
            f"where there are tools, with {EACH_TOOL} for the description of each"
        ),
    ]
    if book.placeholders:
        names = ", ".join(f"{{{name}}}" for name in book.placeholders)
        notes.append(ask(f"how long are the inputs {names}?", f"{PLACEHOLDER} tokens each, below `inputs`"))
    if book.foreign:
        notes.append(ask(f"which local model stands for {', '.join(book.foreign)}?", "the model of the server"))
    if any(not agent.model for crew in crews for agent in crew.agents.values()):
        notes.append(
            ask("which model have agents that name none? CrewAI takes it from MODEL or OPENAI_MODEL_NAME.",
                "the model of the server")
        )  # fmt: skip
    return notes


def _pipeline(crew: Crew, flow: Flow, jobs: int) -> PipelineDraft:
    keys: dict[str, Any] = {"path": "batch", "jobs": jobs}
    notes = [
        note(
            f"{crew.source}: {'hierarchical' if crew.hierarchical else 'sequential'}, {count(len(crew.tasks), 'task')}"
        )
    ]
    guess = "one, which nobody waits for"
    if "for_each" in crew.started:
        guess = f"{jobs}, one after the other" if "async" not in crew.started else f"{jobs} at once"
        if "async" not in crew.started and not crew.started.startswith("a"):
            keys["arrival"] = {"closed": 1, "think_s": 0}
    how = f"The code starts it with {crew.started}." if crew.started else "No code starts it."
    if not crew.has_code:
        notes.append(
            ask("no code with this crew was found: are its tasks sequential, in the order of the file?", "yes")
        )
    agents = crew.agents.values()
    for flag, what in _MORE_CALLS.items():
        if flag != "planning" and (crew.flags.get(flag) is True or any(one.flags.get(flag) is True for one in agents)):
            notes.append(ask(f"`{flag}` is on, which adds {what}: how many? They are left out here.", "none"))
    if tasks := [task.name for task in crew.tasks if any(task.flags.get(key) for key in _CONDITIONED)]:
        notes.append(
            ask(f"answers of {', '.join(tasks)} have to have a form: how often are they asked for again?", "never")
        )
    if tasks := [task.name for task in crew.tasks if task.flags.get("human_input") is True]:
        notes.append(ask(f"a person is asked after {', '.join(tasks)}: how long does it take?", "no time"))
    return PipelineDraft(
        keys, flow, tuple(notes), {"path": (ask(f"how many jobs, and does a person wait? {how}", guess),)}
    )


def _flow(crew: Crew, book: CrewBook) -> tuple[Flow, float]:
    """Return the steps of a crew and the calls of a job."""
    names = Names({"item", "input", "previous", "until", *book.placeholders, *_placeholders(crew)})
    steps: list[DraftStep] = []
    calls = 0.0
    before: list[str] = []  # what the next task waits for
    done: list[str] = []  # answers, in their order
    aside: list[str] = []  # asynchronous ones since the last that was not
    own: dict[str, str] = {}
    if crew.flags.get("planning") is True:
        plan = names("planner")
        listed = " ".join(f"{task.description} {task.expected_output}" for task in crew.tasks)
        role = CrewAgent("planner", "a planner", "plan all tasks", "", (), crew.manager_model, {}, None, {})
        steps.append(DraftStep(plan, "agent", (), book.add(plan, role, book.filled(listed) or "Plan.", ())))
        before, calls = [plan], 1.0
    for task in crew.tasks:
        waits = before if task.is_async else [*before, *aside] if not aside else list(aside)
        read = [own[other] for other in task.context if other in own] if task.context is not None else []
        if task.context is None and not task.is_async:
            read = list(done)
        after = tuple(dict.fromkeys((*read, *waits)))
        made = task_steps(crew, task, names, book, after, read, set(read) != set(after))
        if task.conditional:
            made = perhaps(made, names)
        steps += made.steps
        calls += made.calls
        own[task.name] = made.name
        done.append(made.name)
        if task.is_async:
            aside.append(made.name)
        else:
            before, aside = [made.name], []
    return tuple(steps), calls


def _placeholders(crew: Crew) -> list[str]:
    texts = [text for task in crew.tasks for text in (task.description, task.expected_output)]
    texts += [text for agent in crew.agents.values() for text in (agent.role, agent.goal, agent.backstory)]
    return [found[1] for text in texts for found in INPUT.finditer(text)]
