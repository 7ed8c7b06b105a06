"""Every helper of the tests says what it is for, in its docstring and in tests/README.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

FOLDER = Path(__file__).parent
HELPERS = sorted(path for path in FOLDER.rglob("*.py") if not path.name.startswith("test_"))


def test_the_readme_lists_all_helpers_and_nothing_else() -> None:
    listed = re.findall(r"^\| `(\S+\.py)` \| .", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(path.relative_to(FOLDER).as_posix() for path in HELPERS)


def test_every_helper_has_a_docstring() -> None:
    for path in HELPERS:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
