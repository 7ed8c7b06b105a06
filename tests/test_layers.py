"""Who may import whom (docs/explanation/design.md), read from the source with `ast`."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import processes
import pytest

from harness.workload.schema import KINDS, ServerBase

ROOT = Path(__file__).parent.parent
HARNESS = ROOT / "harness"

# What a folder of harness/ may import from harness besides itself; "errors" and "units" are leaves. Only "wording" and
# "recommend" know each other: the one says what the other found, of which it knows the facts alone.
MAY_IMPORT = {
    "core": {"errors", "units"},
    "workload": {"core", "content", "errors", "units"},
    "servers": {"core", "workload", "profiles", "content", "errors", "units"},
    "drivers": {"core", "errors", "units"},
    "gateway": {"core", "drivers", "servers", "units"},
    "profiles": {"core", "workload", "content", "errors", "units"},
    "estimate": {"core", "profiles", "workload", "errors", "units"},
    "runs": {"core", "workload", "errors", "units"},
    "analysis": {"core", "runs", "workload", "deploy", "errors", "units"},  # deploy: the verdict alone, see below
    "deploy": {"core", "analysis", "workload", "errors", "units"},  # of analysis its model alone, see below
    "measure": {"core", "workload", "servers", "drivers", "profiles", "runs", "analysis", "wording", "errors", "units"},
    "predict": {"core", "workload", "drivers", "profiles", "runs", "analysis", "content", "wording", "errors", "units"},
    "imports": {"workload", "errors", "units"},
    "recommend": {
        *("core", "workload", "servers", "drivers", "profiles", "runs", "analysis", "measure", "predict"),
        *("wording", "errors", "own_policies", "units"),
    },
    "wording": {"core", "profiles", "runs", "analysis", "recommend", "errors", "units"},
    "report": {
        *("core", "workload", "runs", "profiles", "analysis", "deploy", "predict", "imports", "recommend", "wording"),
        *("errors", "units"),
    },
}
for folder in ("servers", "drivers", "measure"):  # all that ask servers
    MAY_IMPORT[folder].add("bounded")
MAY_IMPORT["app"] = {*MAY_IMPORT, "bounded", "compiled", "content", "errors", "own_policies", "units"}
MAY_IMPORT["interface"] = MAY_IMPORT["app"] - {"cli"} | {"app"}
MAY_IMPORT["studio"] = {"app", "servers", "errors", "units"}  # servers: who is let in, and how processes are started
# analysis: the type of what is printed; deploy: the kinds of settings, for the help
MAY_IMPORT["cli"] = {"app", "analysis", "deploy", "report", "studio", "errors", "units"}
WAITS = {"asyncio", "time", "random", "httpx", "socket", "langchain_core", "langchain_ollama", "threading", "os", "io"}
HEAVY = {"langchain_core", "langchain_ollama", "scipy", "numpy", "altair", "starlette", "httpx", "xllamacpp"}


def _imports(path: Path) -> set[str]:
    names = set()
    for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(item, ast.Import):
            names |= {alias.name for alias in item.names}
        elif isinstance(item, ast.ImportFrom) and item.module:
            assert item.level == 0, f"{path}: relative import"
            names.add(item.module)
    return names


def _own(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("harness.")}


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_imports_point_one_way(folder: str) -> None:
    for path in (HARNESS / folder).rglob("*.py"):
        assert _own(_imports(path)) <= MAY_IMPORT[folder] | {folder}, path.relative_to(ROOT)


def test_wording_knows_facts_and_no_machinery() -> None:
    """Predictions and recommendations have what they found said, so of them it may know only what they found."""
    for path in (HARNESS / "wording").rglob("*.py"):
        found = {name for name in _imports(path) if name.startswith("harness.recommend")}
        assert found <= {"harness.recommend.model", "harness.recommend.facts"}, path.relative_to(ROOT)
    for name in ("model", "facts"):
        known = _own(_imports(HARNESS / f"recommend/{name}.py"))
        assert known <= {"core", "workload", "analysis", "recommend"}, name


def test_every_folder_has_a_rule() -> None:
    assert {p.name for p in HARNESS.iterdir() if (p / "__init__.py").is_file()} == set(MAY_IMPORT)


def test_benchmarks_use_the_app_and_not_the_command_line() -> None:
    for path in (ROOT / "benchmarks").rglob("*.py"):
        text = path.read_text(encoding="utf-8")  # all of it: one runs code that it has as a text
        assert "harness.cli" not in text, path.relative_to(ROOT)


def test_the_app_prints_nothing_and_knows_no_terminal() -> None:
    for path in (HARNESS / "app").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not {name.split(".")[0] for name in _imports(path)} & {"typer", "rich", "click"}, path.name
        names = {item.id for item in ast.walk(tree) if isinstance(item, ast.Name)}
        assert not names & {"print", "input"}, path.name
        attributes = [item for item in ast.walk(tree) if isinstance(item, ast.Attribute)]
        used = {item.attr for item in attributes if ast.unparse(item.value) == "sys"}
        assert not used & {"argv", "stdin", "stdout", "stderr"}, path.name


def test_the_core_never_waits() -> None:
    for path in (HARNESS / "core").rglob("*.py"):
        found = {name.split(".")[0] for name in _imports(path)}
        assert not found & WAITS, path.relative_to(ROOT)
        assert not any(
            isinstance(item, ast.AsyncFunctionDef | ast.Await) for item in ast.walk(ast.parse(path.read_text()))
        )


def test_the_live_and_the_virtual_driver_do_not_know_each_other() -> None:
    assert "harness.drivers.virtual" not in _imports(HARNESS / "drivers/live.py")
    assert "harness.drivers.live" not in _imports(HARNESS / "drivers/virtual.py")


def test_langchain_is_imported_by_the_drivers_only() -> None:
    for path in HARNESS.rglob("*.py"):
        if any(name.startswith("langchain") for name in _imports(path)):
            assert path.relative_to(HARNESS).parts[0] == "drivers"


def test_settings_are_written_from_what_the_analysis_says() -> None:
    """`deploy` knows the model of an analysis only; of `deploy` the analysis knows what the verdict calls only."""
    for path in (HARNESS / "deploy").rglob("*.py"):
        found = {name for name in _imports(path) if name.startswith("harness.analysis")}
        assert found <= {"harness.analysis.model"}, path.relative_to(ROOT)
    for path in (HARNESS / "analysis").rglob("*.py"):
        found = {name for name in _imports(path) if name.startswith("harness.deploy")}
        assert found <= ({"harness.deploy.settings"} if path.name == "verdict.py" else set()), path.relative_to(ROOT)


# The kinds of servers, by their classes and in `kind`; only these folders may ask which one a server is.
SERVER_CLASSES = {base.__name__ for kind in KINDS.values() for base in kind.__mro__ if issubclass(base, ServerBase)}
MAY_ASK = (HARNESS / "servers", HARNESS / "workload/schema")


def _asks_which_kind(tree: ast.AST) -> list[int]:
    """Return the lines on which code asks for the kind of a server: by its class, or by a literal."""

    def classes(part: ast.AST) -> bool:
        names = {item.id if isinstance(item, ast.Name) else getattr(item, "attr", "") for item in ast.walk(part)}
        return bool(names & SERVER_CLASSES)

    def literal(part: ast.AST) -> bool:
        return any(isinstance(item, ast.Constant) and item.value in KINDS for item in ast.walk(part))

    def kind(part: ast.AST) -> bool:
        return isinstance(part, ast.Attribute) and part.attr == "kind"

    found = []
    for item in ast.walk(tree):
        match item:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, named]):
                asks = classes(named)
            case ast.match_case(pattern=pattern):
                asks = any(isinstance(part, ast.MatchClass) and classes(part.cls) for part in ast.walk(pattern))
            case ast.Match(subject=subject, cases=cases):
                asks = kind(subject) and any(literal(case.pattern) for case in cases)
            case ast.Compare(left=left, comparators=others):
                sides = [left, *others]
                asks = any(map(classes, sides)) or (any(map(kind, sides)) and any(map(literal, sides)))
            case _:
                asks = False
        if asks:
            found.append(getattr(item, "lineno", 0) or item.pattern.lineno)  # type: ignore[attr-defined]  # a match_case
    return found


def test_nobody_else_asks_which_kind_a_server_is() -> None:
    for path in HARNESS.rglob("*.py"):
        if not any(path.is_relative_to(folder) for folder in MAY_ASK):
            assert not _asks_which_kind(ast.parse(path.read_text(encoding="utf-8"))), path.relative_to(ROOT)


@pytest.mark.parametrize(
    ("code", "asks"),
    [
        ("isinstance(spec, OllamaServer)", True),
        ("isinstance(spec, schema.EngineServer | SimulatedServer)", True),
        ("issubclass(kind, (LlamaCppServer, int))", True),
        ("type(spec) is OllamaServer", True),
        ("match spec:\n    case OllamaServer(url=None): pass", True),
        ("match spec:\n    case int() | ServerBase(): pass", True),
        ("match spec.kind:\n    case 'ollama': pass", True),
        ("spec.kind == 'simulated'", True),
        ("'llamacpp' != server.kind", True),
        ("use.kind in ('ollama', 'llamacpp')", True),
        ("OllamaServer(kind='ollama', model=model)", False),
        ("isinstance(arrival, Closed) and spec.running", False),
        ("node.kind == 'agent'", False),
        ("spec.kind == like.kind", False),
    ],
)
def test_how_a_kind_is_asked_for(code: str, asks: bool) -> None:
    assert bool(_asks_which_kind(ast.parse(code))) is asks


# Read only with a workload: policies of installed packages are looked for then.
WITH_A_WORKLOAD = {"harness.own_policies", "harness.workload.load", "networkx"}


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [(["--help"], HEAVY | WITH_A_WORKLOAD), (["check", "workloads/research-digest.yaml"], HEAVY)],
    ids=["--help", "check"],
)
def test_quick_commands_load_nothing_heavy(arguments: list[str], heavy: set[str]) -> None:
    code = (
        "import sys\nfrom harness.cli.app import _main\nsys.argv = ['slotwise', *sys.argv[1:]]\n"
        "try:\n    code = _main()\nexcept SystemExit as exit:\n    code = exit.code\nassert not code, code\n"
        f"found = {heavy} & set(sys.modules)\nassert not found, found\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = processes.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
