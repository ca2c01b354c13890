"""What is due is scored with the version that serves: period by period, each state of its rows once, the same by days."""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import made
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec.structs import replace
from sample import MONTHS

from delivery.adapters import batch_records
from delivery.adapters.batch_records import Scored
from delivery.compute import processes
from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import windows
from delivery.pipeline import validate
from delivery.registry import registry
from delivery.registry.version import Version
from delivery.scoring import batch, scorer

VERSION = Version(number="1", digest="a digest", data_until="2013-05")
LATER = ["2013-06", "2013-07", "2013-08"]


@pytest.fixture
def month(project: Path, little: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data of one that the source has sent, scored in this process by the project's model."""
    data = workspace.CACHE / "drift" / MONTHS[2]
    shutil.copytree(little, data)
    monkeypatch.setattr(registry, "download", lambda version, to: Path("artifacts/train"))
    monkeypatch.setattr(windows, "ROWS", 100)
    monkeypatch.setattr(processes, "PROCESSES", 1)
    return data


def test_a_month_is_scored_the_same_by_days(month: Path) -> None:
    found = []
    for engine in ("memory", "stream"):
        folder, about = scorer.score(MONTHS[2], VERSION, month, engine)
        found.append((replace(about, scored=""), pd.read_parquet(folder / "predictions.parquet")))
        assert scorer.inputs(MONTHS[2], month, engine) == about.inputs
    assert len(windows.cut(MONTHS[2], "stream", month)) > 3
    assert found[0][0] == found[1][0]
    assert found[0][0].rows == len(found[0][1]) > 10
    assert found[0][0].mean == pytest.approx(found[0][1]["prediction"].mean(), abs=1e-6)
    pd.testing.assert_frame_equal(found[0][1], found[1][1], check_exact=True)


@pytest.mark.parametrize("option", ["--period", "--month"])
def test_the_period_has_a_former_name(option: str) -> None:
    parser = argparse.ArgumentParser()
    batch.arguments(parser)
    assert parser.parse_args([option, "2013-07"]).period == "2013-07"


def test_a_month_without_rows_is_refused_and_nothing_written(month: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "PERIOD", "carrier")  # whose values are no month
    with pytest.raises(Failure, match=f"the source has no rows of {MONTHS[2]}"):
        scorer.score(MONTHS[2], VERSION, month, "stream")
    assert not (workspace.BATCH / MONTHS[2] / "1").exists()


class Source:
    """A source whose rows are words, a clock, and what serves."""

    def __init__(self) -> None:
        self.rows = {period: f"rows of {period}" for period in LATER}
        self.labels = "none"
        self.day = 0
        self.serves = VERSION
        self.broken = ""

    def now(self, zone: object = None) -> datetime:
        return datetime(2014, 1, 1, tzinfo=UTC) + timedelta(days=self.day)

    def into(self, folder: Path, until: str) -> str:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for period, rows in self.rows.items():
            if period <= until:
                (folder / period).write_text(f"{rows}\n{self.labels}")
        return ""

    def inspect(self, until: str, engine: str, folder: Path) -> None:
        if self.broken and self.broken <= until:
            raise Failure(f"{self.broken} breaks its schema")

    def inputs(self, period: str, data: Path, engine: str, version: Version | None = None) -> str:
        return f"{hash((data / period).read_text().splitlines()[0]):x}"

    def score(self, period: str, version: Version, data: Path, engine: str) -> batch_records.Record:
        if not (data / period).read_text().splitlines()[0]:
            raise scorer.NoRows(f"the source has no rows of {period}")
        about = Scored(
            month=period, version=version.number, model="m", commit="c", data=str((data / period).read_text()), rows=7,
            mean=0.5, scored=self.now().isoformat(timespec="seconds"), by="me", inputs=self.inputs(period, data, engine),
        )  # fmt: skip
        return written(workspace.BATCH / period / version.number, about)


def written(folder: Path, about: Scored) -> batch_records.Record:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "about.json").write_text(json.dumps({name: getattr(about, name) for name in about.__struct_fields__}))
    (folder / "predictions.parquet").write_text(f"{about.inputs} by {about.version}")
    return batch_records.Record(folder, about)


