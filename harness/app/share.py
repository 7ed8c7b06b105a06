"""What is shared of a design: the report of its final figures, and the settings of a candidate."""

from __future__ import annotations

from typing import NamedTuple

from harness.analysis.model import Settings
from harness.app.figures import DesignOptions, simulated_design
from harness.app.settings import chosen_candidate
from harness.app.workload import Written
from harness.deploy.kinds import SETTINGS
from harness.deploy.settings import settings_for

__all__ = ["CopiedText", "DesignReport", "DesignSettings", "copied_texts", "design_report", "design_settings"]


class DesignReport(NamedTuple):
    """A page of its own."""

    name: str  # of the workload
    html: str


class CopiedText(NamedTuple):
    """Something to copy as it is."""

    kind: str
    title: str
    path: str  # where it goes; "" = that is the reader's to say
    text: str


class DesignSettings(NamedTuple):
    """All that can be copied for a candidate, and what to know of it."""

    candidate: str
    remarks: tuple[str, ...]
    texts: tuple[CopiedText, ...]


def design_report(written: Written, options: DesignOptions) -> DesignReport:
    """Return the report.html that `slotwise simulate --out` writes of the same figures.

    Raises:
        WorkloadError, PolicyError, UserError: the design cannot be predicted.
    """
    from harness.report.files import report_of  # charts take a second to import

    found = simulated_design(written, options)
    return DesignReport(found.run.name, report_of(found.analysis, found.run))


def design_settings(written: Written, options: DesignOptions, candidate: str) -> DesignSettings:
    """Return the settings of one candidate, of every kind that there is for its servers.

    Raises:
        WorkloadError, PolicyError, UserError: the design cannot be predicted, or there is no such candidate.
    """
    analysis = simulated_design(written, options).analysis
    settings = settings_for(analysis.by_name[chosen_candidate(analysis, candidate)])
    return DesignSettings(candidate, settings.remarks, copied_texts(settings))


def copied_texts(settings: Settings) -> tuple[CopiedText, ...]:
    """Return the texts of settings, each with its title."""
    return tuple(
        CopiedText(one.kind, SETTINGS[one.kind].title or one.kind, one.path, one.text) for one in settings.texts
    )
