"""A pipeline that comes `after` another, in words: what its graph costs or gains."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.model import Sequel
from harness.wording.figures import ratio_text

__all__ = ["sequel_answers", "sequels_text"]


def sequels_text(sequels: Sequence[Sequel]) -> tuple[str, ...]:
    """Say for each later pipeline how it stands to the first, under every candidate."""
    texts: dict[tuple[str, str], list[str]] = {}
    for candidate, c in sequels:
        said = {
            "equivalent": ", equal within 5 %,",
            "unresolved": "" if c.interval is None else ", no measurable difference,",
        }
        texts.setdefault((c.candidate, c.against), []).append(
            f'{ratio_text(c)}{said.get(c.relation, "")} under "{candidate}"'
        )
    return tuple(
        f"{pipeline} against {first}, which ran before it on the same servers: {'; '.join(parts)}."
        for (pipeline, first), parts in texts.items()
    )


def sequel_answers(sequels: Sequence[Sequel], candidate: str) -> tuple[str, ...]:
    """Say it in one sentence for the candidate that was chosen."""
    answers = []
    for _, c in (sequel for sequel in sequels if sequel.candidate == candidate):
        under = f'Under "{candidate}", {c.candidate}'
        if c.relation == "equivalent":
            answers.append(f"{under} takes as long as {c.against}, within 5 %.")
        elif c.relation == "unresolved" and c.low is not None:
            answers.append(f"{under} shows no measurable difference from {c.against}: {ratio_text(c)}.")
        else:
            answers.append(f"{under} takes {ratio_text(c)} as long as {c.against}.")
    return tuple(answers)
