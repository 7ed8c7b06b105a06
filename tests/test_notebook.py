"""The notebook of docs: it runs from top to bottom, and prints what is committed in it."""

from __future__ import annotations

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

NOTEBOOK = ROOT / "docs" / "how-to" / "own-policy.ipynb"


def committed() -> nbformat.NotebookNode:
    """Read the notebook."""
    notebook: nbformat.NotebookNode = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]  # its own
    return notebook


def printed(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Return what each cell prints, without its pictures."""
    return [
        [output.text for output in cell.get("outputs", []) if output.output_type == "stream"] for cell in notebook.cells
    ]


@pytest.mark.filterwarnings("default")  # those of the kernel's own packages are not ours
def test_the_notebook_prints_what_it_shows() -> None:
    shown, again = committed(), committed()
    for cell in again.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(again, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    assert printed(again) == printed(shown)
    pictures = [
        output
        for cell in again.cells
        for output in cell.get("outputs", [])
        if "image/svg+xml" in output.get("data", {})
    ]
    assert len(pictures) == 1
