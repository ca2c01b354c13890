"""A changed parameter is compared with the committed state, whoever changes it and whatever is in the cache."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import sample

from delivery.render import markdown


def comparison(project: Path) -> dict:
    return json.loads((project / "reports" / "compare.json").read_text())


def test_a_change_is_better_worse_or_within_noise_with_an_interval(faster) -> None:
    assert faster.code == 0, faster.out
    head = sample.git(faster.project, "rev-parse", "--short=8", "HEAD")
    line = (faster.project / "reports" / "report.md").read_text().splitlines()[0]
    number = r"[+-]?0\.\d{4}"
    assert re.search(rf"(Better by|Worse by|Within noise:) {number} \[{number}, {number}\] log loss on the same", line)
    assert f"as commit {head}" in markdown.terminal_text(line), "the page breaks what GitHub would link"


def test_the_report_names_the_change_and_nothing_else(faster) -> None:
    page = (faster.project / "reports" / "report.md").read_text()
    changes = page.partition("## What changed\n\n")[2].partition("\n\n##")[0].splitlines()
    assert changes[1:4] == ["- parameter `train.learning_rate`: 0.1 → 0.12", "- data: the same", "- code: the same"]
    assert changes[4:] == ["", "What a promotion changes since version 1: model."]


def test_only_what_depends_on_the_change_is_done_again(faster) -> None:
    ran = re.findall(r"^Running stage '(\w+)'", faster.out, re.MULTILINE)
    assert ran == ["train", "export", "evaluate"]


def test_a_changed_default_of_a_key_that_is_not_in_the_file_runs_the_stage_again(faster, tmp_path: Path) -> None:
    """DVC sees params.yaml alone; the module with the defaults is a dependency, so it sees that too."""
    project = shutil.copytree(faster.project, tmp_path / "project", symlinks=True)
    assert "psi_alarm" not in (project / "params.yaml").read_text().partition("drift:")[0]
    status = json.loads(sample.run(project, "status", "--json", module="dvc").stdout)
    assert "validate" not in status
    module = project / "src" / "delivery" / "core" / "stage_params.py"
    text = module.read_text()
    module.write_text(text.replace("psi_alarm: Positive = 0.25", "psi_alarm: Positive = 0.35"))
    assert module.read_text() != text
    status = json.loads(sample.run(project, "status", "--json", module="dvc").stdout)
    assert status["validate"] == [{"changed deps": {"src/delivery/core/stage_params.py": "modified"}}]


def test_what_is_not_committed_is_served_and_tested_but_not_registered(faster, here) -> None:
    assert "version   not registered: " in faster.out
    assert "params.yaml" in faster.out.partition("version   not registered: ")[2].splitlines()[0]
    assert re.search(r"contract: (\d+) of \1 checks hold", faster.out)
    assert here(faster.project, "lineage", "staging")[1].startswith("version 1, staging")


def test_two_people_compare_on_the_same_rows_blocks_and_draws(faster, worse) -> None:
    one, other = (comparison(run.project) for run in (faster, worse))
    assert one["commit"] == other["commit"]
    for name in ("rows", "blocks", "block", "confidence"):
        assert one["comparison"][name] == other["comparison"][name]
    before = [[(row["metric"], row["champion"]) for row in found["comparison"]["metrics"]] for found in (one, other)]
    assert before[0] == before[1]
    mine, theirs = (
        pd.read_parquet(run.project / "artifacts" / "evaluate" / "predictions.parquet").drop(columns="prediction")
        for run in (faster, worse)
    )
    pd.testing.assert_frame_equal(mine, theirs)


def test_the_committed_model_is_made_again_where_no_cache_has_it(faster, tmp_path: Path) -> None:
    """In a worktree, with the commit's own code; the outcome is the same, and the worktree is gone."""
    project = shutil.copytree(faster.project, tmp_path / "project", symlinks=True)
    for folder in (".dvc/cache", ".store/dvc", ".cache/baseline"):
        shutil.rmtree(project / folder)
    done = sample.run(project, "compare", "--json")
    assert json.loads(done.stdout) == comparison(faster.project)
    assert sample.git(project, "worktree", "list").count("\n") == 0
    commit = comparison(project)["commit"]
    kept = {path.name for path in (project / ".cache" / "baseline").iterdir()}
    assert kept == {commit, f"{commit}.code"}  # the model's files, and the code that its features need


def test_a_worse_model_stops_at_the_gate_and_nothing_is_registered(worse) -> None:
    assert worse.code == 1
    assert "error: the gate failed, so nothing was registered or served; reports/report.md says why" in worse.err
    assert "== register" not in worse.out
    assert re.search(r"\| ❌ fail \| champion \| log_loss -0\.\d+ \[-0\.\d+, -0\.\d+\] .* margin 0\.02 \|", worse.out)
    assert re.search(r"\| ❌ fail \| segments \| clearly worse: origin=", worse.out)
    assert (worse.project / "reports" / "report.md").read_text().splitlines()[0].endswith("do not merge.**")


def test_the_alias_stays_where_it_was_when_the_gate_fails(worse, here) -> None:
    code, _, refused = here(worse.project, "register", "--alias", "staging")
    assert code == 1
    assert refused.startswith("error: the gate failed (champion, segments)")
    _, said, _ = here(worse.project, "lineage", "staging")
    assert said.startswith("version 1, staging")
    assert len(re.findall(r"staging\.since +(\S+)$", said, re.MULTILINE)) == 1


def test_a_committed_worse_model_is_judged_against_the_champion(worse, here, tmp_path: Path) -> None:
    project = shutil.copytree(worse.project, tmp_path / "project", symlinks=True)
    sample.commit(project)
    here(project, "compare")
    code, said, _ = here(project, "gate", "--json")
    decision = json.loads(said)
    assert code == 1
    assert decision["against"] == "version 1"
    assert {rule["name"] for rule in decision["rules"] if rule["verdict"] == "fail"} == {"champion", "segments"}
