"""A stranger's file becomes the problem: pipeline, gate, service and drift check run on it as they are."""

import json
from fnmatch import fnmatch
from pathlib import Path

import orders
import sample

from delivery.core import ownership


def test_an_awkward_file_runs_as_it_is(tmp_path: Path, source: Path) -> None:
    project = tmp_path / "project"
    sample.copy(project, source)
    sample.commit(project, "The template")
    orders.rows().to_csv(tmp_path / "orders.csv", sep=";", decimal=",", index=False, lineterminator="\r\n")
    sample.run(project, "new", str(tmp_path / "orders.csv"), "--target", "Churned", "--adopt")
    sample.commit(project, "Our problem")
    kept = "source/orders.csv"  # byte for byte, whatever its line ends
    assert sample.git(project, "hash-object", "--no-filters", kept) == sample.git(project, "rev-parse", f"HEAD:{kept}")
    sample.repro(project)
    sample.commit(project, "Its first model")
    sample.run(project, "compare")
    sample.run(project, "gate")
    verdicts = {
        rule["name"]: rule["verdict"] for rule in json.loads((project / "reports" / "gate.json").read_text())["rules"]
    }
    assert {"floor log_loss": "pass", "floor auc": "pass", "calibration": "pass"}.items() <= verdicts.items()
    assert "checks hold" in sample.run(project, "rehearse", "--contract").stdout
    sample.run(project, "report", "--quiet")
    sample.run(project, "register", "--alias", "staging")
    assert "Churned" in sample.run(project, "card", "staging").stdout
    assert "No retraining for 2024-07" in sample.run(project, "drift").stdout
    openapi = "tests/service/test_openapi.py"  # the description of a request, times among it, is what is taken
    words = ["-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", openapi]
    assert " passed" in sample.python(project, *words, cold=True).stdout
    touched = sample.git(project, "diff", "--name-only", "--no-renames", "HEAD~2").splitlines()
    owned = (*ownership.FORK, ownership.SHARED, kept)
    assert not [path for path in touched if not any(fnmatch(path, pattern) for pattern in owned)]
