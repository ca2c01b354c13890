"""A disk that is full while the flights are prepared."""

import resource
import sys
from pathlib import Path

from delivery import __main__ as command
from delivery.core import files, workspace


def test_a_full_disk_is_one_line_and_nothing_is_half_written(project: Path, monkeypatch, settings, capsys) -> None:
    """No file may grow beyond 50 kB, as on a disk with no more room."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python would leave compiled modules cut off
    monkeypatch.setattr("delivery.core.params.load", lambda: settings)
    before = files.digest(workspace.PREPARED)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        code = command.main(["prepare"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert code == 1
    assert said.startswith("error: ")
    assert "ile too large" in said
    assert said.count("\n") == 1
    assert files.digest(workspace.PREPARED) == before
    assert [path.name for path in workspace.PREPARED.parent.iterdir() if path.name.startswith(".")] == []
    assert not (workspace.CACHE / "records" / "prepare.json").exists()
