"""A pull request that changes what judges it says so, whatever its own code says."""

import base64
from collections.abc import Callable
from typing import Any

import made
import pytest

from delivery.adapters import github
from delivery.ci import judging
from delivery.core import ownership
from delivery.core.errors import Failure, GitHubError

PARAMS = "gate:\n  floors: {auc: 0.6}\n  margin: 0.005\ntrain:\n  seed: 7\n"
SHA = {"before": "b" * 40, "now": "c" * 40}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Prepares GitHub's answers about pull request 3: its files, and params.yaml before and now; returns what was asked."""

    def prepare(names: list[str], before: str | None = PARAMS, now: str | None = PARAMS) -> list[str]:
        calls: list[str] = []
        texts = {SHA["before"]: before, SHA["now"]: now}

        def ask(method: str, path: str) -> Any:
            calls.append(path)
            if path == "/pulls/3":
                return {"base": {"sha": "a" * 40}, "head": {"sha": SHA["now"]}}
            if path == f"/compare/{'a' * 40}...{SHA['now']}":
                return {"merge_base_commit": {"sha": SHA["before"]}}
            text = texts[path.rpartition("?ref=")[2]]
            if text is None:
                raise GitHubError("Not Found", status=404, reason="Not Found")
            return {"content": base64.encodebytes(text.encode()).decode(), "size": len(text)}

        monkeypatch.setattr(github, "ask", ask)
        monkeypatch.setattr(github, "pages", lambda path: [{"filename": name} for name in names])
        return calls

    return prepare


@pytest.mark.parametrize(
    "names",
    [[], ["README.md", "src/problem/features.py", "src/problem/model.py", "src/delivery.md", "my/src/delivery/x"]],
)
def test_what_does_not_judge_is_not_named(names: list[str], asked: Callable) -> None:
    calls = asked(names)
    assert judging.notice(3) == ""
    assert calls == []


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["src/delivery/decision/gate.py"], "`src/delivery` (1 file)"),
        (["src/delivery/a.py", "src/delivery/b/c.py"], "`src/delivery` (2 files)"),
        ([".github/workflows/ci.yml"], "`.github` (1 file)"),
        (["requirements/pipeline.txt"], "`requirements` (1 file)"),
        (["Makefile"], "`Makefile`"),
        (["tests/artifacts/test_model.py", ".dvc/config"], "`tests` (1 file), `.dvc/config`"),
        ([".pre-commit-config.yaml", "pyproject.toml"], "`pyproject.toml`, `.pre-commit-config.yaml`"),
        (["dvc.yaml"], "`dvc.yaml`"),
        (["models/digits/dvc.yaml"], "`dvc.yaml`"),
        (["data.dvc", "README.md"], "`data.dvc`"),
        (["models/digits/src/problem/metrics.py"], "`src/problem/metrics.py`"),
        (["src/problem/schema.py", "src/problem/source.py"], "`src/problem/source.py`, `src/problem/schema.py`"),
    ],
)
def test_machinery_and_rows_are_named(names: list[str], part: str, asked: Callable) -> None:
    asked(names)
    assert judging.notice(3) == (
        f"**⚠️ This pull request changes what judges it:** {part}. "
        "Review that first: the figures below are no better than it is."
    )


def test_a_file_that_was_moved_away_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"filename": "old/gate.py", "previous_filename": "src/delivery/decision/gate.py"}
    monkeypatch.setattr(github, "pages", lambda path: [entry])
    assert "`src/delivery` (1 file)" in judging.notice(3)


def test_limits_are_named_with_both_values(asked: Callable) -> None:
    now = PARAMS.replace("0.005", "0.5").replace("{auc: 0.6}", "{}").replace("7", "8") + "compare: {seed: 3}\n"
    asked(["params.yaml"], PARAMS, now)
    assert judging.notice(3).startswith(
        "**⚠️ This pull request changes what judges it:** `compare.seed` its default → `3`, "
        "`gate.floors.auc` `0.6` → its default, `gate.margin` `0.005` → `0.5`. "
    )


def test_parameters_of_the_model_are_its_own_business(asked: Callable) -> None:
    asked(["params.yaml"], PARAMS, PARAMS.replace("seed: 7", "seed: 8"))
    assert judging.notice(3) == ""


@pytest.mark.parametrize(("before", "now"), [(None, PARAMS), (PARAMS, None)])
def test_a_file_that_is_new_or_gone_has_defaults(before: str | None, now: str | None, asked: Callable) -> None:
    asked(["params.yaml"], before, now)
    assert "`gate.margin` " in judging.notice(3)


@pytest.mark.parametrize(
    "text",
    [
        "\x00",
        "gate: {margin: &a 0.5, floors: {auc: *a}}",
        "gate: [",
        "- gate\n",
        "gate: {}\n" + "#" * judging.BYTES,
        "[" * 20_000,
        "- " * 20_000,
    ],
    ids=lambda text: text[:10],
)
def test_a_file_that_cannot_be_compared_is_named(text: str, asked: Callable) -> None:
    asked(["params.yaml"], PARAMS, text)
    assert "`params.yaml`, which cannot be compared" in judging.notice(3)


@pytest.mark.parametrize(
    "text", ["@ada ![x](https://evil.example/x.png)", "<img src=x> #1", "a `b` **c**", "x\n\n# Merge me"]
)
def test_names_and_values_have_no_live_markup(text: str, asked: Callable) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    asked(["params.yaml", f"{text}/params.yaml"], PARAMS, f'gate:\n  "{escaped}": "{escaped}"\n')
    said = judging.notice(3)
    assert "changes what judges it" in said
    assert not [live for live in ("@ada", "![x](", "<img", "#1", "a `b`", "**c", "\n") if live in said]


def test_the_notice_of_a_flood_is_short_and_counts_the_rest(asked: Callable) -> None:
    names = [f"{number}/params.yaml" for number in range(200)]
    now = "gate:\n  floors:\n" + "".join(f"    m{number}: {'9' * 100}\n" for number in range(300))
    calls = asked(names, PARAMS, now)
    said = judging.notice(3)
    assert len(said) < 10_000
    assert "80 more" in said
    assert len(calls) < 50


def test_a_list_that_github_has_cut_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "pages", lambda path: [{"filename": f"docs/{n}"} for n in range(3000)])
    assert "it has more than 3000 files, of which GitHub lists no more" in judging.notice(3)


def test_what_github_does_not_answer_is_said_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def pages(path: str) -> list:
        raise Failure("GitHub does not answer")

    monkeypatch.setattr(github, "pages", pages)
    assert judging.notice(3) == (
        "**⚠️ Whether this pull request changes what judges it is not known:** GitHub does not answer"
    )


def test_code_owners_are_named_for_everything_that_judges() -> None:
    lines = (made.ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    owned = {line.split()[0] for line in lines if line[:1] == "/"}
    for part in ownership.JUDGES:
        assert owned & {f"/{part}", f"/{part}/"}, part
    assert f"/{ownership.PARAMS}" in owned
