"""What the trusted side adds to a report: it does not believe a label that the pull request does not have."""

import argparse
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

from delivery.adapters import github
from delivery.ci import comment, judging, models, undelivered
from delivery.ci.review import ERROR
from delivery.compatibility.results import CompatibilityResult
from delivery.core import workspace
from delivery.core.errors import Failure, GitHubError
from delivery.pull_requests import comments, images
from delivery.pull_requests.acceptance import LABEL
from delivery.render import review
from delivery.render.review import Review

CLAIM = CompatibilityResult(accepted="all clients have moved", accepted_by="label")


def note(claim: CompatibilityResult, pull: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(github, "ask", lambda method, path: {"number": 3, **pull})
    document = Mock(spec=Review)
    document.report.compatibility = claim
    return comment.label_note(document, 3)


def test_a_label_that_is_there_needs_no_note(monkeypatch: pytest.MonkeyPatch) -> None:
    pull = {"labels": [{"name": LABEL}], "body": "compatibility_reason: all clients have moved"}
    assert note(CLAIM, pull, monkeypatch) == ""


@pytest.mark.parametrize(
    "pull",
    [
        {"labels": [], "body": "compatibility_reason: all clients have moved"},
        {"labels": [{"name": LABEL}], "body": "compatibility_reason: another one"},
        {"labels": [{"name": LABEL}], "body": None},
    ],
)
def test_a_label_or_reason_that_is_not_there_is_contradicted(
    pull: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert note(CLAIM, pull, monkeypatch).startswith(f"\n⚠️ No label `{LABEL}` of this pull request accepts the break")


def test_what_params_accept_is_a_change_that_reviewers_see(monkeypatch: pytest.MonkeyPatch) -> None:
    assert note(replace(CLAIM, accepted_by="params"), {"labels": [], "body": ""}, monkeypatch) == ""
    assert note(replace(CLAIM, accepted=""), {"labels": [], "body": ""}, monkeypatch) == ""
    assert comment.label_note(Review(number=3, sha="a" * 40), 3) == ""


@pytest.mark.parametrize(
    ("compared", "base", "noted"),
    [
        ("origin/develop", "develop", False),
        ("origin/main", "main", False),
        ("", "main", False),
        ("origin/main", "develop", True),
        ("develop", "develop", True),
    ],
)
def test_a_report_that_compared_with_another_branch_says_so(
    compared: str, base: str, noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "ask", lambda method, path: {"base": {"ref": base}} if path == "/pulls/3" else None)
    said = comment.base_note(Review(number=3, sha="a" * 40, base=compared), 3)
    assert said == noted * (
        f"\n⚠️ The report compared with `{compared}`, but this pull request is into `{base}`: "
        "start the workflow `ci` again with that base."
    )


def dispatched(refusal: GitHubError | None, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The inputs of each dispatch of `comment start`, the first of which GitHub may refuse."""
    tried: list[dict[str, str]] = []

    def ask(method: str, path: str, body: Any = None) -> Any:
        if method == "GET":
            return {"default_branch": "trunk"}
        assert (path, body["ref"]) == ("/actions/workflows/comment.yml/dispatches", "trunk")
        tried.append(body["inputs"])
        if refusal and len(tried) == 1:
            raise refusal
        return None

    monkeypatch.setattr(github, "ask", ask)
    comment.start(7, "tuned")
    return tried


def test_a_dispatched_comment_is_in_the_queue_of_its_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dispatched(None, monkeypatch) == [{"run": "7", "branch": "tuned"}]


def test_a_caller_whose_workflow_has_no_branch_yet_gets_its_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = GitHubError("no", status=422, reason="Unexpected inputs provided: ['branch']")
    assert dispatched(refusal, monkeypatch) == [{"run": "7", "branch": "tuned"}, {"run": "7"}]


def test_a_dispatch_that_is_refused_for_another_reason_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GitHubError):
        dispatched(GitHubError("no", status=403, reason="no"), monkeypatch)


@pytest.mark.parametrize("exists", [True, False])
def test_a_report_that_ended_before_it_wrote_anything_has_no_comment(
    exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(github, "summary", said.append)
    monkeypatch.setattr(github, "ask", Mock(side_effect=AssertionError))
    folder = tmp_path if exists else tmp_path / "absent"
    comment.main(argparse.Namespace(action="post", folder=folder, run=7, branch=""))
    assert said == ["Nothing posted: run 7 ended before it wrote a report, and its page says why."]


def handed(folder: Path, suffix: str, name: str = "") -> Path:
    """A folder of the artifact with a report of the model with this suffix."""
    made = folder / (name or f"review{suffix}")
    made.mkdir(parents=True, exist_ok=True)
    review.write(made / "review.json", Review(number=3, sha="a" * 40, suffix=suffix))
    return made


@pytest.mark.parametrize(
    ("known", "posted"),
    [(["."], ["-x0"]), (["models/a", "models/b"], ["-models-a", "-models-b", "-x0"])],
    ids=["one model", "several"],
)
def test_a_run_gets_a_comment_for_each_known_model_and_one_new_one(
    known: list[str], posted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "listed", lambda: known)
    for name in known:
        if name != ".":
            handed(tmp_path, models.suffix(name))
    for number in range(25):
        handed(tmp_path, f"-x{number}")
        handed(tmp_path, "-x0", f"again-{number}")
    found = comment.admitted(comment.reports(tmp_path))
    assert sorted(review.read(folder / "review.json").suffix for folder in found) == posted


def test_the_report_of_a_single_artifact_is_in_its_folder_and_no_other_is_looked_for(tmp_path: Path) -> None:
    handed(tmp_path, "", ".")
    for number in range(25):
        handed(tmp_path, f"-x{number}")
    assert comment.reports(tmp_path) == [tmp_path]


def test_an_artifact_without_a_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("Merge me")
    with pytest.raises(Failure, match="^the artifact has no review.json; nothing is posted$"):
        comment.admitted(comment.reports(tmp_path))


RUN = comments.WorkflowRun(9, ".github/workflows/ci.yml", "a" * 40, "tuned", "ada/demo", "https://github.com/run/9")
HOSTILE = (
    "<details>\n> <details>\n> ```mermaid\n~~~mermaid\n$\\\\evil$ and $`evil`$ @ada <!-- \n",
    "&<>$`*_" * 2000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=["markup", "characters that grow"])
def test_no_text_of_a_report_makes_a_comment_too_long_or_is_more_than_text(
    text: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with fifty images that are left out, each with a line of its own."""
    error = (text * 12_000)[:ERROR]
    review.write(folder / "review.json", Review(number=3, sha=RUN.commit, error=error))
    left_out = {f"{number:040}": "it has more than 8,000,000 pixels" for number in range(50)}
    monkeypatch.setattr(images, "reencoded", lambda *_: ({}, left_out))
    monkeypatch.setattr(comments, "proven_number", lambda number, *_: number)
    monkeypatch.setattr(comments, "post", lambda *_: "by CML")
    monkeypatch.setattr(judging, "notice", lambda number: "This changes the gate.")
    monkeypatch.setattr(undelivered, "notice", lambda number: "Nothing delivers its merge.")
    monkeypatch.setattr(github, "ask", lambda method, path: {"base": {"ref": "main"}})
    comment.post_report(folder, RUN, images.Budget())
    written = workspace.COMMENT.read_text()
    assert len(written) < 61_000
    assert written.count("is left out") == 50
    lines = written.splitlines()
    assert not [line for line in lines if line.lstrip("> -").startswith(("```", "~~~"))]
    assert not [part for part in ("<details", "<!--", "$", "@ada") if part in written]


@pytest.mark.parametrize(
    ("names", "refused"),
    [
        ({"README.md", "docs/index.md"}, ""),
        ({"README.md", "src/delivery/gate.py"}, "GitHub names `src/delivery/gate.py`".replace("`", "")),
    ],
)
def test_that_only_documentation_changed_is_one_line_and_githubs_word(
    names: set[str], refused: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    review.write(folder / "review.json", Review(number=3, sha=RUN.commit, verdict="pass", documentation_only=True))
    monkeypatch.setattr(comments, "proven_number", lambda number, *_: number)
    monkeypatch.setattr(comments, "post", lambda *_: "by CML")
    monkeypatch.setattr(judging, "notice", lambda number: "")
    monkeypatch.setattr(undelivered, "notice", lambda number: "")
    monkeypatch.setattr(judging, "changed_files", lambda number: (names, True))
    monkeypatch.setattr(github, "ask", lambda method, path: {"base": {"ref": "main"}})
    if refused:
        with pytest.raises(Failure, match=refused):
            comment.post_report(folder, RUN, images.Budget())
    else:
        comment.post_report(folder, RUN, images.Budget())
        (line,) = workspace.COMMENT.read_text().splitlines()
        assert line == (
            "Report on aaaaaaaa, [run 9](https://github.com/run/9): Only documentation changed: no model was built or judged."
        )
