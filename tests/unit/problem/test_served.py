"""Served predictions: from the service's own log to the labels, and what goes wrong between."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import made
import msgspec
import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from delivery.adapters import dvc
from delivery.adapters.batch_records import Scored
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.drift import champion, page, served
from delivery.drift.findings import JoinCounts, ServedFacts, Serving
from delivery.service.log import Line
from delivery.stats import predictions
from delivery.stats.predictions import PREDICTION
from problem import BLOCK, KEY, LABEL, PERIOD, PRIMARY, Request, losses

FIELDS = Request.__struct_fields__


def requests(examples: pd.DataFrame) -> list[Request]:
    """What a client would have sent for these rows."""
    records = examples[list(FIELDS)].astype(object).where(examples[list(FIELDS)].notna(), None).to_dict("records")
    return [msgspec.convert(record | {"scheduled": record["scheduled"].to_pydatetime()}, Request) for record in records]


def serve(folder: Path, asked: list[Request], scores: list[float]) -> None:
    """Write a file of the log with one request per line."""
    number_of_files = len(list(folder.glob("predictions-*.jsonl")))
    with (folder / f"predictions-2013-{number_of_files}.jsonl").open("wb") as file:
        for number, (request, score) in enumerate(zip(asked, scores, strict=True)):
            line = Line(time.time(), f"r{number}", "1", [msgspec.to_builtins(request)], [score])
            file.write(msgspec.json.encode(line) + b"\n")


@contextmanager
def service(log: Path) -> Iterator[str]:
    """The real service over artifacts/export, stopped as an orchestrator stops it; its address."""
    command = [sys.executable, "-m", "delivery", "serve", "--port", "0", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | made_path()) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[3]
        finally:
            process.terminate()
            process.wait(30)


def made_path() -> dict[str, str]:
    return {"PYTHONPATH": str(made.ROOT / "src")}


@pytest.fixture
def some_rows(examples: pd.DataFrame) -> pd.DataFrame:
    """March without flights that share their name, every twentieth."""
    march = examples[examples[PERIOD] == "2013-03"]
    return march[~march.duplicated(served.naming_fields(), keep=False)].iloc[::20].reset_index(drop=True)


def test_an_example_is_named_by_what_is_no_measurement() -> None:
    assert served.naming_fields() == ["scheduled", "carrier", "origin", "dest"]


def test_from_the_log_to_the_labels(
    project: Path, some_rows: pd.DataFrame, examples: pd.DataFrame, settings: Params
) -> None:
    """The service answers, its log is joined, and the same raw row gave the same features and the same score."""
    folder = project / "log"
    with service(folder) as url:
        body = msgspec.json.encode(requests(some_rows))
        asked = urllib.request.Request(f"{url}/predict", body, {"content-type": "application/json"})
        with urllib.request.urlopen(asked) as answer:
            answered = msgspec.json.decode(answer.read())["predictions"]
    test = examples[examples[PERIOD] == "2013-02"]
    reference = predictions.predictions(test, np.linspace(0, 1, len(test)))
    main = champion.of_main(settings)
    facts = served.served_facts(folder, examples, reference, settings, who=main)
    counts = facts.counts
    assert (counts.predictions, counts.joined, counts.unknown) == (len(some_rows), len(some_rows), 0)
    assert counts.labelled == some_rows[LABEL].notna().sum()
    known = some_rows[LABEL].notna().to_numpy()
    loss = losses(some_rows[LABEL].to_numpy(float)[known], np.array(answered)[known])[PRIMARY]
    assert facts.loss == pytest.approx(loss.mean())
    assert facts.skew == ()
    assert facts.again is not None
    assert facts.again <= settings.export.tolerance
    assert any("predictions logged" in line for line in page.served_lines(facts))


def test_scores_of_a_deployment_which_logs_the_registrys_number_are_made_again(
    project: Path, some_rows: pd.DataFrame, examples: pd.DataFrame, settings: Params
) -> None:
    """They were compared with a prefix of the digest, so that nothing ever was. A host has a folder for each slot."""
    (project / "log" / "slot-a").mkdir(parents=True)
    (project / "log" / "slot-b").mkdir()
    half = len(some_rows) // 2
    serve(project / "log" / "slot-a", requests(some_rows[:half]), [0.5] * half)
    serve(project / "log" / "slot-b", requests(some_rows[half:]), [0.5] * (len(some_rows) - half))
    registered = project / "registered"
    shutil.copytree(workspace.EXPORT, registered / "export")
    who = replace(champion.of_main(settings), serving=Serving(version="1"), model=registered / "model.skops")
    test = examples[examples[PERIOD] == "2013-02"]
    reference = predictions.predictions(test, np.linspace(0, 1, len(test)))

    def facts(who: champion.Champion, rows: pd.DataFrame) -> ServedFacts:
        return served.served_facts(project / "log", rows, reference, settings, who=who)

    found = facts(who, examples)
    assert (found.counts.joined, found.versions) == (len(some_rows), ("1",)), "of both folders"
    assert found.again is not None
    assert found.again > 0.01, "0.5 is not what the model says"
    other = facts(replace(who, serving=Serving(version="2")), examples)
    assert (other.again, other.why) == (None, "none that could be joined is by version 2; the log has 1")
    none = facts(who, examples[examples[PERIOD] == "2013-01"])
    assert none.why.startswith(
        f"none of {len(some_rows)} logged predictions could be joined with its example: {len(some_rows)} are"
    )
    assert any("Served scores were not made again: none of" in line for line in page.served_lines(none))


def test_a_feature_that_is_made_differently_online_is_found(
    folder: Path, some_rows: pd.DataFrame, examples: pd.DataFrame
) -> None:
    """The client sends Celsius, and forgets the previous day's rate for some."""
    cold = some_rows.assign(temp=(some_rows["temp"] - 32) / 1.8)
    cold.loc[::2, "late_rate"] = float("nan")
    serve(folder, requests(cold), [0.5] * len(cold))
    joined, _ = served.join_examples(served.read_log(folder)[0], examples)
    found = {case.feature: case for case in served.feature_skew(joined)}
    assert set(found) == {"temp", "late_rate"}
    assert found["temp"].share > 0.9
    assert found["late_rate"].share == pytest.approx(0.5, abs=0.1)
    assert "served" in found["temp"].case


