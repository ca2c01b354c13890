"""Which conflicts of a pull request are settled without a person, and what the merge then holds."""

from pathlib import Path

import made
import pytest

from delivery.adapters import git, store
from delivery.pull_requests import merging

PARAMS = "train:\n  rate: 0.1  # of learning\n  leaf: 10\ngate:\n  margin: 0.01\n"


@pytest.fixture
def start(repository: Path) -> None:
    """A repository with results and params on main."""
    files = {"params.yaml": PARAMS, "dvc.lock": "0\n", "reports/metrics.json": "0\n", "dvc.yaml": "0\n"}
    made.git("branch", "--force", "main", made.branch("start", files))


def change(value: str, text: str, *more: tuple[str, str]) -> dict[str, str]:
    """The files of somebody who changes a parameter and commits the results."""
    for old, new in more:
        text = text.replace(old, new)
    return {"params.yaml": text, "dvc.lock": f"{value}\n", "reports/metrics.json": f"{value}\n"}


def test_results_and_separate_keys_are_merged_and_nothing_is_checked_out(
    start: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = made.branch("one", change("1", PARAMS, ("rate: 0.1 ", "rate: 0.2 ")))
    head = made.branch("two", change("2", PARAMS, ("leaf: 10", "leaf: 20")) | {"notes.md": "why\n"})
    made.git("checkout", "--quiet", "main")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{name}_NAME")
        monkeypatch.delenv(f"GIT_{name}_EMAIL")
    merge = merging.merge(base, head, "Merge main into two")
    assert merge is not None
    assert merge.conflicts == ()
    assert (
        git.git("log", "-1", "--format=%P %ae %s", merge.commit) == f"{head} {base} {store.EMAIL} Merge main into two"
    )
    merged = PARAMS.replace("rate: 0.1 ", "rate: 0.2 ").replace("leaf: 10", "leaf: 20")
    assert merging.content(merge.commit, "params.yaml") == merged  # the comment is kept, and the last line break
    assert merging.content(merge.commit, "dvc.lock") == "1\n"
    assert merging.content(merge.commit, "reports/metrics.json") == "1\n"
    assert merging.content(merge.commit, "notes.md") == "why\n"
    assert git.git("status", "--porcelain") == ""
    assert merging.merge(base, merge.commit, "again") is None


def test_without_a_conflict_nothing_is_done(start: None) -> None:
    base = made.branch("one", {"notes.md": "one\n"})
    assert merging.merge(base, made.branch("two", {"params.yaml": PARAMS.replace("10", "20")}), "x") is None


@pytest.mark.parametrize(
    ("ours", "theirs", "conflicts"),
    [
        (
            {"params.yaml": PARAMS.replace("0.1 ", "0.3 ")},
            {"params.yaml": PARAMS.replace("0.1 ", "0.2 ")},
            ["params.yaml"],
        ),
        ({"dvc.yaml": "1\n", "dvc.lock": "1\n"}, {"dvc.yaml": "2\n", "dvc.lock": "2\n"}, ["dvc.yaml"]),
        ({"src/a.py": "1\n", "dvc.lock": "1\n"}, {"src/a.py": "2\n", "dvc.lock": "2\n"}, ["src/a.py"]),
    ],
    ids=["the same key", "the pipeline", "code"],
)
def test_what_is_a_decision_is_left_to_a_person(
    ours: dict[str, str], theirs: dict[str, str], conflicts: list[str], start: None
) -> None:
    merge = merging.merge(made.branch("one", theirs), made.branch("two", ours), "x")
    assert merge == merging.Merge(conflicts=tuple(conflicts))


def test_a_model_in_a_folder_is_merged_like_one_at_the_root(start: None) -> None:
    folder = "models/digits"
    made.git(
        "branch", "--force", "main", made.branch("more", {f"{folder}/params.yaml": PARAMS, f"{folder}/dvc.lock": "0\n"})
    )
    base = made.branch("one", {f"{folder}/params.yaml": PARAMS.replace("0.1 ", "0.2 "), f"{folder}/dvc.lock": "1\n"})
    head = made.branch(
        "two", {f"{folder}/params.yaml": PARAMS.replace("leaf: 10", "leaf: 20"), f"{folder}/dvc.lock": "2\n"}
    )
    merge = merging.merge(base, head, "x")
    assert merge is not None
    assert merge.commit
    assert "rate: 0.2  # of learning\n  leaf: 20" in merging.content(merge.commit, f"{folder}/params.yaml")


@pytest.mark.parametrize(
    "content",
    [b"text\n", b"- a\n", b"train: {1: 2}\n", b"train: &a {b: *a}\n", b"train: {rate: 0.3, name: gr\xf6\xdfe}\n",
     b"a0: &a0 {x: 1}\n" + b"".join(b"a%d: &a%d {x: *a%d, y: *a%d}\n" % (n, n, n - 1, n - 1) for n in range(1, 60))],
    ids=["text", "a list", "a number as name", "a mapping in itself", "no UTF-8", "more than memory holds"],
)  # fmt: skip
def test_params_of_any_form_are_left_to_a_person(content: bytes, start: None) -> None:
    base = made.branch("one", {"params.yaml": PARAMS.replace("0.1 ", "0.2 ")})
    made.git("checkout", "--quiet", "-B", "two", "main")
    Path("params.yaml").write_bytes(content)
    made.git("commit", "--quiet", "--all", "--message", "Something else")
    assert merging.merge(base, git.head() or "", "x") == merging.Merge(conflicts=("params.yaml",))


def test_a_merge_can_be_had_without_a_conflict_too(start: None) -> None:
    base = made.branch("one", {"notes.md": "one\n"})
    head = made.branch("two", {"params.yaml": PARAMS.replace("10", "20")})
    merge = merging.merge(base, head, "Merge main into two", always=True)
    assert merge is not None
    assert git.git("log", "-1", "--format=%P %s", merge.commit) == f"{head} {base} Merge main into two"
    assert git.git("diff", "--name-only", head, merge.commit) == "notes.md"


def test_a_link_in_place_of_results_is_left_to_a_person(start: None) -> None:
    made.git("checkout", "--quiet", "-B", "one", "main")
    Path("dvc.lock").unlink()
    Path("dvc.lock").symlink_to(".git/config")
    made.git("add", "dvc.lock")
    made.git("commit", "--quiet", "--message", "A link")
    base = git.head() or ""
    merge = merging.merge(base, made.branch("two", {"dvc.lock": "2\n"}), "x")
    assert merge is not None
    assert merge.conflicts


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        ("a: {x: 2, y: 1}\n", "a: {x: 1, y: 3}\n", "a: {x: 2, y: 3}\n"),
        ("a: {x: 1, y: 1, z: 5}\n", "a: {x: 1, y: 3}\n", "a: {x: 1, y: 3, z: 5}\n"),
        ("a: {x: 2, y: 1}\n", "a: {x: 3, y: 1}\n", None),
        ("a: {y: 1}\n", "a: {x: 1, y: 3}\n", None),
        ("a: {x: [1], y: 1}\n", "a: {x: 1, y: 3}\n", None),
        ("a: {x: {b: 1}, y: 1}\n", "a: {x: 1, y: 3}\n", None),
        ("b: 1\na: {x: 1, y: 1}\n", "a: {x: 1, y: 3}\n", None),
        ("a: {x: 2, x: 3}\n", "a: {x: 1, y: 3}\n", None),
    ],
    ids=["separate", "new", "both", "removed", "a list", "deeper", "no section", "no YAML"],
)
def test_values_of_params_are_taken_over_one_by_one(ours: str, theirs: str, merged: str | None) -> None:
    assert merging.merged_params("a: {x: 1, y: 1}\n", ours, theirs) == merged
