"""Role cards: the format, and where they are looked for."""

# ruff: noqa: E501  whole messages stand on one line each

from __future__ import annotations

from pathlib import Path

import pytest

from harness import content
from harness.errors import WorkloadError
from harness.workload.agents import find_card, read_card
from harness.workload.schema import AgentSpec

CARD = """\
---
output_tokens: 24
temperature: 0.5
---
For people.

## System
You are brief.

## Prompt

Say {item}.

### Not a section
End.
"""


def test_sections(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(CARD)
    card = read_card(path)
    assert card.spec == AgentSpec(
        prompt="Say {item}.\n\n### Not a section\nEnd.",
        system="You are brief.",
        output_tokens=24,
        temperature=0.5,
    )
    assert card.where(4) == f"{path}:12:5"
    assert card.where(len("Say {item}.\n\n")) == f"{path}:14:1"
    assert card.where(8, system=True) == f"{path}:8:9"


def test_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_bytes(CARD.replace("\n", "\r\n").encode())
    assert read_card(path).spec.system == "You are brief."


def test_body_alone_is_the_prompt(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("---\noutput_tokens: 3\n---\n\nSay {item}.\n")
    card = read_card(path)
    assert (card.spec.prompt, card.spec.system, card.prompt_line) == ("Say {item}.", None, 5)


REFUSED = {
    "no front matter": ("Say.\n", ":1:1: expected front matter: a line ---, `output_tokens: N`, a line ---"),
    "no end": ("---\noutput_tokens: 3\n", ":1:1: expected a second line --- that ends the front matter, found none"),
    "no tokens": (
        "---\nmodel: m\n---\nSay.\n",
        ":2:1: output_tokens is missing (most tokens of one answer (num_predict))",
    ),
    "nothing in front matter": (
        "---\n---\nSay.\n",
        ":2:1: output_tokens is missing (most tokens of one answer (num_predict))",
    ),
    "unknown key": ("---\noutput_tokens: 3\nmodl: x\n---\nSay.\n", ':3:1: unknown key "modl"; did you mean "model"?'),
    "prompt above": ("---\noutput_tokens: 3\nprompt: x\n---\nSay.\n", ":3:1: `prompt` stands below the front matter, not in it"),
    "no prompt": ("---\noutput_tokens: 3\n---\n\n", ":5:1: expected a prompt, found nothing"),
    "empty prompt": ("---\noutput_tokens: 3\n---\n## Prompt\n## System\nx\n", ":5:1: expected a prompt, found nothing"),
    "system alone": ("---\noutput_tokens: 3\n---\n## System\nx\n", ":4:1: ## System needs a section ## Prompt as well"),
    "twice": ("---\noutput_tokens: 3\n---\n## Prompt\nx\n## Prompt\ny\n", ":6:1: there are two sections ## Prompt; keep one"),
    "a list": ("---\n- a\n---\nSay.\n", ":2:1: expected a mapping (output_tokens: 24) as front matter"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    text, expected = REFUSED[case]
    path = tmp_path / "a.md"
    path.write_text(text)
    with pytest.raises(WorkloadError) as caught:
        read_card(path)
    assert str(caught.value).removeprefix(str(path)) == expected


def card_saying(folder: Path, name: str, text: str) -> None:
    (folder / "agents").mkdir(parents=True, exist_ok=True)
    (folder / "agents" / f"{name}.md").write_text(f"---\noutput_tokens: 3\n---\n{text}\n")


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own folder, the folder beside it, the working directory, what is shipped: the first that has it."""
    own, cwd = tmp_path / "project" / "workloads", tmp_path / "cwd"
    own.mkdir(parents=True)
    cwd.mkdir()
    monkeypatch.chdir(cwd)

    def prompt() -> str:
        card = find_card("chat", own)
        assert card is not None
        return card.spec.prompt

    shipped = read_card(content.shipped() / "agents" / "chat.md").spec.prompt
    assert prompt() == shipped
    for folder, text in ((cwd, "cwd"), (tmp_path / "project", "beside"), (own, "own")):
        card_saying(folder, "chat", text)
        assert prompt() == text
    assert find_card("nobody", own) is None
    assert "chat" in content.available("agents", ".md", own)


def test_a_card_behind_a_link_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    project = tmp_path / "project"
    (project / "agents").mkdir(parents=True)
    (project / "agents" / "a.md").symlink_to(tmp_path / "secret")
    with pytest.raises(WorkloadError, match="leads out of"):
        find_card("a", project)


def test_shipped_cards_are_readable() -> None:
    cards = sorted((content.shipped() / "agents").glob("*.md"))
    assert len(cards) >= 6
    for path in cards:
        read_card(path)
