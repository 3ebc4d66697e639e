"""examples/flows.ipynb runs from the first cell to the plot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

#: In a process of its own: the client keeps an event loop for as long as its process is there.
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

source, target, place = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
nbformat.validate(notebook)
NotebookClient(notebook, timeout=240, resources={"metadata": {"path": place}}).execute()
nbformat.write(notebook, target)
"""


@pytest.mark.slow
def test_the_notebook_ends_in_a_plot(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    done = tmp_path / "done.ipynb"
    environment = os.environ | {
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    notebook = str(EXAMPLES / "flows.ipynb")
    command = [sys.executable, "-c", EXECUTE, notebook, str(done), str(EXAMPLES)]
    subprocess.run(command, env=environment, check=True)

    codes = [cell for cell in json.loads(done.read_text())["cells"] if cell["cell_type"] == "code"]
    outputs = [each.get("data", {}) for cell in codes for each in cell["outputs"]]
    assert any("text/html" in data for data in outputs)  # a frame
    assert len(outputs[-1]["image/png"]) > 4000
    assert "flows.bpf.c" in "".join(codes[0]["source"])