@pytest.fixture
def source(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    shutil.copy(made.ROOT / "params.yaml", workspace.PARAMS)
    return played(Source(), monkeypatch.setattr)


def played(source: Source, put: Callable[[Any, str, Any], None]) -> Source:
    put(batch, "periods", lambda: ["2013-05", *source.rows])
    put(batch, "datetime", type("Clock", (datetime,), {"now": source.now}))
    put(scorer, "into", source.into)
    put(validate, "inspect", source.inspect)
    put(scorer, "inputs", source.inputs)
    put(scorer, "score", source.score)
    put(registry, "champion", lambda: source.serves)
    return source


def run(*words: str) -> None:
    parser = argparse.ArgumentParser()
    batch.arguments(parser)
    batch.main(parser.parse_args([*words]))


def kept() -> list[tuple[str, str]]:
    return [(about.month, about.version) for _, about in batch_records.read()]


def limited(monkeypatch: pytest.MonkeyPatch, settings: Params, most: int) -> None:
    monkeypatch.setattr(batch.params, "load", lambda: made.changed(settings, batch__max_periods=most))


def test_each_period_after_the_training_data_is_scored_once(source: Source, capsys: pytest.CaptureFixture) -> None:
    run("--push")
    assert kept() == [(period, "1") for period in LATER]
    assert "batch: 7 rows of 2013-06 scored with version 1; mean 0.5000.\n" in capsys.readouterr().out
    before = {path: path.read_bytes() for path in workspace.BATCH_KEPT.rglob("*") if path.is_file()}
    run("--push")
    assert before == {path: path.read_bytes() for path in workspace.BATCH_KEPT.rglob("*") if path.is_file()}
    line = "There is nothing to score: version 1 has scored what the source has after 2013-05, until 2013-08."
    assert capsys.readouterr().out.endswith(f"batch: {line}\n")


def test_a_source_without_anything_newer_is_no_failure(source: Source, capsys: pytest.CaptureFixture) -> None:
    source.serves = replace(VERSION, data_until="2013-08")
    run("--push")
    assert (
        "Nothing to score: the source has no period after 2013-08, until which version 1 was" in capsys.readouterr().out
    )
    assert kept() == []


def test_a_backlog_is_worked_off_by_several_runs(
    source: Source, settings: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    limited(monkeypatch, settings, 2)
    run("--push")
    assert [period for period, _ in kept()] == LATER[:2], "oldest first"
    assert "batch: 1 more wait for the next run, from 2013-08 on (batch.max_periods is 2)." in capsys.readouterr().out
    run("--push")
    assert [period for period, _ in kept()] == LATER


def test_a_version_that_serves_again_scores_what_it_has_not(source: Source) -> None:
    """Each has records of its own, and none is written over."""
    run("--push")
    source.serves, source.day = replace(VERSION, number="2", data_until="2013-06"), 1
    source.rows["2013-09"] = "rows of September"
    run("--push")
    source.serves, source.day = VERSION, 2
    run("--push")
    assert kept()[3:] == [("2013-07", "2"), ("2013-08", "2"), ("2013-09", "2"), ("2013-09", "1")]


def test_corrected_rows_are_scored_again_for_a_while_and_the_former_record_stays(
    source: Source, capsys: pytest.CaptureFixture
) -> None:
    run("--push")
    first = {path: path.read_bytes() for path in workspace.BATCH_KEPT.rglob("*") if path.is_file()}
    source.day, source.rows["2013-07"] = 60, "corrected"
    run("--push")
    assert "2013-07 scored with version 1 again, because its rows were corrected" in capsys.readouterr().out
    assert kept() == [*[(period, "1") for period in LATER], ("2013-07", "1")]
    assert all(path.read_bytes() == content for path, content in first.items())
    run("--push")
    source.rows["2013-07"] = "rows of 2013-07"
    run("--push")
    assert len(kept()) == 4, "once for each state of the rows"
    source.day, source.rows["2013-08"] = 61, "too late"
    run("--push")
    assert len(kept()) == 4


def test_labels_that_arrive_are_no_correction(source: Source) -> None:
    run("--push")
    source.labels = "there"
    run("--push")
    assert len(kept()) == 3


def test_a_schema_that_breaks_is_red_and_what_was_scored_before_is_kept(source: Source) -> None:
    source.broken = "2013-07"
    with pytest.raises(Failure, match="2013-07 breaks its schema"):
        run("--push")
    assert kept() == [("2013-06", "1")]
    source.broken = ""
    run("--push")
    assert [period for period, _ in kept()] == LATER


def test_a_period_without_rows_yet_holds_up_none_after_it(source: Source, capsys: pytest.CaptureFixture) -> None:
    source.rows["2013-07"] = ""
    run("--push")
    assert [period for period, _ in kept()] == ["2013-06", "2013-08"]
    assert "batch: 2013-07 has no rows yet." in capsys.readouterr().out
    source.rows["2013-07"] = "late"
    run("--push")
    assert {period for period, _ in kept()} == set(LATER)


def test_a_run_that_is_killed_leaves_no_half_record(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    copytree, copied = shutil.copytree, []

    def killed(source: Path, to: Path) -> None:
        copied.append(source)
        if len(copied) == 2:
            Path(to).mkdir()
            Path(to, "about.json").write_text("{")
            raise KeyboardInterrupt
        copytree(source, to)

    monkeypatch.setattr(batch.shutil, "copytree", killed)
    with pytest.raises(KeyboardInterrupt):
        run("--push")
    assert kept() == [("2013-06", "1")]
    left = workspace.BATCH_KEPT / "2013-07" / "1" / ".x.1.abc.scratch" / "x"  # of one that could not even clean up
    left.mkdir(parents=True)
    (left / "about.json").write_text("{")
    run("--push")
    assert [period for period, _ in kept()] == LATER


def test_a_record_of_the_former_layout_counts(source: Source) -> None:
    """It does not know its rows, so it stays."""
    run("--push")
    about = batch_records.read()[0].about
    shutil.rmtree(workspace.BATCH_KEPT)
    written(workspace.BATCH_KEPT / "2013-06", replace(about, inputs=""))
    source.rows["2013-06"] = "corrected"
    run("--push")
    assert [period for period, _ in kept()] == LATER
    assert (workspace.BATCH_KEPT / "2013-06" / "predictions.parquet").exists()


def test_without_push_reports_count_as_scored(source: Source, capsys: pytest.CaptureFixture) -> None:
    run()
    assert kept() == []
    capsys.readouterr()
    run()
    assert capsys.readouterr().out.startswith("batch: There is nothing to score")
    run("--push")
    assert [period for period, _ in kept()] == LATER


def test_a_period_that_is_asked_for_is_scored_whatever_was_before(
    source: Source, capsys: pytest.CaptureFixture
) -> None:
    run("--push")
    capsys.readouterr()
    run("--push", "--period", "2013-06")
    assert capsys.readouterr().out.endswith("batch: 7 rows of 2013-06 scored with version 1; mean 0.5000.\n")
    assert len(kept()) == 3
    source.rows["2013-06"] = ""
    with pytest.raises(Failure, match="the source has no rows of 2013-06"):
        run("--push", "--period", "2013-06")


def test_a_version_that_does_not_know_its_data_begins_after_those_of_params(source: Source) -> None:
    source.serves = replace(VERSION, data_until="")
    run("--push")
    assert [period for period, _ in kept()] == LATER


stories = st.lists(
    st.tuples(
        st.integers(0, 3),  # periods that arrive
        st.sampled_from(["", "", "promote", "promote", "rollback"]),
        st.sampled_from([None, None, 0, 1, 2]),  # which of the newest is corrected
        st.integers(0, 2),  # runs of the batch
    ),
    min_size=1,
    max_size=12,
)


@examples(max_examples=50, deadline=None)
@given(stories, st.integers(1, 3))
def test_each_period_is_scored_by_what_serves_and_each_state_of_its_rows_once(
    story: list[tuple[int, str, int | None, int]], most: int
) -> None:
    """Whatever arrives, is corrected, promoted and rolled back."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        patch.chdir(place)
        source = played(Source(), patch.setattr)
        source.rows.clear()
        chosen = made.changed(params.load(made.ROOT / "params.yaml"), batch__max_periods=most)
        patch.setattr(batch.params, "load", lambda: chosen)
        patch.setattr(batch.store, "pull", str)
        pushed: list[Scored] = []
        stack = [VERSION]
        patch.setattr(batch, "push", lambda record: keep(record, pushed))
        for arrivals, move, corrected, runs in story:
            source.day += 1
            for _ in range(arrivals):
                source.rows[f"2014-{len(source.rows):03d}"] = f"day {source.day}"
            known = ["2013-05", *source.rows]
            if move == "promote":
                number = str(int(max(stack, key=lambda version: int(version.number)).number) + 1)
                stack.append(Version(number=number, data_until=known[-1 - len(known) // 2]))
            elif move == "rollback" and stack[1:]:
                stack.insert(0, stack.pop())  # numbers are never given twice
            if corrected is not None and corrected < len(source.rows):
                source.rows[list(source.rows)[-1 - corrected]] = f"corrected on day {source.day}"
            source.serves = stack[-1]
            before = len(pushed)
            for _ in range(runs):
                run("--push")
            for about in pushed[before:]:
                assert about.version == source.serves.number
                assert about.month > source.serves.data_until
            assert len(pushed) - before <= runs * most
        for _ in range(len(source.rows) + 1):
            run("--push")
        later = {period for period in source.rows if period > source.serves.data_until}
        states = {(about.month, about.inputs) for about in pushed if about.version == source.serves.number}
        assert {(period, source.inputs(period, now(source, period), "")) for period in later} <= states
        keys = [(about.month, about.version, about.inputs) for about in pushed]
        assert len(keys) == len(set(keys)), "once"


def now(source: Source, period: str) -> Path:
    source.into(Path("now"), period)
    return Path("now")


def keep(record: batch_records.Record, pushed: list[Scored]) -> None:
    """As `push` does, without git."""
    to = workspace.BATCH_KEPT / batch_records.place(record.about)
    assert not to.exists(), "nothing is written over"
    shutil.copytree(record.folder, to)
    pushed.append(record.about)


def test_a_broken_record_is_named(folder: Path) -> None:
    path = workspace.BATCH_KEPT / "2013-06" / "about.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(Failure, match=r"batch/2013-06/about\.json is no record of a batch"):
        batch_records.read()


def test_the_digest_of_the_rows_does_not_depend_on_their_order() -> None:
    hashes = np.arange(5, dtype=np.uint64)
    assert scorer.together([hashes[::-1]]) == scorer.together([hashes[:2], hashes[2:]])
    assert scorer.together([hashes[1:]]) != scorer.together([hashes])
