"""Every helper of the tests says what it is for, in its docstring and in tests/README.md."""

from __future__ import annotations

import ast
import re
import shlex
import signal
import sys
from pathlib import Path

import processes
import pytest

FOLDER = Path(__file__).parent
HELPERS = sorted(path for path in FOLDER.rglob("*.py") if not path.name.startswith("test_"))


def test_the_readme_lists_all_helpers_and_nothing_else() -> None:
    listed = re.findall(r"^\| `(\S+\.py)` \| .", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(path.relative_to(FOLDER).as_posix() for path in HELPERS)


def test_every_helper_has_a_docstring() -> None:
    for path in HELPERS:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_every_process_is_started_by_the_helper() -> None:
    """It gives each a time limit; programs in quotes, and the fake Ollama's own, are theirs."""
    starts = re.compile(r"(?<!import )\b(subprocess\.(run|call|check_\w+|Popen)|create_subprocess_\w+)\(")
    for path in FOLDER.rglob("*.py"):
        if path.name in ("processes.py", "fake_ollama.py"):
            continue
        called = [ast.unparse(node.func) + "(" for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                  if isinstance(node, ast.Call)]  # fmt: skip
        assert not [name for name in called if starts.search(name)], f"{path.name}: use processes.run or .started"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_process_hears_what_the_shell_before_it_ignored(number: signal.Signals) -> None:
    code = "import processes, signal, sys; processes.hear_signals(); processes.run([sys.executable, '-c', sys.argv[1]])"
    asked = f"import signal; print(signal.getsignal({int(number)}) is signal.SIG_IGN, flush=True)"
    shell = f'trap "" INT HUP; exec {shlex.quote(sys.executable)} -c "$1" "$2"'
    done = processes.run(["sh", "-c", shell, "sh", code, asked], cwd=FOLDER, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_a_process_that_does_not_end_is_ended() -> None:
    with processes.started([sys.executable, "-c", "import time; time.sleep(600)"], limit_s=0.1) as process:
        assert process.wait() == -signal.SIGKILL
