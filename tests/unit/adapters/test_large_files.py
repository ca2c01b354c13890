"""Files that the branch `store` cannot hold are refused before work is done on them, with the remedy."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import made
import pytest

from delivery.adapters import dvc, large_files, store
from delivery.adapters.batch_records import Record, Scored
from delivery.ci import reproduce, results
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.drift import retrain
from delivery.scoring import batch

CONFIG = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../.store/dvc\n"
BUCKET = "[core]\n    remote = s3\n['remote \"store\"']\n    url = ../.store/dvc\n['remote \"s3\"']\n    url = s3://bucket/dvc%20\n"


@pytest.fixture(autouse=True)
def small(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with a remote that keeps its data in the store, where a file may have 1,000 bytes."""
    made.git("remote", "add", "origin", "https://github.com/acme/demo.git")
    monkeypatch.setenv("DELIVERY_FILE_MB", str(1000 / 2**20))
    configure(CONFIG)
    put(workspace.DATA, 1000)


def configure(text: str, name: str = "config") -> None:
    workspace.DVC_CONFIG.parent.mkdir(exist_ok=True)
    (workspace.DVC_CONFIG.parent / name).write_text(text)


def put(folder: Path, size: int) -> None:
    """A file of this size, and data.dvc as `dvc add` writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.parquet").write_bytes(b"x" * size)
    workspace.DATA_FILE.write_text(f"outs:\n- md5: 1.dir\n  size: {size}\n  path: data\n")


def prepare(size: int):
    return lambda: put(workspace.PREPARED, size)


def test_a_raw_table_that_is_too_large_stops_before_any_stage_runs() -> None:
    put(workspace.DATA, 1001)
    with pytest.raises(
        Failure, match=r"^data/rows\.parquet \(0\.0 MB\) cannot be kept .*; keep data and models in a bucket"
    ):
        large_files.refuse_before_training(lambda: pytest.fail("nothing may run"))


def test_prepared_rows_that_are_too_large_stop_before_training() -> None:
    large_files.refuse_before_training(prepare(1000))
    with pytest.raises(Failure, match=r"^artifacts/prepare/rows\.parquet "):
        large_files.refuse_before_training(prepare(1001))


def test_small_data_are_not_prepared_twice() -> None:
    put(workspace.DATA, 100)
    large_files.refuse_before_training(lambda: pytest.fail("`dvc repro` runs it"))
    put(workspace.DATA, 101)
    with pytest.raises(Failure):
        large_files.refuse_before_training(prepare(1001))


@pytest.mark.parametrize("name", ["config", "config.local"])
def test_a_bucket_holds_files_of_any_size(name: str) -> None:
    configure(BUCKET, name)
    put(workspace.DATA, 1001)
    assert not dvc.in_store()
    large_files.refuse_before_training(lambda: pytest.fail("nothing has to be prepared for a bucket"))


def test_without_a_remote_there_is_no_limit() -> None:
    made.git("remote", "remove", "origin")
    put(workspace.DATA, 1001)
    large_files.refuse_before_training(prepare(1001))
    large_files.refuse([workspace.DATA / "rows.parquet"], "")


def test_githubs_limit_holds_unless_another_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DELIVERY_FILE_MB")
    assert large_files.limit() == 100 * 1024 * 1024
    monkeypatch.setenv("DELIVERY_FILE_MB", "many")
    with pytest.raises(Failure, match="DELIVERY_FILE_MB=many is not a number of megabytes"):
        large_files.limit()


def test_a_message_names_three_files_and_counts_the_others(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abcde"]
    for path in paths:
        path.write_bytes(b"x" * 2_621_440)
    text = large_files.describe(paths)
    assert text.startswith(", ".join(f"{path} (2.5 MB)" for path in paths[:3]) + " and 2 more cannot be kept")
    assert " more" not in large_files.describe(paths[:3])


def test_results_with_a_file_that_is_too_large_are_refused_before_one_is_taken(tmp_path: Path) -> None:
    for content in (b"x" * 1001, b"y"):
        digest = dvc.digest(content)
        path = tmp_path / "handed" / "dvc" / "files" / "md5" / digest[:2] / digest[2:]
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    with pytest.raises(Failure, match="cannot be kept in the branch `store`"):
        results.admit(tmp_path / "handed")
    assert not workspace.DVC_REMOTE.exists()


def test_predictions_that_are_too_large_are_not_left_out_in_silence() -> None:
    put(workspace.BATCH / "2026-01" / "3", 1001)
    about = Scored("2026-01", "3", "", "", "", 1, 0.5, "", "")
    with pytest.raises(Failure, match="without --push and copy reports/batch/2026-01/3 to a bucket"):
        batch.push(Record(workspace.BATCH / "2026-01" / "3", about))
    assert not workspace.BATCH_KEPT.exists()


@pytest.mark.parametrize("work", [reproduce.pipeline, partial(retrain.build, "2026-01", "retrain/2026-01")])
@pytest.mark.parametrize("large", ["prepare", "train", ""])
def test_a_review_and_a_retraining_stop_at_the_first_file_that_is_too_large(
    monkeypatch: pytest.MonkeyPatch, large: str, work: Callable[[], object]
) -> None:
    asked: list[str] = []

    def run(*words: str, **_: bool) -> SimpleNamespace:
        asked.append(" ".join(word for word in words if not word.startswith("-")))
        if "repro" in words:
            put(workspace.PREPARED, 1001 if large == "prepare" else 1000)
            put(workspace.TRAINED, 1001 if large == "train" else 1000)
        return SimpleNamespace(stdout="")

    monkeypatch.setattr(dvc, "run", run)
    monkeypatch.setattr(reproduce, "data", lambda: None)
    monkeypatch.setattr(retrain, "fetch_until", lambda period: None)
    monkeypatch.setattr("delivery.data.fetch.into", lambda folder, period: None)
    monkeypatch.setattr(store, "push", lambda message, redo: asked.append("store"))
    if large:
        with pytest.raises(Failure, match=rf"^artifacts/{large}/rows\.parquet .*; keep data and models in a bucket"):
            work()
        assert asked[-1] == ("repro prepare" if large == "prepare" else "repro")
        assert not {"push", "store"} & set(asked)
    else:
        work()
        assert [words for words in asked if "repro" in words] == ["repro prepare", "repro"]
