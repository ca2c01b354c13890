"""The notebook runs as it is on what the pipeline has made, and sees what the report says."""

import ast
import tempfile
from pathlib import Path

import nbformat
import pytest
import sample
from nbclient import NotebookClient

pytestmark = pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")  # of the kernel's event loop


def test_the_notebook_runs_and_finds_the_numbers_of_the_report(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    page = nbformat.read(project / "notebooks" / "explore.ipynb", as_version=4)
    where = {"metadata": {"path": str(project / "notebooks")}}
    client = NotebookClient(page, timeout=300, kernel_name="python3", resources=where)
    manager = client.create_kernel_manager()
    # Files in place of ports, which were free and may be another program's before the kernel has them. Their names are short.
    with tempfile.TemporaryDirectory(prefix="kernel.") as sockets:
        manager.transport, manager.ip = "ipc", f"{sockets}/ipc"
        client.execute(env=sample.environment(project))
    shown = [
        output["data"] for cell in page.cells if cell.cell_type == "code" for output in cell.outputs if "data" in output
    ]
    found = [ast.literal_eval(data["text/plain"]) for data in shown if "log_loss" in data["text/plain"][:60]]
    assert [now == reported for now, reported in found[0].values()] == [True] * 4
    assert "image/png" in shown[-1]
