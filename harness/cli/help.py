"""How `--help` is laid out: commands by what they are for, options by what they change, examples below.

Typer's own layout cuts what a command does off in the middle, and lists twenty options in one row.
"""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand, TyperGroup

__all__ = ["ABOUT", "BEGIN", "COMMANDS", "EXAMPLES", "OPTIONS", "Command", "Commands"]

# Sections of `slotwise --help`, with what each command answers.
COMMANDS = {
    "Decide how to run a pipeline": ("run", "recommend", "simulate", "score", "studio"),
    "Workloads": ("init", "check", "import", "migrate"),
    "Results": ("report", "apply", "runs", "compare", "export"),
    "Servers and models": ("doctor", "models", "profile", "probe", "sweep", "calibrate", "serve"),
    "This command line": ("completion",),
}
ABOUT = {
    "run": "measure every candidate on this machine, and say how to run it",
    "recommend": "search all ways to run it, then measure the best few",
    "simulate": "predict every candidate by simulation, in seconds",
    "score": "predict, measure, and show the error of every figure",
    "studio": "design a pipeline in the browser, simulated as you type",
    "init": "create a workload from a list of starting points",
    "check": "show a workload's graph, width, span, work and mistakes",
    "import": "make a workload from a graph, a crew, traces or a program",
    "migrate": "rename old keys in workloads of an earlier Slotwise",
    "report": "show a run's report again, or its settings to copy",
    "apply": "write the settings that a run recommends; --revert takes it back",
    "runs": "list runs, with filters",
    "compare": "show what became faster or slower between runs",
    "export": "write a run as spans, trace or CSV; a graph as Mermaid or DOT",
    "doctor": "check what this machine has, and how to get what is missing",
    "models": "list the built-in models, or fetch one",
    "profile": "list the profiles of machines, or show what one knows",
    "list": "which there are: machine, model, origin, error",
    "show": "what one knows, how sure it is, and what to measure",
    "new": "estimate one of a machine that you do not have",
    "devices": "list the devices that can be estimated, with their figures",
    "profile models": "list the models that can be estimated on a device",
    "probe": "find how many slots a server really has, and what they gain",
    "sweep": "find how many slots this machine can use for a model",
    "calibrate": "measure what each step of a server costs; makes a profile",
    "serve": "start an Ollama-compatible server, real or simulated",
    "completion": "print what makes bash, zsh or fish complete it with Tab",
    "langgraph": "of a compiled LangGraph",
    "traces": "of OpenTelemetry GenAI spans",
    "crewai": "of a CrewAI project",
    "record": "of the calls of a program that it runs",
    "pull": "fetch one into the cache, once",
}
BEGIN = (
    "slotwise doctor             # what this machine has, what is missing",
    "slotwise init my-pipeline   # a workload to start from",
    "slotwise run my-pipeline/workloads/research-digest.yaml",
)

_WHAT = ("only", "scale", "seed", "policies")
_PROFILE = ("profile", "price", "assume", "extrapolate", "resamples", "lengths", "forecast")
_REPEATS = ("repeats", "warmup", "until", "at_most", "seeds", "budget", "measure")
_SERVERS = ("engine", "model", "server", "max_slots", "memory")
_SEARCH = ("workers", "cluster")
_OUTPUT = (
    "out",
    "as_json",
    "json",
    "json_",
    "markdown",
    "mermaid",
    "dot",
    "html",
    "chart",
    "force",
    "fail_on",
    "junit",
    "quiet",
)
_RUN = {
    "What to run": _WHAT,
    "On which servers": _SERVERS,
    "On which profile": _PROFILE,
    "How long and how often": _REPEATS,
    "The search": _SEARCH,
    "Output": _OUTPUT,
}
_GATEWAY = (
    *(
        "upstream",
        "run",
        "concurrency",
        "limit",
        "reserve",
        "scheduling",
        "ageing_s",
        "placement",
        "queue",
        "default_class",
    ),
    *("interactive_model", "interactive_key", "interactive_user_agent", "allow_host", "allow_origin"),
    "upstream_key_env",
)
_SIMULATED = ("profile", "speed_up", "assume", "extrapolate", "fault", "fault_seed", "fault_delay_s")

# By command: sections of its options, by their parameters. What none names stands under "Options".
OPTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "run": _RUN,
    "recommend": _RUN,
    "simulate": _RUN,
    "score": _RUN,
    "calibrate": {"How long": ("quick", "thorough"), "The profile": ("name", "out", "machine", "force", "as_json")},
    "serve": {"A simulation instead": _SIMULATED, "A gateway before running servers instead": _GATEWAY},
}

