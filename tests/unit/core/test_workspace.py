"""What verbs write is ignored by git, but for the two results that belong to a commit."""

import subprocess
from pathlib import Path

import pytest

from delivery.core import workspace

ROOT = Path(__file__).parents[3]
COMMITTED = {workspace.METRICS, workspace.VALIDATION}


@pytest.mark.skipif(not (ROOT / ".gitignore").exists() or not (ROOT / ".git").exists(), reason="a copy without git")
def test_git_ignores_every_report_that_no_commit_holds() -> None:
    reports = {
        path for path in vars(workspace).values() if isinstance(path, Path) and workspace.REPORTS in path.parents
    }
    inside = {path if path.suffix else path / "page.md" for path in reports}
    words = ["git", "check-ignore", "--no-index", "--stdin"]
    listed = "\n".join(map(str, inside))
    ignored = subprocess.run(words, cwd=ROOT, input=listed, capture_output=True, text=True, check=False).stdout.split()
    assert len(reports) > 15
    assert {path.as_posix() for path in inside - COMMITTED} == set(ignored)
