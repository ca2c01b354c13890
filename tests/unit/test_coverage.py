"""`make test` measures what the tests cover, and fails below the floor."""

import os
import re
import subprocess
from pathlib import Path

import optional
import pytest
import sample
import warm
from made import ROOT

FEW = "tests/unit/test_editor.py"  # tests that run next to nothing of src/delivery


@pytest.mark.parametrize(("absent", "floor"), [("", None), ("docker", None), ("haproxy", 83), ("kubectl", 83)])
def test_the_floor_is_what_this_machine_can_reach(
    absent: str, floor: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh machine has neither HAProxy nor kubectl, and `make test` must pass on it."""
    monkeypatch.setattr(optional, "missing", lambda name: "it is missing" if name == absent else "")
    assert optional.coverage_floor() == floor


@pytest.mark.skipif(not getattr(sample.small, "SCENARIOS", False), reason="a fork has no floor")
def test_fewer_tests_than_the_floor_needs_fail(tmp_path: Path) -> None:
    recipe = re.search(r"(?m)^test: .*\n\t@\$\(BIN\)/python (.*)$", (ROOT / "Makefile").read_text())
    assert recipe
    words = [*recipe[1].split(), "-n", "0", "-q", "-p", "no:cacheprovider", FEW]
    words += ["-W", "ignore:Module already imported so cannot be rewritten"]  # by the warm Python, before pytest
    completed = subprocess.run(
        [warm.environment() / "bin" / "python", *words],
        cwd=ROOT,
        env=os.environ | {"COVERAGE_FILE": str(tmp_path / "coverage")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert " passed" in completed.stdout
    assert re.search(r"FAIL Required test coverage of \d\d\.?\d*% not reached\. Total coverage: ", completed.stdout)
    assert completed.returncode == 1
