"""How much of the prompts a server found again, in words: under every candidate, and beside another one."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.found_again import FoundAgain
from harness.analysis.model import Analysis, CandidateSummary
from harness.units import percent
from harness.wording.figures import listed, quoted

__all__ = ["found_again_because", "found_again_texts", "with_found_again"]

_SAID = "found again"
_MOST_NODES = 3  # by name
_WORTH_NAMING = 0.02  # of the prompts' tokens


def found_again_texts(analysis: Analysis, pipelines: Sequence[str]) -> tuple[str, ...]:
    """Say for each of these pipelines which share of its prompt tokens each candidate found again."""
    return tuple(text for pipeline in pipelines if (text := _text(analysis.candidates, pipeline)))


def with_found_again(told: Sequence[str], mine: CandidateSummary, theirs: CandidateSummary | None) -> Sequence[str]:
    """Return what was told of one candidate against another, with the shares of the prompts that they find again.

    Of several pipelines that with the most of such prompts; nothing more where nothing may be kept, or it was told.
    """
    found = [(s.found_again.prompt_tokens, s.pipeline, s.found_again) for s in mine.pipelines if s.found_again]
    if not found or any(_SAID in text for text in told):
        return told
    _, pipeline, again = max(found)
    other = None if theirs is None else _found(theirs, pipeline)
    if again.share is None:
        text = f"{_of(pipeline, again)}, it is not known how much is {_SAID}: the server does not say."
    elif theirs is None or other is None or other.share is None:
        text = f"{_of(pipeline, again)}, {_percent(again.share)} are {_SAID}."
    else:
        shares = _percent(again.share), _percent(other.share)
        text = f'{_of(pipeline, again)}, {shares[0]} are {_SAID}, {shares[1]} under "{theirs.name}".'
    # With the first sentence: where a screen is too short, the last ones are left out.
    return (f"{told[0]} {text}", *told[1:]) if told else (text,)


def found_again_because(mine: CandidateSummary, theirs: CandidateSummary, pipeline: str) -> str:
    """Say in brackets which shares of a pipeline's prompts two candidates find again; "" where these are alike."""
    shares = [again.share if (again := _found(one, pipeline)) else None for one in (mine, theirs)]
    first, second = shares
    if first is None or second is None or abs(first - second) < _WORTH_NAMING:
        return ""
    return f" ({_percent(first)} of them {_SAID} instead of {_percent(second)})"


def _percent(share: float) -> str:
    return percent(share) if share else "none"


def _text(candidates: Sequence[CandidateSummary], pipeline: str) -> str:
    found = {candidate.name: again for candidate in candidates if (again := _found(candidate, pipeline))}
    if not found:
        return ""
    groups: dict[str, list[str]] = {}
    for name, again in sorted(found.items(), key=lambda pair: -(pair[1].share or 0.0)):
        groups.setdefault("not known" if again.share is None else _percent(again.share), []).append(name)
    said = [f"{share} under {quoted(names)}" for share, names in groups.items()]
    unknown = " (the server does not say)" if "not known" in groups else ""
    return f"{_of(pipeline, next(iter(found.values())))}, servers found again: {'; '.join(said)}{unknown}."


def _found(candidate: CandidateSummary, pipeline: str) -> FoundAgain | None:
    return next((s.found_again for s in candidate.pipelines if s.pipeline == pipeline), None)


def _of(pipeline: str, again: FoundAgain) -> str:
    """Name whose prompts they are: nodes, or the pipeline where these are many."""
    return f"Of the prompt tokens of {listed(again.nodes) if len(again.nodes) <= _MOST_NODES else pipeline}"