def test_a_score_of_another_model_is_found(folder: Path, some_rows: pd.DataFrame, examples: pd.DataFrame) -> None:
    serve(folder, requests(some_rows), [0.5] * len(some_rows))
    joined, _ = served.join_examples(served.read_log(folder)[0], examples)
    assert served.rescoring_error(joined, lambda rows: np.full(len(rows), 0.5)) == 0
    assert served.rescoring_error(joined, lambda rows: np.full(len(rows), 0.6)) == pytest.approx(0.1)


def test_repeated_ambiguous_and_unknown_predictions_are_counted(folder: Path, some_rows: pd.DataFrame) -> None:
    few = some_rows.iloc[:6]
    serve(folder, requests(few), [0.2] * 6)
    serve(folder, requests(few.iloc[:2]), [0.7] * 2)
    twins = pd.concat([few.iloc[:5], few.iloc[[4]].assign(flight=9999)], ignore_index=True)
    joined, counts = served.join_examples(served.read_log(folder)[0], twins)
    assert counts == JoinCounts(
        predictions=8, repeated=2, ambiguous=1, unknown=1, joined=4, labelled=int(joined[LABEL].notna().sum())
    )
    assert sorted(joined[PREDICTION]) == [0.2, 0.2, 0.7, 0.7], "the last prediction of a version counts"


def test_rows_of_another_schema_are_counted_and_a_broken_line_is_said(folder: Path, some_rows: pd.DataFrame) -> None:
    serve(folder, requests(some_rows.iloc[:3]), [0.2] * 3)
    (file,) = folder.glob("predictions-*.jsonl")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1].replace('"carrier"', '"airline"'), lines[2]]) + "\n")
    rows, unreadable = served.read_log(folder)
    assert (len(rows), unreadable) == (2, 1)
    file.write_text("{\n" + lines[0] + "\n")
    with pytest.raises(Failure, match="has a broken line"):
        served.read_log(folder)


