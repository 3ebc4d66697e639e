"""examples/flows.ipynb runs from the first cell to the plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_the_notebook_ends_in_a_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    notebook: Any = nbformat.read(EXAMPLES / "flows.ipynb", as_version=4)
    nbformat.validate(notebook)
    where = {"metadata": {"path": str(EXAMPLES)}}
    nbclient.NotebookClient(notebook, timeout=240, resources=where).execute()

    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    seen = [kind for cell in codes for each in cell.outputs for kind in each.get("data", ())]
    assert "text/html" in seen  # a frame
    plots = [each["data"]["image/png"] for each in codes[-1].outputs if "image/png" in each.data]
    assert len(plots[0]) > 4000
    names = notebook.cells[1].source
    assert "flows.bpf.c" in names and "traffic.pcap" in names
