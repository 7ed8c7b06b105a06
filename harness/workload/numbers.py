"""A file of numbers, one a line: what an empirical distribution is made of."""

from __future__ import annotations

import math
from pathlib import Path

from harness.content import check_inside
from harness.errors import WorkloadError
from harness.workload.source import read_text

__all__ = ["MAX_NUMBERS", "read_numbers"]

MAX_NUMBERS = 10_000


def read_numbers(name: str, folder: Path) -> tuple[float, ...]:
    """Read the numbers (0 or more) in a file below `folder`; empty lines and `#` comments are skipped.

    Raises:
        WorkloadError: a path that leads out of the folder, no such file, a line that is no such number, too many.
    """
    if Path(name).is_absolute() or name.startswith(("~", "\\")) or ".." in Path(name).parts:
        raise WorkloadError(name, "expected a path that stays in the workload's folder")
    path = folder / name
    check_inside(path, folder)
    text = read_text(path)
    numbers: list[float] = []
    for n, line in enumerate(text.splitlines(), start=1):
        written = line.partition("#")[0].strip()
        if not written:
            continue
        try:
            number = float(written)
        except ValueError:
            number = math.nan
        if not 0 <= number < math.inf:
            shown = written if len(written) <= 40 else written[:37] + "..."
            raise WorkloadError(f"{path}:{n}:1", f'expected a number of 0 or more, found "{shown}"')
        if len(numbers) == MAX_NUMBERS:
            raise WorkloadError(f"{path}:{n}:1", f"expected at most {MAX_NUMBERS} numbers, found more")
        numbers.append(number)
    if not numbers:
        raise WorkloadError(str(path), "expected numbers, one a line, found none")
    return tuple(numbers)
