"""Role cards: `agents/NAME.md`, YAML front matter and a prompt template.

    ---
    output_tokens: 24
    ---
    What stands here is for people and is not sent.

    ## System
    You summarise.

    ## Prompt
    Summarise this: {item}

A body without a `## Prompt` line is the template as a whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from harness import content
from harness.errors import WorkloadError
from harness.workload.mistakes import validate
from harness.workload.schema import AgentSpec
from harness.workload.source import Source, parse_yaml, read_text

__all__ = ["Card", "find_card", "read_card"]

MAX_CARD_BYTES = 64 * 1024


class Card(NamedTuple):
    """An agent and the file it came from; the lines say where its texts begin in it."""

    path: Path
    spec: AgentSpec
    prompt_line: int
    system_line: int

    def where(self, offset: int, *, system: bool = False) -> str:
        """Return `file:line:column` of a place in the prompt (or in the system message)."""
        text = (self.spec.system or "") if system else self.spec.prompt
        line = (self.system_line if system else self.prompt_line) + text.count("\n", 0, offset)
        return f"{self.path}:{line}:{offset - (text.rfind(chr(10), 0, offset) + 1) + 1}"


def find_card(name: str, near: Path) -> Card | None:
    """Read the card of agent `name`, looked for as `content.find` does; None where there is none."""
    path = content.find("agents", f"{name}.md", near)
    return None if path is None else read_card(path)


def read_card(path: Path) -> Card:
    """Read a role card; WorkloadError where it is not one."""
    lines = read_text(path, MAX_CARD_BYTES).replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        raise WorkloadError(f"{path}:1:1", "expected front matter: a line ---, `output_tokens: N`, a line ---")
    end = next((i for i, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        raise WorkloadError(f"{path}:1:1", "expected a second line --- that ends the front matter, found none")
    source = parse_yaml("\n".join(lines[1:end]), str(path), first_line=2)
    data = {} if source.data is None else source.data
    if not isinstance(data, dict):
        raise WorkloadError(source.where(()), "expected a mapping (output_tokens: 24) as front matter")
    for key in ("prompt", "system"):
        if key in data:
            raise WorkloadError(source.where((key,), key=True), f"`{key}` stands below the front matter, not in it")

    prompt, prompt_line, system, system_line = _sections(path, lines, end + 1)
    whole = {**data, "prompt": prompt} | ({"system": system} if system else {})
    values = {**source.values, (): source.values.get((), (2, 1))}
    spec = validate(AgentSpec, Source(str(path), whole, source.keys, values), path.parent)
    return Card(path, spec, prompt_line, system_line)


def _sections(path: Path, lines: list[str], start: int) -> tuple[str, int, str, int]:
    """Return prompt and system message, each with the line (from 1) where it begins."""
    heads: dict[str, int] = {}
    for i in range(start, len(lines)):
        if match := re.fullmatch(r"## (Prompt|System)\s*", lines[i]):
            if match[1] in heads:
                raise WorkloadError(f"{path}:{i + 1}:1", f"there are two sections ## {match[1]}; keep one")
            heads[match[1]] = i
    if "System" in heads and "Prompt" not in heads:
        raise WorkloadError(f"{path}:{heads['System'] + 1}:1", "## System needs a section ## Prompt as well")

    def text(first: int) -> tuple[str, int]:
        last = min((i for i in heads.values() if i >= first), default=len(lines))
        while first < last and not lines[first].strip():
            first += 1
        return "\n".join(lines[first:last]).rstrip(), first + 1

    prompt, prompt_line = text(heads["Prompt"] + 1 if "Prompt" in heads else start)
    if not prompt:
        raise WorkloadError(f"{path}:{min(prompt_line, len(lines))}:1", "expected a prompt, found nothing")
    system, system_line = text(heads["System"] + 1) if "System" in heads else ("", 0)
    return prompt, prompt_line, system, system_line
