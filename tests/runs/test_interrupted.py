"""What is said of a run that was cut: of candidates without a complete trial, that they are not measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from runs import virtual_run as virtual

from harness.analysis.analyse import analyse
from harness.analysis.model import Analysis
from harness.runs.folder import read_run
from harness.wording.run_answer import run_answer
from harness.wording.verdicts import path_headline, path_sentences


@pytest.mark.parametrize(
    ("lines", "headline", "why"),
    [
        (5, "Batch path (digest): not measured, no trial is complete.", ""),
        (12, 'at most 2 calls at once ("both").', '"serial" is not measured.'),
    ],
)
def test_what_was_not_measured_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int, headline: str, why: str
) -> None:
    found = cut_after(lines, tmp_path, monkeypatch)
    assert path_headline(found, found.paths[0]).endswith(headline)
    said = [line.text for one in run_answer(found).parts for line in one.lines]
    assert not why or why in " ".join(said)
    sentences = [*said, *(text for verdict in found.paths for text in path_sentences(found, verdict))]
    assert not [text for text in sentences if "failed" in text.lower() or "succeeded" in text]
    assert not why or any('no trial of it is complete: "serial".' in text for text in sentences)


def cut_after(lines: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Analysis:
    virtual.on_fakes(monkeypatch)
    virtual.kill_after(monkeypatch, lines, 0.5)
    with pytest.raises(virtual.Killed):
        virtual.begin(folder / "cut", virtual.write_workload(folder))
    (path,) = (folder / "cut").iterdir()
    return analyse(read_run(path), path)
