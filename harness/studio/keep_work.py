"""Answer what is asked to edit a graph by hand, and to share what came of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from harness.app.edit import DesignEdit, edit_text, node_facts
from harness.app.figures import DesignMachine, DesignOptions, Turned
from harness.app.init import starting_text
from harness.app.share import design_report, design_settings
from harness.app.workload import Written
from harness.studio import keep_forms as forms

__all__ = ["begin", "edit", "node", "report", "settings"]


class BegunText(NamedTuple):
    """A text to start from."""

    text: str


def node(asked: forms.NodeAsked, written: Written) -> Any:
    """Answer /api/node."""
    return node_facts(written, asked.pipeline, asked.node)


def edit(asked: forms.EditAsked, written: Written) -> Any:
    """Answer /api/edit."""
    return edit_text(written, DesignEdit(**asked.model_dump(exclude={"tab", "version", "text"})))


def report(asked: forms.PredictedAsked, written: Written) -> Any:
    """Answer /api/report."""
    return design_report(written, _final(asked))


def settings(asked: forms.SettingsAsked, written: Written) -> Any:
    """Answer /api/settings."""
    return design_settings(written, _final(asked), asked.candidate)


def begin(asked: forms.BeginAsked, written: Written) -> Any:
    """Answer /api/begin."""
    return BegunText(starting_text(asked.name))


def _final(asked: forms.PredictedAsked) -> DesignOptions:
    return DesignOptions(
        machine=DesignMachine(**asked.machine.model_dump()),
        turned=Turned(**asked.turned.model_dump()),
        stage="final",
        extrapolate=asked.extrapolate,
    )
