"""What operators start by hand and what the clock starts: deploy, rollback, batch, doctor."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import edits
import pytest
from answering import answering
from harness.gitserver import git
from harness.plans import PLANS
from harness.world import World, run

from delivery.core import files
from delivery.registry import release


def serving(world: World, environment: str) -> list[tuple]:
    with world.registry() as rows:
        return rows("select version from registered_model_aliases where alias = ?", environment)


@pytest.fixture
def two_versions(two_versions: World) -> World:
    """Without the workflows that have scenarios of their own."""
    two_versions.router.disabled = ("ci.yml", "doctor.yml", "comment.yml", "refresh.yml")
    assert serving(two_versions, "staging") == [(2,)]
    return two_versions


@contextmanager
def refusing() -> Iterator[tuple[str, list[str]]]:
    """The address of a registry server that lets nobody in, and the tokens that it was shown."""
    tokens: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tokens.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with answering(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, tokens


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
    there.repo.reviewers = {"production": ["grace"]}
    there.router.dispatch(there.repo, "deploy.yml", version="2", environment="production")
    there.router.dispatch(there.repo, "rollback.yml", environment="production")
    assert run(there, "deploy").conclusion == "cancelled"  # nobody had approved it
    there.router.approve(there.repo, "production")
    assert run(there, "rollback").conclusion == "failure"  # nothing good is left to go back to
    assert serving(there, "production") == [(1,)]


def test_a_drill_proves_the_rollback_or_opens_an_issue(two_versions):
    there = two_versions
    there.router.schedule(there.repo, "drill.yml")
    assert run(there, "drill").conclusion == "success"
    assert "`staging` can be rolled back to version 1: ready after" in run(there, "drill").summary
    assert there.repo.issues == []
    folder = there.clone()
    git(folder, "fetch", "--quiet", "origin", "store")
    git(folder, "checkout", "--quiet", "-B", "store", "FETCH_HEAD")
    with there.registry() as rows:
        ((source,),) = rows("select source from model_versions where version = 1")
    git(folder, "rm", "--quiet", "-r", f"mlflow/artifacts/{source.partition(':/')[2]}/export")
    git(folder, "commit", "--quiet", "--message", "Lose a model")
    lost = git(folder, "rev-parse", "HEAD")
    git(folder, "push", "--quiet", "origin", "HEAD:refs/heads/store")
    for _ in range(2):
        there.router.schedule(there.repo, "drill.yml")
        assert run(there, "drill").conclusion == "failure"
        assert "`staging` could not be rolled back to version 1: " in run(there, "drill").summary
    (issue,) = there.repo.issues
    assert (issue["title"], issue["state"]) == ("A rollback would fail", "open")
    assert "are not those that were registered" in issue["body"]
    assert str(run(there, "drill").id) in issue["body"]  # the newest
    git(folder, "pull", "--quiet", "--rebase", "origin", "store")  # with the records of the drills
    git(folder, "revert", "--no-edit", lost)
    git(folder, "push", "--quiet", "origin", "HEAD:refs/heads/store")
    there.router.schedule(there.repo, "drill.yml")
    assert [one["state"] for one in there.repo.issues] == ["closed"]


def test_a_red_schedule_is_one_issue_with_the_cause_until_it_is_green(settled):
    settled.router.quiet = ()
    settled.router.disabled = ("ci.yml", "promote.yml", "refresh.yml", "tag.yml", "doctor.yml")
    settled.router.schedule(settled.repo, "compact.yml")
    alert = run(settled, "alert")
    assert (alert.conclusion, settled.repo.issues) == ("success", [])
    folder = settled.clone()
    edits.appended("params.yaml", "unknown: 1\n")(folder)
    settled.push(folder, "A section that there is not")
    settled.router.dispatch(settled.repo, "compact.yml")
    assert run(settled, "compact").conclusion == "failure"
    assert settled.repo.issues == []  # who has started it sees it
    settled.router.schedule(settled.repo, "compact.yml")
    (issue,) = settled.repo.issues
    assert (issue["title"], issue["state"]) == ("The scheduled workflow compact is red", "open")
    assert "2 runs in a row have failed, the first on 20" in issue["body"]
    assert "- job `compact`, step `delivery compact`" in issue["body"]
    assert "  - `params.yaml: unknown is unknown; docs/reference/params.md lists every key`" in issue["body"]
    assert "docs/reference/workflows.md#compact" in issue["body"]
    git(folder, "revert", "--no-edit", "HEAD")
    git(folder, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    settled.router.dispatch(settled.repo, "compact.yml")
    assert [one["state"] for one in settled.repo.issues] == ["closed"]


def test_what_has_an_issue_of_its_own_gets_no_second_one(fresh):
    fresh.router.quiet = ()
    folder = fresh.clone()
    (folder / "dvc.lock").unlink()
    fresh.push(folder, "Without a pipeline")
    fresh.hub.events.clear()
    fresh.router.schedule(fresh.repo, "doctor.yml")
    assert run(fresh, "doctor").conclusion == "failure"
    assert "The issue `The set-up misses something` tells it" in run(fresh, "alert").summary
    assert [one["title"] for one in fresh.repo.issues] == ["The set-up misses something"]


def test_what_dvc_lock_says_is_made_again_in_one_night_only(settled):
    for jobs in ({"due": "success", "remake": "success"}, {"due": "success", "remake": "skipped"}):
        settled.router.schedule(settled.repo, "remake.yml")
        assert run(settled, "remake").jobs == jobs


def test_the_store_is_compacted_and_everything_goes_on(two_versions):
    there = two_versions
    files_before = git(there.repo.path, "ls-tree", "-r", "--name-only", "store")
    assert int(git(there.repo.path, "rev-list", "--count", "store")) > 1
    there.router.schedule(there.repo, "compact.yml")
    assert run(there, "compact").conclusion == "success"
    assert "removed the files of 0 version(s), 0 object(s) and 0 plot(s)" in run(there, "compact").summary  # all is new
    assert git(there.repo.path, "rev-list", "--count", "store") == "1"
    assert git(there.repo.path, "ls-tree", "-r", "--name-only", "store") == files_before
    assert git(there.repo.path, "for-each-ref", "refs/delivery") == ""
    there.router.dispatch(there.repo, "deploy.yml", version="1", environment="production")
    assert serving(there, "production") == [(1,)]
    assert git(there.repo.path, "rev-list", "--count", "store") == "2"
    git(there.repo.path, "config", "receive.denyNonFastForwards", "true")  # as .github/rulesets/store.json
    there.router.schedule(there.repo, "compact.yml")
    assert run(there, "compact").conclusion == "success"
    assert "its history stays" in run(there, "compact").summary
    assert git(there.repo.path, "rev-list", "--count", "store") == "2"
    git(there.repo.path, "config", "receive.denyNonFastForwards", "false")  # for an App that the rule lists
    there.repo.variables["APP_CLIENT_ID"] = "Iv1.robot"
    key = {"APP_PRIVATE_KEY": there.hub.token("robot[bot]", there.repo.name, "app")}
    there.repo.plan, there.repo.environment_secrets["bot"] = PLANS["free"], key
    there.router.schedule(there.repo, "compact.yml")
    assert run(there, "compact").conclusion == "failure", "this plan keeps no secrets in environments"
    there.repo.environment_secrets, there.repo.secrets = {}, key
    held = len(there.router.held)
    there.router.schedule(there.repo, "compact.yml")
    assert git(there.repo.path, "rev-list", "--count", "store") == "1"
    assert len(there.router.held) == held, "it was not the workflow's own token that pushed"


def exchange(world: World) -> None:
    """A writer of the store exchanges the known answers of version 1, and the digests with them."""
    folder = world.clone()
    git(folder, "fetch", "--quiet", "origin", "store")
    git(folder, "checkout", "--quiet", "-B", "store", "FETCH_HEAD")
    with closing(sqlite3.connect(folder / "mlflow" / "mlflow.db")) as rows, rows:
        ((source,),) = rows.execute("select source from model_versions where version = 1")
        kept = folder / "mlflow" / "artifacts" / source.partition(":/")[2].lstrip("/")
        known = kept / "export" / "examples.json"
        known.write_text(json.dumps(json.loads(known.read_text())[:3]))
        for key, value in (("release.digest", release.digest(kept)), ("model.digest", files.digest(kept / "export"))):
            found = rows.execute("update model_version_tags set value = ? where version = 1 and key = ?", (value, key))
            assert found.rowcount == 1
    world.push(folder, "Exchange version 1", "store")


def test_a_version_that_was_exchanged_in_the_store_goes_nowhere(two_versions):
    there = two_versions
    (name,) = [tag for tag, record in there.records().items() if record["version"] == "1"]
    exchange(there)
    there.router.dispatch(there.repo, "deploy.yml", version="1", environment="production")
    assert run(there, "deploy").conclusion == "failure"
    assert f"the tag {name} records version 1 with the release " in run(there, "deploy").log
    assert serving(there, "production") == []
    there.router.dispatch(there.repo, "rollback.yml", environment="staging")
    assert run(there, "rollback").conclusion == "failure"
    assert f"the tag {name} records version 1 with the release " in run(there, "rollback").log
    assert serving(there, "staging") == [(2,)]
    git(there.repo.path, "update-ref", "-d", f"refs/tags/{name}")  # what a ruleset prevents
    there.router.dispatch(there.repo, "deploy.yml", version="1", environment="production")
    assert run(there, "deploy").conclusion == "success"
    assert "Version 1 of production is not recorded in git." in run(there, "deploy").summary


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


def records(world: World) -> dict[tuple[str, str], str]:
    """What the store holds of each period and version: the folder's tree."""
    listed = git(world.repo.path, "ls-tree", "-r", "-d", "store", "batch").splitlines()
    found = [line.split()[2:] for line in listed]
    return {tuple(path.split("/")[1:3]): tree for tree, path in found if path.count("/") == 3}


