"""What a model is compared with: the right one, or the reason why there is none."""

import hashlib
import json
from pathlib import Path

import made
import pandas as pd
import pytest

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.decision import baseline
from delivery.decision.baseline import Baseline
from delivery.model import skopsfile
from delivery.stats import predictions
from problem import FEATURES, KEY, LABEL, predict

LOCK = "stages:\n  train:\n    outs:\n    - path: artifacts/train\n      md5: {0}\n    - path: a\n      md5: b\n"
LOCK += "  evaluate:\n    outs:\n    - path: artifacts/evaluate\n      md5: {0}\n"


@pytest.fixture
def asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says which baseline is looked for, instead of looking."""

    def made_up(kind: str):
        return lambda which="": Baseline(f"{kind} {which}".strip(), None, pd.DataFrame(columns=[*KEY, LABEL]), Path())

    monkeypatch.setattr(baseline, "of_commit", made_up("commit"))
    monkeypatch.setattr(baseline, "of_version", made_up("version"))
    monkeypatch.setattr(baseline, "of_champion", lambda: (made_up("champion")(), ""))


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ("3", "version 3"),
        ("staging", "version staging"),
        ("production", "version production"),
        ("main", "commit main"),
        ("HEAD~1", "commit HEAD~1"),
    ],
)
def test_a_wish_is_a_version_or_a_commit(wish: str, name: str, asked: None) -> None:
    chosen, reason = baseline.choose(wish)
    assert chosen is not None
    assert (chosen.name, reason) == (name, "")


def test_without_a_commit_there_is_nothing(folder: Path, asked: None) -> None:
    made.git("init", "--quiet")
    assert baseline.choose(None) == (None, "there is no commit yet")


def test_a_changed_model_is_compared_with_the_last_commit(repository: Path, asked: None) -> None:
    Path("dvc.lock").write_text(LOCK.format("old"))
    made.commit()
    Path("dvc.lock").write_text(LOCK.format("new"))
    chosen, _ = baseline.choose(None)
    assert chosen is not None
    assert chosen.name == "commit HEAD"


def test_a_model_of_another_problem_is_none_to_compare_with(repository: Path, asked: None) -> None:
    """Whoever replaces the problem begins anew, and the former model is not made again to find that out."""
    Path("dvc.lock").write_text(LOCK.format("old"))
    Path(workspace.METRICS).parent.mkdir()
    Path(workspace.METRICS).write_text(json.dumps({"problem": {"label": ["price"], "classes": [], "key": ["id"]}}))
    made.git("add", "--force", str(workspace.METRICS))
    made.commit()
    assert baseline.choose("main") == (None, "main has another problem: it predicts price")


def test_predictions_without_our_columns_are_of_another_problem() -> None:
    theirs = Baseline("version 3", None, pd.DataFrame(columns=[*KEY[1:], LABEL]), Path())
    chosen, reason = baseline.comparable(theirs)
    assert (chosen, reason) == (None, f"version 3 has another problem: its predictions know no {KEY[0]}")


def test_an_unchanged_model_is_compared_with_the_champion(repository: Path, asked: None) -> None:
    Path("dvc.lock").write_text(LOCK.format("old"))
    made.commit()
    Path("dvc.lock").write_text(LOCK.format("old") + "# a comment is no model\n")
    chosen, _ = baseline.choose(None)
    assert chosen is not None
    assert chosen.name == "champion"


def test_a_commit_without_a_model(repository: Path) -> None:
    Path("dvc.lock").write_text(LOCK.format("new"))
    assert baseline.choose(None) == (None, "the last commit has no dvc.lock")
    assert baseline.choose("HEAD") == (None, "HEAD has no dvc.lock")


def test_a_registry_that_nobody_has_made_is_not_made_by_asking(repository: Path) -> None:
    assert baseline.of_champion() == (None, "the registry has no champion yet")
    assert not workspace.REGISTRY_DATABASE.exists()


def with_dvc(folder: Path, model: bytes, predictions: bytes) -> str:
    """A commit whose dvc.lock names two outputs, and DVC's cache that holds them."""

    def kept(content: bytes, suffix: str = "") -> str:
        digest = hashlib.md5(content).hexdigest() + suffix
        path = folder / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return digest

    def of(path: Path, content: bytes) -> str:
        listing = json.dumps([{"md5": kept(content), "relpath": path.name}])
        return (
            f"  {path.parent.name}:\n    cmd: 'true'\n    outs:\n"
            f"    - path: {path.parent}\n      hash: md5\n      md5: {kept(listing.encode(), '.dir')}\n"
            f"      size: {len(content)}\n      nfiles: 1\n"
        )

    (folder / ".dvc" / "config").parent.mkdir(exist_ok=True)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (folder / ".dvc" / ".gitignore").write_text("/cache\n/tmp\n/config.local\n")
    stages = "".join(
        f"  {path.parent.name}:\n    cmd: 'true'\n    outs:\n    - {path.parent}\n"
        for path in (workspace.MODEL, workspace.PREDICTIONS)
    )
    Path("dvc.yaml").write_text(f"stages:\n{stages}")
    Path("dvc.lock").write_text(
        "schema: '2.0'\nstages:\n" + of(workspace.MODEL, model) + of(workspace.PREDICTIONS, predictions)
    )
    return made.commit("With a model")


def test_the_model_of_a_commit_comes_from_the_cache(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = made.predictions(days=2)
    rows.to_parquet("p.parquet", index=False)
    commit = with_dvc(repository, b"a model", Path("p.parquet").read_bytes())
    chosen = baseline.of_commit("HEAD")
    assert chosen is not None
    assert (chosen.name, chosen.commit) == (f"commit {commit[:8]}", commit)
    assert chosen.model.read_bytes() == b"a model"
    assert len(chosen.predictions) == len(rows)
    monkeypatch.setattr(baseline, "_from_cache", lambda *_: pytest.fail("it is there already"))
    assert baseline.of_commit(commit[:10]) is not None


def test_a_bucket_that_cannot_be_read_holds_no_model(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The clients of the clouds have errors of their own: the model is made again."""
    commit = with_dvc(repository, b"a model", b"rows")

    def closed(*_: object, **__: object) -> None:
        raise RuntimeError("Unable to locate credentials")

    monkeypatch.setattr("dvc.repo.Repo.open", closed)
    assert baseline._from_cache(commit, Path("there")) is False
    assert f"the model of {commit[:10]} cannot be read (Unable to locate credentials)" in capsys.readouterr().err


def test_a_model_that_cannot_be_made_again_is_refused_and_nothing_is_left(repository: Path) -> None:
    with_dvc(repository, b"a model", b"rows")
    for path in (repository / ".dvc" / "cache").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(Failure, match=r"cannot be reproduced: .*params\.yaml is missing.*; name another with --base"):
        baseline.of_commit("HEAD")
    assert made.git("worktree", "list").count("\n") == 0
    assert not [path for path in Path(".cache").rglob("*") if path.is_file()]


def of(rows: pd.DataFrame, model, folder: Path) -> Baseline:
    skopsfile.dump(model, folder / "model.skops")
    theirs = predictions.predictions(rows, predict(model, rows[list(FEATURES)]))
    return Baseline("version 3", None, theirs, folder / "model.skops")


def test_predictions_that_cover_the_rows_are_taken_as_they_are(model, rows, tmp_path: Path) -> None:
    chosen = of(rows[1], model, tmp_path)
    chosen.model.unlink()
    assert baseline.on(chosen, rows[1].head(100)) is chosen.predictions
