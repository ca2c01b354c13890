"""Which jobs of ci a change needs."""

import argparse
import json
from pathlib import Path

import made
import pytest

from delivery.__main__ import main, parser
from delivery.adapters import github
from delivery.ci import scope
from delivery.core import ownership, workspace
from delivery.render import review

DOCUMENTATION = ["README.md", "LICENSE", "CHANGELOG.md", "NOTES.md", "docs/how-to/deploy.md", "docs/registry.png",
                 "models/digits/README.md"]  # fmt: skip
PARAMETERS = ["params.yaml", "dvc.lock", "data.dvc", "reports/metrics.json", "reports/plots/roc.png"]
PROBLEM = [*(f"src/problem/{name}" for name in ownership.PROBLEM_MODULES), "tests/problem/test_mine.py",
           "tests/unit/problem/test_validate.py", "tests/service/problem/deep/test_x.py"]  # fmt: skip
MACHINERY = [
    ".github/workflows/ci.yml", ".github/pull_request_template.md", ".github/CODEOWNERS", "src/delivery/ci/scope.py",
    "src/problem/__init__.py", "src/problem/contract.py", "src/problem/other.py", "src/problem/notes.md", "dvc.yaml",
    "requirements/dev.txt", "pyproject.toml", "Makefile", "Dockerfile", ".dvc/config", ".gitattributes", "deploy/compose.yml",
    "tests/unit/test_docs.py", "tests/workflows/README.md", "tests/unit/problem.py", "benchmarks/year.py", "zensical.toml",
    *(f"docs/{folder}/page.md" for folder in ("reference", "callers/model")), "docs/dask.yaml", "docs/oidc/aws.yml", "logo.png",
    "notebooks/tour.ipynb", "params.yaml.orig", "models/digits/params.yaml", "whatever", '"quoted\\303\\244.md"',
]  # fmt: skip


@pytest.mark.parametrize(
    ("paths", "concern"),
    [
        (DOCUMENTATION, scope.DOCUMENTATION),
        (PARAMETERS, scope.PARAMETERS),
        (PROBLEM, scope.PROBLEM),
        (MACHINERY, scope.MACHINERY),
    ],
    ids=["documentation", "parameters", "problem", "machinery"],
)
def test_each_class_of_files_has_its_jobs_and_the_unknown_has_all(paths: list[str], concern: str) -> None:
    assert {path: scope.concerned([path]) for path in paths} == dict.fromkeys(paths, concern)


@pytest.mark.parametrize(
    ("changed", "concern"),
    [
        (["README.md", "docs/index.md"], scope.DOCUMENTATION),
        (["README.md", "params.yaml"], scope.PARAMETERS),
        (["params.yaml", "src/problem/model.py", "README.md"], scope.PROBLEM),
        (["params.yaml", "src/delivery/run.py"], scope.MACHINERY),
        (["README.md", "src/delivery/run.py"], scope.MACHINERY),
        ([], scope.MACHINERY),
        (None, scope.MACHINERY),
    ],
)
def test_the_most_demanding_file_decides(changed: list[str] | None, concern: str) -> None:
    assert scope.concerned(changed) == concern


@pytest.mark.parametrize(
    ("concern", "pushed", "expected"),
    [
        (scope.DOCUMENTATION, False, scope.Jobs([], False, [], False)),
        (scope.DOCUMENTATION, True, scope.Jobs([], False, [], False)),
        (scope.PARAMETERS, False, scope.Jobs([], True, ["artifacts"], True)),
        (scope.PARAMETERS, True, scope.Jobs([], False, ["artifacts"], False)),  # promote judges it and builds its image
        (scope.PROBLEM, False, scope.Jobs([], True, ["problem", "artifacts"], True)),
        (scope.PROBLEM, True, scope.Jobs([], False, ["problem", "artifacts"], False)),
        (scope.MACHINERY, False, scope.Jobs(["unit"], True, ["problem", "artifacts", "integration"], True)),
        (scope.MACHINERY, True, scope.Jobs(["unit"], True, ["problem", "artifacts", "integration"], False)),
    ],
)
def test_jobs_follow_from_what_changed_and_where(concern: str, pushed: bool, expected: scope.Jobs) -> None:
    assert scope.jobs(concern, ["unit"], ["problem"], ["artifacts"], ["integration"], pushed=pushed) == expected


@pytest.fixture
def branch(repository: Path) -> Path:
    """A branch with a commit of its own, while main has moved on."""
    made.git("checkout", "--quiet", "-b", "tuned")
    Path("params.yaml").write_text("train: {}\n")
    made.commit("Tuned")
    made.git("checkout", "--quiet", "main")
    Path("Makefile").write_text("all:\n")
    made.commit("Somebody else's")
    made.git("checkout", "--quiet", "tuned")
    return repository