EXAMPLES = {
    "run": (
        "slotwise run workloads/research-digest.yaml",
        "slotwise run FILE --repeats 2 --warmup 0            # a first look",
        "slotwise run FILE --engine ollama --model llama3.2  # its own Ollama",
        "slotwise run FILE --server http://127.0.0.1:11434   # on your server",
        "slotwise run FILE --until resolved --at-most 10m    # enough repeats",
        "slotwise run --resume reports/NAME                  # after Ctrl-C",
    ),
    "recommend": (
        "slotwise recommend FILE                             # at most 5 minutes",
        "slotwise recommend FILE --profile NAME --no-measure # prediction only",
        "slotwise recommend FILE --memory 8GB --budget 20m",
    ),
    "simulate": (
        "slotwise simulate FILE --profile epyc-2core",
        "slotwise simulate FILE --profile NAME --profile OTHER  # which machine?",
    ),
    "score": (
        "slotwise score FILE --profile NAME",
        "slotwise score FILE --profile NAME --run reports/NAME  # an existing run",
    ),
    "calibrate": (
        "slotwise calibrate llamacpp --slots 1,2,4           # about 7 minutes",
        "slotwise calibrate ollama --model llama3.2 --quick",
        "slotwise calibrate http://127.0.0.1:11434 --model llama3.2",
    ),
    "profile": ("slotwise profile list", "slotwise profile show h100-8b"),
    "probe": (
        "slotwise probe llamacpp:4",
        "slotwise probe http://127.0.0.1:11434 ollama:4 --model llama3.2",
    ),
    "sweep": (
        "slotwise sweep",
        "slotwise sweep --model a.gguf --model b.gguf --context 4096",
        "slotwise sweep --server http://127.0.0.1:11434 --model llama3.2",
    ),
    "serve": (
        "slotwise serve --slots 4",
        "slotwise serve --profile epyc-2core --slots 4 --port 11436",
        "slotwise serve --upstream http://127.0.0.1:11434 --slots 4 --limit 4",
    ),
    "check": ("slotwise check FILE", "slotwise check FILE --mermaid", "slotwise check --schema > schema.json"),
    "migrate": ("slotwise migrate workloads", "slotwise migrate FILE --check               # changes nothing"),
    "report": (
        "slotwise report reports/NAME",
        "slotwise report reports/NAME --settings systemd",
    ),
    "apply": (
        "slotwise apply reports/NAME --dry-run               # changes nothing",
        "slotwise apply reports/NAME",
        "slotwise apply reports/NAME --revert",
    ),
    "runs": ("slotwise runs --since 7d", "slotwise runs --name digest --origin measured"),
    "compare": (
        "slotwise compare reports/BEFORE reports/AFTER",
        "slotwise compare reports/NOW --baseline summary.json --fail-on regression",
    ),
    "export": (
        "slotwise export reports/NAME --as perfetto -o trace.json",
        "slotwise export FILE --as mermaid",
    ),
    "completion": (
        "slotwise completion bash >> ~/.bash_completion",
        "slotwise completion zsh > ~/.zfunc/_slotwise   # a folder of $fpath",
        "slotwise completion fish > ~/.config/fish/completions/slotwise.fish",
    ),
    "init": ("slotwise init --list", "slotwise init my-pipeline --from chat-only"),
}

# How typer, and click before it, write types and ranges; and how people do.
_WORDS = (
    (re.compile(r"<int(?: range)?>|\bINTEGER(?: RANGE)?\b"), "N"),
    (re.compile(r"<float(?: range)?>|\bFLOAT(?: RANGE)?\b"), "X"),
    (re.compile(r"<path>"), "PATH"),
    (re.compile(r"<(?:list\[)?(?:str|path)\]?>"), "TEXT"),
    (re.compile(r"default: \((.+?)\)"), r"default: \1"),
    (re.compile(r"\b(\d[\d_]*)<=x<=(\d[\d_]*)"), r"\1 to \2"),
    (re.compile(r"\bx>=(\d+)"), r"at least \1"),
)


# "..." that a name has already, and the library puts behind it again.
_DOTS = re.compile(r"(?:\.\.\.)+(\]?)(?:\.\.\.)+")


def _words(text: str) -> str:
    for pattern, word in _WORDS:
        text = pattern.sub(word, text)
    return text


def _upper(piece: str) -> str:
    bare = re.sub("[{}]", "", piece)  # typer's braces say no more than that there are no brackets
    once = _DOTS.sub(r"...\1", bare)
    return once.upper() if once.strip("[].").islower() else once


class Command(TyperCommand):
    """A command whose options stand in sections, and whose examples follow."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Write what is to be replaced in capitals, as in the examples."""
        return [_upper(piece) for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options by section."""
        records = [(param, param.get_help_record(ctx)) for param in self.get_params(ctx)]
        known = [(param, (_words(record[0]), _words(record[1]))) for param, record in records if record is not None]
        sections = OPTIONS.get(ctx.command.name or "", {})
        of_name = {name: title for title, names in sections.items() for name in names}
        rows: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{title: [] for title in sections}, "Options": []}
        for param, row in known:
            if param.param_type_name == "argument":
                rows["Arguments"].append((_upper(row[0].split()[0]), row[1]))
            else:
                rows[of_name.get(param.name or "", "Options")].append(row)
        for title, listed in rows.items():
            if listed:
                with formatter.section(title):
                    formatter.write_dl(listed)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples, as they are to be typed."""
        if examples := EXAMPLES.get(ctx.command.name or ""):
            with formatter.section("Examples"):
                for line in examples:
                    formatter.write(f"  {line}\n")


def _about(ctx: Any, name: str) -> str:
    """Say what a command is for; one of a command may have the name of another."""
    return ABOUT.get(f"{ctx.command.name} {name}") or ABOUT.get(name, "")


class Commands(TyperGroup):
    """The commands, by what they are for, each with what it answers in one line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write them by section; what none of them names comes last."""
        sections = COMMANDS if ctx.parent is None else {}  # those of a command have one of their own
        named = [name for names in sections.values() for name in names]
        others = tuple(name for name in self.list_commands(ctx) if name not in named)
        width = max(map(len, self.commands), default=0)
        for title, names in {**sections, "Commands": others}.items():
            rows = [(f"{name:<{width}}", _about(ctx, name)) for name in names if name in self.commands]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Tell a newcomer where to begin."""
        if ctx.parent is None:
            with formatter.section("Getting started"):
                for line in BEGIN:
                    formatter.write(f"  {line}\n")
