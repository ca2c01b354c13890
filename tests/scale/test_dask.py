"""Work on a Dask cluster whose workers are killed over it: the same bits as on this machine alone."""

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import engines
import numpy as np
import pandas as pd
import pytest
import sample
from msgspec.structs import replace

from delivery.__main__ import main
from delivery.compute import engine
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params, Search
from delivery.data import prepared, windows
from delivery.deploy.targets.loopback import free_port
from delivery.drift import replay
from delivery.pipeline import prepare
from delivery.registry import registry
from delivery.scoring import score
from delivery.search import search
from delivery.search.record import EXPERIMENT
from delivery.search.verdict import SearchResult
from problem import FEATURES, KEY, LABEL

CONNECT = {"distributed.comm.timeouts.connect": "1s"}  # how long is waited for a scheduler to come again


@pytest.fixture
def settings(project: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Of the small project, which is the current folder; its data make several windows."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(windows, "ROWS", 1000)
    return params.load()


@pytest.fixture
def killed(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once a worker was killed, which happens at its second item of what is worked at next."""
    mark = project / "killed"
    monkeypatch.setattr(engine, "as_done", partial(dangerous, str(mark), engine.as_done))
    return mark


def dangerous(mark: str, as_done: Any, work: Any, items: Iterable[Any], where: str) -> Any:
    items = list(items)
    after = 2 if len(items) > 2 else 1
    return as_done(partial(engines.dying, mark, after, work) if engine.cluster(where) else work, items, where)


def test_features_are_the_same_files(settings: Params, workers: str, killed: Path) -> None:
    prepare.run(replace(settings, engine="memory"))
    whole = {name: prepared.read(name) for name in ("train", "test")}
    prepare.run(replace(settings, engine="stream"))
    alone = files.digest(workspace.PREPARED)
    shutil.rmtree(workspace.PREPARED)
    prepare.run(replace(settings, engine=workers))
    assert killed.exists()
    assert len(list((workspace.PREPARED / "train.parquet").iterdir())) > 1
    assert files.digest(workspace.PREPARED) == alone
    for name, rows in whole.items():
        pd.testing.assert_frame_equal(prepared.read(name), rows, check_exact=True)


def test_scores_are_the_same_files(settings: Params, workers: str, killed: Path) -> None:
    rows = prepared.read("test")[[*dict.fromkeys([*KEY, *FEATURES])]]
    rows.to_parquet("rows.parquet", row_group_size=len(rows) // 12)
    alone = score.run(Path("rows.parquet"), Path("alone"), workspace.EXPORT)
    found = score.run(Path("rows.parquet"), Path("found"), workspace.EXPORT, workers)
    assert killed.exists()
    assert found.new_rows == alone.new_rows == len(rows)
    assert files.digest(Path("found")) == files.digest(Path("alone"))


def test_a_search_tries_each_setting_once_and_finds_the_same(settings: Params, workers: str, killed: Path) -> None:
    space: dict[str, Any] = {"max_iter": [2, 3, 4, 5, 6, 7]}
    settings = replace(settings, search=Search(trials=6, folds=1, seed=1, space=space))
    alone = trials(search.run(settings))
    shutil.rmtree(workspace.SEARCH_JOURNALS)
    assert trials(search.run(replace(settings, engine=workers))) == alone
    assert killed.exists()
    (journal,) = workspace.SEARCH_JOURNALS.iterdir()
    assert len(journal.read_text().splitlines()) == len(alone.trials) == 7
    assert len(registry.runs(EXPERIMENT)) == 7


def trials(result: SearchResult) -> SearchResult:
    return replace(result, trials=tuple(replace(row, seconds=0) for row in result.trials))


def test_a_backtest_predicts_the_same(settings: Params, workers: str, killed: Path) -> None:
    settings = replace(settings, fetch=replace(settings.fetch, until=sample.MONTHS[1]))
    cut = windows.cut(sample.MONTHS[-1], "memory")
    examples = windows.features(*cut).dropna(subset=[LABEL]).reset_index(drop=True)
    alone = replay.fit(examples, settings)
    found = replay.fit(examples, replace(settings, engine=workers))
    assert killed.exists()
    assert found.scores.keys() == alone.scores.keys()
    assert len(alone.scores) == 2
    for count, scores in alone.scores.items():
        np.testing.assert_array_equal(found.scores[count], scores)
    assert not list((workspace.CACHE / "drift").glob("*.parquet"))


def test_what_is_lost_with_a_worker_is_made_again(workers: str) -> None:
    """As joblib raises it where a worker ends between its work and the fetching of it."""
    from distributed.client import FutureCancelledError

    lost = [FutureCancelledError("a tree", "lost")] * (engine.TRIES - 1)

    def grown() -> str:
        if lost:
            raise lost.pop()
        return "a forest"

    assert engine.spread(grown, workers) == "a forest"
    lost += [FutureCancelledError("a tree", "lost")] * engine.TRIES
    with pytest.raises(Failure, match="3 times a worker ended with results that were not fetched yet: give each more"):
        engine.spread(grown, workers)


def test_a_refusal_on_a_worker_is_the_same_line(settings: Params, workers: str) -> None:
    path = Path("artifacts/prepare/test.parquet")
    prepared.read("test").drop(columns=FEATURES[-1]).to_parquet(path, row_group_size=100)
    with pytest.raises(Failure, match=rf"test\.parquet lacks {FEATURES[-1]}$"):
        score.run(path, Path("out"), workspace.EXPORT, workers)


def test_a_worker_without_the_folder_or_with_other_code_says_so(
    settings: Params, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(engine, "code", lambda: "another")
        with pytest.raises(Failure, match="the worker .* has other code or libraries"):
            list(engine.as_done(len, ["a"], workers))
    with monkeypatch.context() as changed:
        changed.setattr(Path, "cwd", lambda: Path("/nowhere"))
        with pytest.raises(Failure, match="has no /nowhere .*: all machines of a cluster share the folder"):
            list(engine.as_done(len, ["a"], workers))
    assert list(engine.in_order(len, ["a", "bb"], workers)) == [1, 2]


def test_dask_alone_is_a_cluster_of_this_machine(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("engine: memory", "engine: dask"))
    assert sample.run(project, "prepare").stdout.startswith("prepare: ")
    assert (project / "artifacts/prepare/train.parquet").is_dir()


def test_an_address_without_an_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.5)
    nobody = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(
        Failure, match=f"^no Dask scheduler answers at {nobody} .*: start one with `dask scheduler`, or"
    ):
        list(engine.as_done(len, ["a"], nobody))


def test_what_kills_every_worker_is_given_up_with_a_line(workers: str) -> None:
    with pytest.raises(
        Failure, match="^the same task has ended 2 workers, the last one tcp://.*: give each more memory"
    ):
        list(engine.as_done(partial(engines.deadly, 0), ["a"], workers))
    assert list(engine.as_done(len, ["a"], workers)) == [(0, 1)], "they come again"


def test_a_scheduler_that_goes_away_is_one_line(tmp_path: Path) -> None:
    import dask

    with (
        engines.dask(tmp_path, 1) as (address, scheduler),
        dask.config.set(CONNECT),
        pytest.raises(Failure, match=f"^the scheduler at {address} went away; start it and run this again"),
    ):
        list(engine.as_done(partial(engines.deadly, scheduler), ["a", "b"], address))


def test_the_verb_says_who_is_there(
    settings: Params, workers: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(params, "load", lambda: replace(settings, engine=workers))
    assert main(["engine"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("tcp://127.0.0.1:")
    assert ": 1 thread(s), " in first
    assert last.endswith(f"worker(s) at {workers}, with this code, in this folder")
