"""The settings of a candidate that are to be copied, whole."""

from __future__ import annotations

from harness.analysis.model import Analysis, Settings
from harness.deploy.kinds import SETTINGS
from harness.deploy.settings import settings_for
from harness.errors import UserError, did_you_mean
from harness.recommend.model import Recommendation

__all__ = ["answer_settings", "check_kind", "chosen_candidate", "settings_text"]


def settings_text(analysis: Analysis, kind: str, candidate: str | None = None) -> str:
    """Return the settings of one kind, whole: of a candidate, left out: of the recommended one.

    Raises:
        UserError: no such kind or candidate, or none or several are recommended.
    """
    return _whose(analysis, candidate).whole(check_kind(kind))


def answer_settings(recommendation: Recommendation, kind: str) -> str:
    """Return the settings of one kind of an answer; of two candidates one after the other, each with its name.

    Raises:
        UserError: no such kind.
    """
    analysis = (recommendation.confirmation or recommendation).analysis
    texts = {one.candidate: one.whole(check_kind(kind)) for one in analysis.choice.settings}
    if len(texts) == 1:
        return "".join(texts.values())
    return "\n".join(f"# {name}\n{text}" for name, text in texts.items())


def check_kind(kind: str) -> str:
    """Return the kind of settings that is asked for; UserError where there is none of that name."""
    if kind not in SETTINGS:
        raise UserError(f'--settings: expected {", ".join(SETTINGS)}, found "{kind}"{did_you_mean(kind, SETTINGS)}')
    return kind


def chosen_candidate(analysis: Analysis, name: str | None) -> str:
    """Return the candidate of this name, left out: the recommended one.

    Raises:
        UserError: there is none of that name, or none or several are recommended.
    """
    names = [candidate.name for candidate in analysis.candidates]
    if name is not None:
        if name not in names:
            raise UserError(
                f'--candidate: expected one of {", ".join(names)}, found "{name}"{did_you_mean(name, names)}'
            )
        return name
    recommended = analysis.choice.settings
    if len(recommended) != 1:
        said = "several are recommended, each for a path" if recommended else "none is recommended"
        listed = ", ".join(one.candidate for one in recommended) or ", ".join(names)
        raise UserError(f"{said}: choose with --candidate NAME ({listed})")
    return recommended[0].candidate


def _whose(analysis: Analysis, name: str | None) -> Settings:
    chosen = chosen_candidate(analysis, name)
    if name is None:
        return analysis.choice.settings[0]
    return settings_for(analysis.by_name[chosen])
