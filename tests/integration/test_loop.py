"""The whole loop in a fresh clone: it ends well, leaves nothing behind, and does nothing twice."""

import re
from pathlib import Path

import pytest
import sample

from delivery.decision.report import LIMIT

STEPS = ["data", "pipeline", "report", "register", "staging", "drift", "summary"]


def summary(out: str) -> dict[str, str]:
    lines = out.partition("== summary\n")[2].splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(" ") for line in lines)}


def test_a_fresh_clone_runs_the_whole_loop(first) -> None:
    assert first.code == 0, first.err
    assert re.findall(r"^== (\w+)$", first.out, re.MULTILINE) == STEPS


def test_the_summary_answers_what_one_wants_to_know(first) -> None:
    found = summary(first.out)
    assert found["verdict"].startswith("✅ Nothing to compare with: the registry has no champion yet")
    assert re.fullmatch(r"(\w+ 0\.\d{4} \[0\.\d{4}, 0\.\d{4}\](, )?){4}", found["metrics"])
    assert found["data"] == "periods up to 2013-03"
    assert found["version"] == "1 (new)"
    assert "make serve" in found["service"]
    assert re.search(r"\d+ requests/s, p50 .* 0 of \d+ failed", found["load"])
    assert re.match(r"2013-05: (no retraining|retrain); ", found["drift"])
    assert found["report"] == "reports/report.md"
    assert re.findall(r"(\w+) \d+\.\d", found["seconds"]) == STEPS[:-1]


def test_nothing_is_left_that_git_would_see(second) -> None:
    """So dvc.lock is, byte for byte, the one that another copy of the repository gave."""
    assert not sample.git(second.project, "status", "--porcelain", "--untracked-files=all")
    assert not sample.git(second.project / ".store", "status", "--porcelain")


def test_no_temporary_folder_is_left(second) -> None:
    assert not [path for path in second.project.rglob("*.scratch") if ".git" not in path.parts]
    assert not list((second.project / ".cache").glob("*/.*"))


def test_a_second_run_recomputes_nothing_and_registers_nothing_new(second) -> None:
    found = summary(second.out)
    assert second.code == 0
    assert "Running stage" not in second.out
    assert found["pipeline"] == "nothing had to be recomputed"
    assert found["version"] == "1 (known already)"
    assert "this is the champion, version 1" in found["verdict"]


def test_the_report_is_one_page_for_a_comment_and_for_a_terminal(first) -> None:
    page = (first.project / "reports" / "report.md").read_text()
    assert page.startswith("**✅ ")
    assert len(page) < LIMIT
    for part in ("## Metrics", "## Gate", "## What changed", "## Plots", "```mermaid", "<summary><b>Lineage</b>"):
        assert part in page
    for picture in re.findall(r'src="([^"]+)"', page):
        assert (first.project / "reports" / picture).exists()


def test_the_version_is_on_staging_with_all_that_explains_it(second, here) -> None:
    _, said, _ = here(second.project, "lineage", "staging")
    head = sample.git(second.project, "rev-parse", "HEAD")
    assert said.startswith("version 1, staging\n")
    for name, value in {"git.commit": head, "gate": "pass", "data.until": "2013-03"}.items():
        assert re.search(rf"^  {re.escape(name)} +{value}$", said, re.MULTILINE)
    assert "compared.with" in said
    assert "log_loss" in said


def test_every_object_that_the_commit_names_is_in_the_store(second) -> None:
    lock = (second.project / "dvc.lock").read_text()
    for digest in set(re.findall(r"md5: (\w+\.dir)", lock)):
        assert (second.project / ".store" / "dvc" / "files" / "md5" / digest[:2] / digest[2:]).exists()


@pytest.mark.parametrize("folder", ["mlruns", "mlflow.db", "mlartifacts"])
def test_mlflow_writes_nothing_but_in_the_store(folder: str, second) -> None:
    assert not Path(second.project, folder).exists()
