"""What operators start by hand and what the clock starts: deploy, rollback, batch, drift, doctor."""

import json

import edits
import pytest
from harness.gitserver import git
from harness.world import World, run


def serving(world: World, environment: str) -> list[tuple]:
    with world.registry() as rows:
        return rows("select version from registered_model_aliases where alias = ?", environment)


@pytest.fixture
def two_versions(settled):
    """Version 2 on staging, version 1 before it."""
    settled.router.disabled = ("ci.yml", "doctor.yml", "report.yml", "comment.yml")
    settled.pushed_reproduced(settled.clone(), edits.params(l2_regularization=0.1))
    settled.settle()
    assert serving(settled, "staging") == [(2,)]
    return settled


def test_deploy_and_roll_back_by_hand(two_versions):
    there = two_versions
    there.router.dispatch(there.repo, "deploy.yml", version="1", environment="production")
    assert serving(there, "production") == [(1,)]
    there.router.dispatch(there.repo, "deploy.yml", version="staging", environment="production")
    assert serving(there, "production") == [(2,)]
    there.router.dispatch(there.repo, "rollback.yml", environment="production", reason="too slow $(id)")
    assert serving(there, "production") == [(1,)]
    assert there.deployments("production") == ["success"] * 3
    assert "back to version 1" in run(there, "rollback").summary
    assert "| production | 1 | rehearsal |" in run(there, "rollback").summary
    with there.registry() as rows:
        ((note,),) = rows("select value from model_version_tags where key = 'production.rolled_back'")
    assert "too slow $(id)" in note
    assert "ada" in note
    there.router.dispatch(there.repo, "rollback.yml", environment="production")
    assert run(there, "rollback").conclusion == "failure"  # nothing good is left to go back to
    assert serving(there, "production") == [(1,)]


def test_an_image_that_nobody_signed_for_goes_nowhere(two_versions):
    there = two_versions
    for path in (there.hub.folder / "registry").glob("*.json"):
        path.write_text(
            json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "attested"})
        )
    there.router.dispatch(there.repo, "deploy.yml", version="1", environment="production")
    assert run(there, "deploy").conclusion == "failure"
    assert "has no valid attestation of acme/demo" in run(there, "deploy").log
    assert serving(there, "production") == []
    assert there.deployments("production") == ["failure"]


def test_wrong_inputs_are_refused_before_or_without_harm(settled):
    with pytest.raises(ValueError, match="not in the list"):
        settled.router.dispatch(settled.repo, "deploy.yml", version="1", environment="prod")
    with pytest.raises(ValueError, match="not a number"):
        settled.router.dispatch(settled.repo, "comment.yml", run="latest")
    settled.router.dispatch(settled.repo, "deploy.yml", version="1", environment="production", canary="half")
    assert "'half' is no share; write 10%" in run(settled, "deploy").log
    settled.router.dispatch(settled.repo, "deploy.yml", version="17", environment="production")
    deploy = run(settled, "deploy")
    assert deploy.conclusion == "failure"
    assert "has no version or alias 17" in deploy.log
    assert serving(settled, "production") == []


def test_batch_scores_with_what_serves_and_keeps_it(settled):
    settled.router.schedule(settled.repo, "batch.yml")
    assert run(settled, "batch").conclusion == "success"
    about = json.loads(settled.repo.file("store", "batch/2013-03/about.json"))
    assert (about["version"], about["month"]) == ("1", "2013-03")
    assert about["rows"] > 1000
    assert "batch/2013-03/predictions.parquet" in settled.stored()
    assert "2013-03 scored with version 1" in run(settled, "batch").summary


def test_batch_scores_nothing_on_broken_data(settled):
    settled.router.disabled = ("ci.yml", "doctor.yml", "promote.yml")
    folder = settled.clone()
    edits.BROKEN_SCHEMA(folder)
    settled.push(folder, "Break the schema")
    settled.settle()
    settled.router.dispatch(settled.repo, "batch.yml", month="2013-03")
    assert run(settled, "batch").conclusion == "failure"
    assert not [path for path in settled.stored() if path.startswith("batch/")]


def test_drift_opens_one_pull_request_with_its_checks(settled):
    settled.router.disabled = ("ci.yml", "doctor.yml", "promote.yml", "comment.yml")
    settled.pushed_reproduced(settled.clone(), edits.SHIFTED_SOURCE)
    settled.router.dispatch(settled.repo, "drift.yml", month="2013-04")
    (pull,) = settled.repo.pulls.values()
    assert (pull["head"]["ref"], pull["title"]) == ("retrain/2013-04", "Retrain with 2013-04")
    assert "Retrain for 2013-04" in pull["body"]
    assert git(settled.repo.path, "log", "-1", "--format=%an", pull["head"]["sha"]) == "Olivaw[bot]"  # CML's
    changed = git(settled.repo.path, "diff", "--name-only", "main", "retrain/2013-04").splitlines()
    assert set(changed) <= {"params.yaml", "data.dvc", "dvc.lock", "reports/metrics.json", "reports/validate.json"}
    assert settled.checks(pull["head"]["sha"])["report"] == "success"  # started by dispatch
    assert settled.router.held  # the pull request itself started nothing
    settled.router.dispatch(settled.repo, "drift.yml", month="2013-04")
    assert len(settled.repo.pulls) == 1
    assert f"no second pull request while #{pull['number']}" in run(settled, "drift").summary


def test_no_pull_request_where_actions_may_not_open_one(settled):
    settled.router.disabled = ("ci.yml", "doctor.yml", "promote.yml", "report.yml")
    settled.repo.may_open_pulls = False
    settled.pushed_reproduced(settled.clone(), edits.SHIFTED_SOURCE)
    settled.router.dispatch(settled.repo, "drift.yml", month="2013-04")
    drift = run(settled, "drift")
    assert drift.conclusion == "failure"
    assert "Allow GitHub Actions to create and approve pull requests" in drift.log
    assert settled.repo.pulls == {}
    assert "retrain/2013-04" in git(settled.repo.path, "branch", "--list", "retrain/*")


def test_doctor_names_what_is_missing_without_being_red(settled):
    settled.repo.may_open_pulls = False
    settled.router.dispatch(settled.repo, "doctor.yml")
    doctor = run(settled, "doctor")
    assert doctor.conclusion == "success"
    assert "`staging` is version 1" in doctor.summary
    assert "ask with your own" in doctor.summary  # a job's token may not see the repository's settings
