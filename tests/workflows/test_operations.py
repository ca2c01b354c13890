"""What operators start by hand and what the clock starts: deploy, rollback, batch, doctor."""

import json

import edits
import pytest
from harness.gitserver import git
from harness.world import World, run


def serving(world: World, environment: str) -> list[tuple]:
    with world.registry() as rows:
        return rows("select version from registered_model_aliases where alias = ?", environment)


@pytest.fixture
def two_versions(two_versions: World) -> World:
    """Without the workflows that have scenarios of their own."""
    two_versions.router.disabled = ("ci.yml", "doctor.yml", "report.yml", "comment.yml")
    assert serving(two_versions, "staging") == [(2,)]
    return two_versions


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
    assert "| production | 2 → 1 | rollback | ada |" in run(there, "rollback").summary
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


def test_a_rerun_finds_everything_as_it_left_it(settled):
    repo, seen = settled.repo, []
    for _ in range(2):
        settled.router.dispatch(repo, "batch.yml", month="2013-03")
        settled.router.dispatch(repo, "deploy.yml", version="1", environment="production")
        settled.router.dispatch(repo, "ci.yml")
        settled.router.dispatch(repo, "doctor.yml")
        assert {each.conclusion for each in settled.router.runs} == {"success"}
        about = json.loads(repo.file("store", "batch/2013-03/about.json"))
        predictions = git(repo.path, "rev-parse", "store:batch/2013-03/predictions.parquet")
        doctor = run(settled, "doctor").summary
        seen.append(
            (settled.aliases(), settled.versions(), sorted(settled.stored()), predictions, about["model"], doctor)
        )
    assert seen[0] == seen[1]


def test_packages_are_installed_once_and_again_when_their_locks_change(settled):
    for _ in range(2):
        settled.router.dispatch(settled.repo, "doctor.yml")
        assert settled.installed() == 1
    folder = settled.clone()
    with (folder / "requirements" / "dev.txt").open("a") as lock:
        lock.write("# another lock\n")
    settled.push(folder, "Another lock")
    settled.hub.events.clear()
    settled.router.dispatch(settled.repo, "doctor.yml")
    assert settled.installed() == 2


def test_doctor_with_everything_missing_names_every_fix(fresh):
    """Without what is optional it is green, without the pipeline's own files it is red."""
    fresh.repo.may_open_pulls = False
    fresh.router.dispatch(fresh.repo, "doctor.yml")
    doctor = run(fresh, "doctor")
    assert doctor.conclusion == "success"
    for missing, fix in (
        ("no branch `store` yet", "delivery store push"),
        ("no version yet: the gate's floors alone decide", "merge to `main`"),
        ("no development, production, staging: GitHub makes them, without approval", "Settings > Environments > New"),
        ("this token may not see it", "tick `Allow GitHub Actions to create and approve pull requests`"),
        ("none: a red pull request can be merged", "gh api repos/{owner}/{repo}/rulesets"),
        ("checks of bot commits are started by dispatch", "APP_CLIENT_ID"),
    ):
        (row,) = [line for line in doctor.summary.splitlines() if missing in line]
        assert fix in row
    folder = fresh.clone()
    for name in ("dvc.lock", "data.dvc", ".dvc/config"):
        (folder / name).unlink()
    fresh.push(folder, "Without a pipeline")
    fresh.hub.events.clear()
    fresh.router.dispatch(fresh.repo, "doctor.yml")
    doctor = run(fresh, "doctor")
    assert doctor.conclusion == "failure"
    assert "**2 thing(s) to mend**" in doctor.summary
    assert "| no dvc.lock, data.dvc | `delivery reproduce`" in doctor.summary
    assert "| see .dvc/config | `dvc remote add --default ...`" in doctor.summary


def test_doctor_names_what_is_missing_without_being_red(settled):
    settled.repo.may_open_pulls = False
    settled.router.dispatch(settled.repo, "doctor.yml")
    doctor = run(settled, "doctor")
    assert doctor.conclusion == "success"
    assert "`staging` is version 1" in doctor.summary
    assert "ask with your own" in doctor.summary  # a job's token may not see the repository's settings


def test_the_documentation_becomes_a_site(settled):
    settled.router.dispatch(settled.repo, "pages.yml")
    assert run(settled, "pages").conclusion == "success"
    assert (settled.hub.folder / "pages" / "index.html").read_text() == "A page\n"


def test_a_version_with_a_heading_is_tagged_once_and_a_fork_tags_by_hand(fresh):
    fresh.router.disabled = ("ci.yml", "doctor.yml", "promote.yml")
    folder = fresh.clone()
    (folder / "CHANGELOG.md").unlink(missing_ok=True)
    edits.replaced("pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"')(folder)
    fresh.push(folder, "A version")
    fresh.settle()
    assert run(fresh, "tag").conclusion == "skipped"  # somebody's repository, not the template's
    fresh.repo.template = True
    edits.written("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n")(folder)
    fresh.push(folder, "No heading yet")
    fresh.settle()
    assert run(fresh, "tag").conclusion == "failure"
    assert "CHANGELOG.md has no heading for 0.2.0" in run(fresh, "tag").log
    edits.written("CHANGELOG.md", "# Changelog\n\n## [0.2.0] - 2026-11-28\n")(folder)
    sha = fresh.push(folder, "A heading")
    fresh.settle()
    assert run(fresh, "tag").conclusion == "success"
    assert fresh.repo.sha("refs/tags/v0.2.0") == sha
    edits.written("CHANGELOG.md", "# Changelog\n\n## [0.2.0] - 2026-11-28\n\nWords.\n")(folder)
    fresh.push(folder, "Words")
    fresh.settle()
    fresh.repo.template = False
    fresh.router.dispatch(fresh.repo, "tag.yml")
    assert run(fresh, "tag").conclusion == "success"
    assert fresh.repo.sha("refs/tags/v0.2.0") == sha  # where it was
    assert [ref for ref in git(fresh.repo.path, "tag").splitlines() if ref.startswith("v")] == ["v0.2.0"]