def test_a_folder_without_a_log_says_how_to_get_one(folder: Path) -> None:
    with pytest.raises(Failure, match="start the service with `--log"):
        served.read_log(folder)


def test_batch_predictions_get_their_labels(folder: Path, some_rows: pd.DataFrame) -> None:
    assert served.batch_predictions(folder).empty
    newest = folder / "2013-03" / "1" / "a digest"
    for place, score, moment in (
        (folder / "2013-03", 0.5, "2026-01-01"),  # the layout of earlier versions
        (newest, 0.25, "2026-03-01"),
        (folder / "2013-03" / "2" / "a digest", 0.75, "2026-02-01"),
    ):
        place.mkdir(parents=True)
        scored = predictions.predictions(some_rows.assign(**{LABEL: np.nan}), np.full(len(some_rows), score))
        scored.to_parquet(place / "predictions.parquet")
        about = Scored("2013-03", "1", "", "", "", len(scored), score, moment, "me")
        (place / "about.json").write_bytes(msgspec.json.encode(about))
    joined, counts = served.join_examples(served.batch_predictions(folder), some_rows, KEY)
    assert counts.joined == len(some_rows)
    assert set(joined[PREDICTION]) == {0.25}, "of several the one that was scored last"
    assert (served.realised_loss(joined, counts).loss or 0) > 0


@pytest.fixture(scope="module")
def acted_upon() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two months of predictions with labels, of which one in twenty never comes, whatever the score."""
    both = []
    for seed in (1, 2):
        rows = made.predictions(seed=seed)
        rows.loc[np.random.default_rng(seed).random(len(rows)) < 0.05, LABEL] = np.nan
        both.append(rows)
    return both[0], both[1]


def test_labels_that_come_back_as_before_are_no_feedback(acted_upon: tuple, settings: Params) -> None:
    rows, reference = acted_upon
    found = served.label_feedback(rows, reference, settings.compare)
    assert not found.warn
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0 < found.high


def test_labels_that_stay_away_where_the_model_warns_are_feedback(acted_upon: tuple, settings: Params) -> None:
    """Half of the flights with the highest scores are rebooked, and nobody learns whether they were late."""
    rows, reference = acted_upon
    high = rows[PREDICTION] > rows[PREDICTION].quantile(0.8)
    rebooked = rows.assign(**{LABEL: rows[LABEL].where(~(high & (np.arange(len(rows)) % 2 == 0)))})
    found = served.label_feedback(rebooked, reference, settings.compare)
    assert found.warn
    assert found.high is not None
    assert found.high < 0


def test_a_month_whose_labels_have_not_arrived_is_not_feedback(acted_upon: tuple, settings: Params) -> None:
    rows, reference = acted_upon
    found = served.label_feedback(rows.assign(**{LABEL: np.nan}), reference, settings.compare)
    assert not found.warn
    assert "no served prediction is due" in found.why


def test_what_is_natural_is_no_warning(settings: Params) -> None:
    """A storm cancels what would have been late: fewer labels at high scores, with the model or without."""
    both = []
    for seed in (3, 4):
        rows = made.predictions(seed=seed)
        gone = np.random.default_rng(seed).random(len(rows)) < 0.4 * rows[PREDICTION]
        both.append(rows.assign(**{LABEL: rows[LABEL].where(~gone)}))
    assert not served.label_feedback(both[0], both[1], settings.compare).warn
    assert rows[BLOCK].nunique() == 30


def test_a_log_elsewhere_is_copied_by_dvc(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """As on a bucket: a remote of DVC's, which has the address and its credentials."""
    bucket = tmp_path_factory.mktemp("bucket")
    (bucket / "log").mkdir()
    (bucket / "log" / "predictions-2013.jsonl").write_text("")
    for words in (["init", "--quiet"], ["remote", "add", "--quiet", "logs", str(bucket)]):
        dvc.run(*words)
    assert [path.name for path in served.local_log("remote://logs/log").iterdir()] == ["predictions-2013.jsonl"]
    with pytest.raises(Failure, match="'remote://logs/none' does not exist"):
        served.local_log("remote://logs/none")
    assert served.local_log("log") == Path("log")