def test_batch_scores_what_serves_has_not_scored_and_keeps_it(settled):
    """Each period once: the same month was scored every time, over the record of the last."""
    settled.router.schedule(settled.repo, "batch.yml")
    assert run(settled, "batch").conclusion == "success"
    before = records(settled)
    assert before.keys() == {("2013-03", "1"), ("2013-04", "1")}
    (path,) = [name for name in settled.stored() if name.startswith("batch/2013-03/1/") and name.endswith("about.json")]
    about = json.loads(settled.repo.file("store", path))
    assert (about["version"], about["month"]) == ("1", "2013-03")
    assert about["rows"] > 1000
    assert path.replace("about.json", "predictions.parquet") in settled.stored()
    assert "2013-03 scored with version 1" in run(settled, "batch").summary
    assert "2013-04 scored with version 1" in run(settled, "batch").summary
    settled.router.schedule(settled.repo, "batch.yml")
    assert run(settled, "batch").conclusion == "success"
    line = "There is nothing to score: version 1 has scored what the source has after 2013-02, until 2013-04."
    assert line in run(settled, "batch").summary
    assert records(settled) == before


def test_after_a_rollback_the_version_that_serves_again_scores_what_it_has_not(two_versions):
    there = two_versions
    there.router.dispatch(there.repo, "batch.yml", period="2013-03", model="1")
    there.router.schedule(there.repo, "batch.yml")
    kept = records(there)
    assert kept.keys() == {("2013-03", "1"), ("2013-03", "2"), ("2013-04", "2")}
    there.router.dispatch(there.repo, "rollback.yml", environment="staging")
    assert serving(there, "staging") == [(1,)]
    there.router.schedule(there.repo, "batch.yml")
    assert run(there, "batch").conclusion == "success"
    assert "2013-04 scored with version 1" in run(there, "batch").summary
    assert records(there).keys() == kept.keys() | {("2013-04", "1")}
    assert records(there).items() > kept.items()


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
        others = [
            each for each in settled.router.runs if each.workflow != "comment"
        ]  # which is skipped: no pull request
        assert {each.conclusion for each in others} == {"success"}
        doctor = run(settled, "doctor").summary
        seen.append((settled.aliases(), settled.versions(), sorted(settled.stored()), records(settled), doctor))
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
    """Without what is optional it is green, without the pipeline's own files it is red and an issue says so."""
    fresh.repo.may_open_pulls = False
    fresh.repo.off = {"drift.yml": "disabled_fork"}
    fresh.router.dispatch(fresh.repo, "doctor.yml")
    doctor = run(fresh, "doctor")
    assert doctor.conclusion == "success"
    for missing, fix in (
        ("no branch `store` yet", "delivery store push"),
        ("no version yet: the gate's floors alone decide", "merge to `main`"),
        ("no development, production, staging: GitHub creates them, without approval", "Settings > Environments > New"),
        ("this token may not see it", "tick `Allow GitHub Actions to create and approve pull requests`"),
        ("none: a red pull request can be merged", "if you are the only one who may push, `main-solo.json`"),
        ("private, acme has Team: rulesets; no required reviewers", "docs/reference/plans.md"),
        ("drift.yml does not run: a fork starts with its schedules off", "gh workflow enable drift.yml"),
        ("can delete the tags that record versions", "--input .github/rulesets/model-tags.json"),
        ("can delete `store` or rewrite its history", "--input .github/rulesets/store.json"),
        ("checks of bot commits are started by dispatch", "APP_CLIENT_ID"),
    ):
        (row,) = [line for line in doctor.summary.splitlines() if missing in line]
        assert fix in row
    assert fresh.repo.issues == []
    folder = fresh.clone()
    for name in ("dvc.lock", "data.dvc", ".dvc/config"):
        (folder / name).unlink()
    fresh.push(folder, "Without a pipeline")
    fresh.hub.events.clear()
    fresh.repo.environment_secrets["bot"] = {"MLFLOW_TRACKING_TOKEN": "token-of-the-registry"}
    with refusing() as (address, asked):
        fresh.repo.variables["MLFLOW_TRACKING_URI"] = address
        fresh.router.schedule(fresh.repo, "doctor.yml")
    assert set(asked) == {"Bearer token-of-the-registry"}
    del fresh.repo.variables["MLFLOW_TRACKING_URI"]
    fresh.repo.environment_secrets.clear()
    doctor = run(fresh, "doctor")
    assert doctor.conclusion == "failure"
    assert "**3 thing(s) to fix**" in doctor.summary
    assert f"the registry at {address} does not answer" in doctor.summary
    assert "| no dvc.lock, data.dvc | `delivery reproduce`" in doctor.summary
    assert "| see .dvc/config | `dvc remote add --default ...`" in doctor.summary
    (issue,) = fresh.repo.issues
    assert (issue["state"], issue["title"]) == ("open", "The set-up misses something")
    assert "| no dvc.lock, data.dvc | `delivery reproduce`" in issue["body"]
    git(folder, "revert", "--no-edit", "HEAD")
    git(folder, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    fresh.hub.events.clear()
    fresh.router.schedule(fresh.repo, "doctor.yml")
    assert run(fresh, "doctor").conclusion == "success"
    assert [one["state"] for one in fresh.repo.issues] == ["closed"]


def test_doctor_names_what_is_missing_without_being_red(settled):
    settled.repo.may_open_pulls = False
    settled.router.dispatch(settled.repo, "doctor.yml")
    doctor = run(settled, "doctor")
    assert doctor.conclusion == "success"
    assert "`staging` is version 1" in doctor.summary
    assert "ask with your own" in doctor.summary  # a job's token may not see the repository's settings


def test_a_weekly_scan_keeps_one_issue_while_a_fix_is_waiting(settled):
    settled.knows_vulnerable("fastapi")
    settled.router.schedule(settled.repo, "scan.yml")
    scan = run(settled, "scan")
    assert scan.conclusion == "failure"
    places = re.findall(r"(?m)^\| `GHSA-test` \| high \| `fastapi` [\d.]+ \| (.*) \| 99\.0 \|", scan.summary)
    assert places == ["image of staging", "requirements/"]
    (issue,) = settled.repo.issues
    assert issue["title"] == "Vulnerabilities with a fix"
    assert issue["body"] in scan.summary
    folder = settled.clone()
    edits.excepted("GHSA-test", 30)(folder)
    settled.push(folder, "Until next month")
    settled.hub.events.clear()
    settled.router.schedule(settled.repo, "scan.yml")
    scan = run(settled, "scan")
    assert scan.conclusion == "success"
    assert "`GHSA-test` of `fastapi` is excepted until " in scan.summary
    assert [issue["state"] for issue in settled.repo.issues] == ["closed"]


def test_newer_dependencies_are_one_pull_request_whose_results_are_made_again(settled):
    there = settled
    there.router.disabled = ("comment.yml", "doctor.yml", "promote.yml", "refresh.yml", "tag.yml")
    folder = there.clone()
    with (folder / "Makefile").open("a") as file:  # what is newer is known to nobody but this machine
        file.write("lock:\n\t@sh $$HUB_FOLDER/lock.sh\n")
    (folder / "Dockerfile").write_text(f"ARG BASE_IMAGE=python:3.11-slim@sha256:{'a' * 64}\nFROM ${{BASE_IMAGE}}\n")
    there.push(folder, "Locks and an image")
    there.hub.events.clear()
    newer = there.hub.folder / "lock.sh"
    newer.write_text("")
    (there.hub.folder / "digest").write_text(f"sha256:{'a' * 64}")
    there.router.schedule(there.repo, "bump.yml")
    assert "nothing is newer" in run(there, "bump").summary
    assert there.repo.pulls == {}

    newer.write_text(
        "sed -i 's/^onnxruntime==[^ ]*/onnxruntime==99.0/' requirements/pipeline.txt requirements/serve.txt\n"
    )
    (there.hub.folder / "digest").write_text(f"sha256:{'b' * 64}")
    there.router.schedule(there.repo, "bump.yml")
    (pull,) = there.repo.pulls.values()
    number, head = pull["number"], there.head(pull["number"])
    assert f"#{number} is opened" in run(there, "bump").summary
    assert pull["title"].startswith("Raise 2 dependencies (")
    assert re.search(r"(?m)^\| `onnxruntime` \| `[\d.]+` \| `99\.0` \|$", pull["body"])
    assert "| `base image` | sha256:aaaaaaaaaaaa | sha256:bbbbbbbbbbbb |" in pull["body"].replace("\u200b", "")
    assert "onnxruntime==99.0" in there.repo.file(head, "requirements/serve.txt")
    assert f"@sha256:{'b' * 64}\n" in there.repo.file(head, "Dockerfile")
    assert git(there.repo.path, "log", "-1", "--format=%s", head).endswith(", unchanged to the last bit")
    assert there.checks(head)["ci / report"] == "success"
    assert there.mergeable(number)

    newer.write_text(newer.read_text().replace("99.0", "99.1"))
    there.router.disabled += ("ci.yml",)
    there.router.schedule(there.repo, "bump.yml")
    assert f"#{number} is brought up to date" in run(there, "bump").summary
    (pull,) = there.repo.pulls.values()
    assert "| `99.1` |" in pull["body"]
    assert "onnxruntime==99.1" in there.repo.file(there.head(number), "requirements/serve.txt")


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


def test_drift_is_about_the_version_that_serves_before_and_after_a_rollback(two_versions):
    there = two_versions
    there.router.dispatch(there.repo, "drift.yml", period="2013-03")
    assert "The champion is version 2, which serves in staging since" in run(there, "drift").summary
    there.router.dispatch(there.repo, "rollback.yml", environment="staging")
    there.router.dispatch(there.repo, "drift.yml", period="2013-03")
    assert run(there, "drift").conclusion == "success"
    assert "The champion is version 1, which serves in staging since" in run(there, "drift").summary
    assert "is not the one that serves there" in run(there, "drift").summary
    lines = map(json.loads, there.repo.file("store", "drift/log.jsonl").splitlines())
    assert [(line["month"], line["version"], line["environment"]) for line in lines] == [
        ("2013-03", "2", "staging"),
        ("2013-03", "1", "staging"),
    ]