def test_what_changed_is_what_the_branch_did_since_it_left_its_base(branch: Path) -> None:
    assert scope.changed("main") == ["params.yaml"]
    made.git("mv", "params.yaml", "README.md")
    made.commit("Moved")
    made.git("branch", "--force", "main", "HEAD~1")
    assert scope.changed("main") == ["README.md", "params.yaml"], "both names of a file that was moved"


def test_a_page_with_an_accent_in_its_name_is_documentation(branch: Path) -> None:
    made.git("checkout", "--quiet", "main")
    Path("docs").mkdir()
    Path("docs/Überblick und Ziele.md").write_text("why\n")
    made.commit("A page")
    assert scope.changed("HEAD~1") == ["docs/Überblick und Ziele.md"]


@pytest.mark.parametrize("base", ["", "0" * 40, "1" * 40, "origin/gone"])
def test_an_unknown_base_means_that_anything_may_have_changed(branch: Path, base: str) -> None:
    assert scope.changed(base) is None


def test_the_merge_of_a_pull_request_is_compared_with_its_base_though_its_parents_are_not_known(
    branch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.git("checkout", "--quiet", "--detach", "main")
    made.git("merge", "--quiet", "--no-ff", "--no-edit", "tuned")
    made.git("update-ref", "refs/pull/1/merge", "HEAD")
    checkout = tmp_path / "checkout"
    made.git("init", "--quiet", str(checkout))
    monkeypatch.chdir(checkout)
    made.git("fetch", "--quiet", "--depth=1", f"file://{branch}", "refs/pull/1/merge")
    made.git("checkout", "--quiet", "FETCH_HEAD")
    made.git("fetch", "--quiet", f"file://{branch}", "+refs/heads/*:refs/remotes/origin/*")
    assert scope.changed("origin/main") == ["params.yaml"]


def test_a_model_in_a_folder_is_concerned_by_its_files_and_those_that_all_share(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = made.git("rev-parse", "HEAD").strip()
    for path in ("models/digits/params.yaml", "models/diabetes/params.yaml", "requirements/dev.txt", "README.md"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("x\n")
    made.commit("Everywhere")
    monkeypatch.chdir("models/digits")
    assert scope.changed(base) == ["params.yaml", "requirements/dev.txt"]


def handed(monkeypatch: pytest.MonkeyPatch, *options: str) -> dict[str, str]:
    """The outputs of a step that runs the verb."""
    given: dict[str, str] = {}
    monkeypatch.setattr(github, "output", given.update)
    words = [
        "--suites",
        '["unit"]',
        "--problem-suites",
        '["problem"]',
        "--model-suites",
        '["artifacts"]',
        "--machinery-model-suites",
        '["integration"]',
    ]
    asked: argparse.Namespace = parser(["scope"]).parse_args(["scope", *words, *options])
    asked.main(asked)
    return given


def test_the_workflow_gets_lists_that_it_can_make_jobs_of(branch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert handed(monkeypatch, "--base", "main", "--no-pushed") == {
        "concern": "parameters", "suites": "[]", "report": "true", "model_suites": '["artifacts"]', "image": "true",
        "base": "main", "suffix": "",
    }  # fmt: skip
    assert not workspace.REVIEW.exists()
    everything = handed(monkeypatch, "--pushed")
    assert json.loads(everything["suites"]) == ["unit"]
    assert json.loads(everything["model_suites"]) == ["problem", "artifacts", "integration"]
    assert (everything["image"], everything["base"]) == ("false", ""), "all files are linted"


def test_a_change_of_documentation_leaves_a_report_that_can_be_posted(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("README.md").write_text("Words\n")
    made.commit("Words")
    head = made.git("rev-parse", "HEAD").strip()
    outputs = handed(monkeypatch, "--base", "HEAD~1", "--number", "12", "--sha", head)
    assert (outputs["concern"], outputs["report"], outputs["image"]) == ("documentation", "false", "false")
    document = review.read(workspace.REVIEW / "review.json")
    assert (document.number, document.sha, document.documentation_only) == (12, head, True)
    assert (document.verdict, document.base) == ("pass", "HEAD~1")


@pytest.mark.parametrize("text", ["unit", "", '"unit"', '{"unit": 1}', "[1]"])
def test_a_list_that_is_none_is_refused_by_the_name_of_its_option(
    text: str, branch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scope", "--model-suites", text]) == 1
    assert f"error: {text!r} is no list of folders; give --model-suites as '[\"unit\"]'" in capsys.readouterr().err
