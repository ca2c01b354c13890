"""Repositories that hold a problem and callers, and one of several models: the machinery comes from another one."""

import shutil
from pathlib import Path

import edits
import pytest
from harness import template
from harness.gitserver import git, refs
from harness.world import World, run, world

CALLERS = template.ROOT / "docs" / "callers"
MACHINERY = "acme/machinery"
SMALL = edits.params(
    resamples=200, score_resamples=50, importance_rows=200, importance_repeats=1, users=2, seconds=2, latency_us=100000,
    max_p95_ms=5000, min_rps=1,
)  # fmt: skip

pytestmark = pytest.mark.xdist_group("callers")  # each of the two repositories is made once


def callers(folder: Path, which: str, pin: str) -> None:
    """The example's files, as a team fills them in."""
    shutil.copytree(CALLERS / which, folder, dirs_exist_ok=True)
    for path in (folder / ".github" / "workflows").glob("*.yml"):
        text = path.read_text().replace("OWNER/MACHINERY", MACHINERY)
        path.write_text(text.replace(f"{'0' * 40} # v1", f"{pin} # v1"))


@pytest.fixture(scope="session")
def machinery(tmp_path_factory, fresh_origin) -> Path:
    """A checkout of the shared repository: the small project."""
    folder = tmp_path_factory.mktemp("machinery") / "work"
    git(folder.parent, "clone", "--quiet", fresh_origin, folder)
    return folder


@pytest.fixture(scope="module")
def thin(tmp_path_factory, fresh_origin, machinery, machine, certificate):
    """A repository with the sample's problem and nothing of the machinery, after its first promote."""
    place = tmp_path_factory.mktemp("thin")
    work = place / "work"
    shutil.copytree(CALLERS / "model", work)
    callers(work, "one", git(machinery, "rev-parse", "HEAD"))
    for name in ("params.yaml", "data.dvc", "dvc.yaml", "dvc.lock", "reports", "src/problem"):
        template.copy(machinery / name, work / name)
    edits.written("tests/problem/test_problem.py", "def test_something():\n    assert True\n")(work)
    template.committed(work, place / "origin.git")
    with world(place / "hub", place / "origin.git", machine, certificate) as made:
        made.hub.repository(MACHINERY, fresh_origin)
        made.first_push()
        made.router.disabled = ("ci.yml",)
        (promote,) = made.settle()
        assert promote.conclusion == "success", promote.log
        made.router.disabled = ()
        yield made


def test_what_git_holds_is_the_problem_its_records_and_callers(thin: World):
    held = {path.split("/")[0] for path in thin.repo.files("main")}
    assert held == {
        ".dvc",
        ".github",
        ".gitignore",
        "data.dvc",
        "dvc.lock",
        "dvc.yaml",
        "params.yaml",
        "reports",
        "src",
        "tests",
    }
    assert {path for path in thin.repo.files("main") if path.startswith("src/")} == {
        f"src/problem/{name}.py" for name in ("features", "metrics", "model", "schema", "source")
    }
    lines = sum(
        len(thin.repo.file("main", path).splitlines()) for path in thin.repo.files("main") if "/workflows/" in path
    )
    assert lines < 120


def test_its_push_is_delivered_by_the_shared_workflow(thin: World):
    promote = run(thin, "promote")
    assert promote.jobs == {f"promote / {job}": "success" for job in ("measure", "image", "apply")}
    assert thin.aliases() == {"staging": thin.repo.sha("main")}
    (image,) = thin.images().values()
    assert image["attested"] == MACHINERY  # who signed is who built


def test_its_pull_request_gets_results_comment_and_checks(thin: World):
    code = edits.appended("src/problem/model.py", "\n# Slower.\n")
    number = thin.propose("slower", edits.both(edits.BETTER, code))
    first = thin.head(number)
    thin.settle()
    assert thin.head(number) != first
    changed = git(thin.repo.path, "diff", "--name-only", "main", "slower").splitlines()
    assert set(changed) == {"params.yaml", "src/problem/model.py", "dvc.lock", "reports/metrics.json"}
    assert "learning_rate: 0.05" in thin.repo.file("slower", "dvc.lock")
    (comment,) = thin.comments(number)
    assert "safe to merge" in comment
    ci = run(thin, "ci")
    assert (ci.jobs["ci / report"], ci.jobs["ci / image"], ci.jobs["ci / required"]) == (
        "success",
        "success",
        "skipped",
    )
    for suite in ("problem", "convergence", "artifacts"):
        assert f"**✅ {suite}**: 1 tests, 0 failed" in ci.summary
    assert thin.mergeable(number)


@pytest.fixture(scope="module")
def several(tmp_path_factory, fresh_origin, machinery, machine, certificate):
    """A repository with two models in folders of their own."""
    place = tmp_path_factory.mktemp("several")
    work = place / "work"
    callers(work, "several", git(machinery, "rev-parse", "HEAD"))
    git(work, "init", "--quiet", "--initial-branch=main")
    for name in ("diabetes", "digits"):
        folder = work / "models" / name
        shutil.copytree(CALLERS / "model", folder)
        template.make(machinery, "lay", f"INTO={folder}")
        template.copy(template.ROOT / "examples" / name, folder / "src" / "problem")
        (folder / "src" / "problem" / "params.yaml").rename(folder / "params.yaml")
        SMALL(folder)
        for words in (("delivery", "fetch"), ("dvc", "add", "--quiet", "data"), ("dvc", "repro", "--quiet")):
            template.python(machine.venv / "bin" / "python", folder, "-m", *words)
    template.committed(work, place / "origin.git")
    with world(place / "hub", place / "origin.git", machine, certificate) as made:
        made.hub.repository(MACHINERY, fresh_origin)
        yield made


def test_a_change_of_one_model_is_reported_and_delivered_for_this_one_only(several: World):
    number = several.propose("tuned", edits.replaced("models/digits/params.yaml", "_rate: 0.10", "_rate: 0.12"))
    first = several.head(number)
    several.settle()
    assert "1 of 2 models concerned: `models/digits`" in run(several, "ci").summary
    assert several.checks(first)["required"] != "success"  # its results were missing; act then leaves out what follows
    changed = git(several.repo.path, "diff", "--name-only", first, "tuned").splitlines()
    assert {path.rpartition("/")[0] for path in changed} == {"models/digits", "models/digits/reports"}
    (comment,) = several.comments(number)
    assert comment.startswith(f"Report of models-digits on {several.head(number)[:8]}")
    assert several.mergeable(number)

    several.merge(number)
    several.settle()
    promote = run(several, "promote")
    assert {job.partition(" / ")[2] for job in promote.jobs} >= {"measure", "image", "apply"}
    assert set(promote.jobs.values()) == {"success"}
    assert "is `staging`" in promote.summary
    assert "mlflow/mlflow.db" in several.repo.files("store-models-digits")
    assert set(refs(several.repo.path)) == {
        f"refs/heads/{name}" for name in ("main", "tuned", "store", "store-models-digits")
    }
    (image,) = several.images().values()
    assert image["sbom"] == "ghcr.io/acme/demo-models-digits"
