"""Two models on the same rows: better, worse or within noise, and where."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import made
import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from delivery.__main__ import main
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.decision import compare
from delivery.decision.baseline import Baseline
from delivery.render.markdown import sentence
from delivery.stats import comparison, task
from delivery.stats.bootstrap import blocks, interval, means, scores
from delivery.stats.evaluation import Interval
from delivery.stats.predictions import PREDICTION, values
from delivery.stats.verdicts import CalibrationGaps, Comparison, ComparisonResult, MetricRow, Outcome, SegmentRow
from problem import BLOCK, HIGHER_IS_BETTER, KEY, LABEL, PRIMARY, SEGMENTS, losses, score

ROWS = made.predictions()
NUMBER = next(name for name in KEY if name not in SEGMENTS)


def noisy(rows: pd.DataFrame) -> pd.DataFrame:
    """As good on the whole, a little better on some days and worse on others."""
    sign = pd.factorize(rows[BLOCK])[0] % 2 * 2 - 1
    return made.worse(rows, 0.005 * sign)


@pytest.mark.parametrize(
    ("candidate", "verdict"),
    [(made.worse(ROWS, -0.05), "better"), (made.worse(ROWS, 0.05), "worse"), (noisy(ROWS), "within noise")],
    ids=["better", "worse", "noise"],
)
def test_a_difference_is_judged_by_its_interval(candidate: pd.DataFrame, verdict: str, settings: Params) -> None:
    found = comparison.compare(ROWS, candidate, settings.compare).primary_row()
    assert found.verdict == verdict
    assert found.low <= found.difference <= found.high


def test_positive_is_better_whichever_way_a_metric_goes(settings: Params) -> None:
    found = comparison.compare(ROWS, made.worse(ROWS, -0.05), settings.compare)
    assert {row.metric for row in found.metrics} == set(HIGHER_IS_BETTER)
    assert all(row.difference > 0 and row.low > 0 for row in found.metrics)


def test_every_number_of_a_comparison(settings: Params) -> None:
    """Each metric of both models, their difference, and the interval of the level that the settings ask for."""
    candidate = made.worse(ROWS, 0.02)
    narrow = made.changed(settings, compare__confidence=0.8, compare__seed=7).compare
    found = comparison.compare(ROWS, candidate, narrow)
    y, old, new = ROWS[LABEL].to_numpy(float), values(ROWS[PREDICTION]), values(candidate[PREDICTION])
    grouped = blocks(ROWS[BLOCK], 1000, 7)
    samples = {name: means(losses(y, old)[name] - loss, grouped) for name, loss in losses(y, new).items()}
    for name, (before, after) in scores(y, [old, new], grouped, 10).items():
        samples[name] = after - before if HIGHER_IS_BETTER[name] else before - after
    for row in found.metrics:
        name = row.metric
        expected = interval(samples.pop(name), 0.8)
        assert (row.low, row.high) == pytest.approx((expected.low, expected.high))
        assert (row.champion, row.candidate) == (score(y, old)[name], score(y, new)[name])
    assert samples == {}
    assert len(found.segments) == 3 * len(SEGMENTS)
    gain = losses(y, old)[PRIMARY] - losses(y, new)[PRIMARY]
    assert segment(found.segments, made.PART).difference == pytest.approx(gain[made.inside(ROWS)].mean())
    assert replace(found, metrics=(), segments=()) == Comparison(
        rows=1800,
        blocks=30,
        block=BLOCK,
        confidence=0.8,
        primary=PRIMARY,
        metrics=(),
        segments=(),
        calibration=CalibrationGaps(champion=task.gap(y, old), candidate=task.gap(y, new)),
    )


def test_a_score_that_is_better_low_counts_the_other_way(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference of resampled scores is positive where the candidate is better."""
    resampled = {"up": np.array([[0.5, 0.5], [0.75, 0.75]]), "down": np.array([[0.5, 0.5], [0.75, 0.75]])}
    monkeypatch.setattr(comparison, "HIGHER_IS_BETTER", HIGHER_IS_BETTER | {"up": True, "down": False})
    monkeypatch.setattr(comparison, "scores", lambda *_: resampled)
    monkeypatch.setattr(comparison, "score", lambda y, p: dict.fromkeys([*HIGHER_IS_BETTER, "up", "down"], 0.0))
    monkeypatch.setattr(comparison, "interval", lambda samples, _: Interval(float(samples.min()), float(samples.max())))
    others = {name for name in HIGHER_IS_BETTER if name not in losses(np.zeros(1), values(ROWS[PREDICTION])[:1])}
    resampled |= {name: np.zeros((2, 2)) for name in others}
    found = {row.metric: row for row in comparison.compare(ROWS, ROWS, settings.compare).metrics}
    assert (found["up"].low, found["up"].high) == (0.25, 0.25)
    assert (found["down"].low, found["down"].high) == (-0.25, -0.25)


def test_the_table_of_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "HIGHER_IS_BETTER", {"auc": True, "log_loss": False})
    samples = {"auc": np.linspace(0.0, 0.2, 101), "log_loss": np.linspace(-0.4, -0.1, 101)}
    better, worse = comparison.metric_table(
        {"auc": 0.75, "log_loss": 0.25}, {"auc": 0.875, "log_loss": 0.5}, samples, confidence=0.9
    )
    assert better == MetricRow(
        metric="auc",
        higher_is_better=True,
        champion=0.75,
        candidate=0.875,
        difference=0.125,
        low=made.nearly(0.01),
        high=made.nearly(0.19),
        verdict="better",
    )
    assert worse == MetricRow(
        metric="log_loss",
        higher_is_better=False,
        champion=0.25,
        candidate=0.5,
        difference=-0.25,
        low=made.nearly(-0.385),
        high=made.nearly(-0.115),
        verdict="worse",
    )


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1e-9, 0.1, "better"),
        (0.0, 0.1, "within noise"),
        (-0.1, 0.0, "within noise"),
        (-0.1, -1e-9, "worse"),
        (float("nan"), float("nan"), "within noise"),
    ],
)
def test_an_interval_that_holds_zero_is_noise(low: float, high: float, verdict: str) -> None:
    assert comparison.verdict(low, high) == verdict


def test_the_table_of_segments(settings: Params) -> None:
    """Two days of losses and three of gains in one segment, gains in the next, nothing but losses in the third."""
    day = np.repeat(["d1", "d2", "d3", "d4", "d5"], 6)
    value = np.tile(["A", "A", "B", "B", "C", None], 5)
    rows = pd.DataFrame({BLOCK: day} | dict.fromkeys(SEGMENTS, value))
    gain = np.where(value == "A", np.where(np.isin(day, ["d1", "d2"]), -2.0, 1.0), np.where(value == "B", 0.0, -1.0))
    chosen = made.changed(
        settings, compare__segment_rows=10, compare__resamples=99, compare__seed=5, compare__confidence=0.5
    ).compare
    table = comparison.segment_table(rows, gain, chosen)
    assert [row.segment for row in table] == [f"{name}={value}" for name in SEGMENTS for value in "ABC"]
    mixed, equal, lost = table[:3]
    samples = means(np.array([-2.0, -2.0, 1.0, 1.0, 1.0]), blocks(pd.Series(["d1", "d2", "d3", "d4", "d5"]), 99, 5))
    expected = interval(samples, 0.5)
    assert mixed == SegmentRow(
        segment=f"{SEGMENTS[0]}=A",
        rows=10,
        blocks=5,
        difference=made.nearly(-0.2),
        low=made.nearly(expected.low),
        high=made.nearly(expected.high),
        p_worse=made.nearly((1 + (samples > -1e-9).sum()) / 100),
        judged=True,
    )
    assert (equal.difference, equal.p_worse, equal.judged) == (0.0, 1.0, True)
    assert (lost.difference, lost.p_worse) == (-1.0, 0.01)
    assert (lost.rows, lost.blocks, lost.judged) == (5, 5, False), "too few rows"


def test_a_segment_of_five_blocks_is_judged_and_one_of_four_is_not(settings: Params) -> None:
    rows = pd.DataFrame({BLOCK: list("abcdeabcda")} | dict.fromkeys(SEGMENTS, ["five"] * 5 + ["four"] * 5))
    chosen = made.changed(settings, compare__segment_rows=5).compare
    judged = [row.judged for row in comparison.segment_table(rows, np.zeros(10), chosen)]
    assert judged == [True, False] * len(SEGMENTS)


def test_two_blocks_are_enough_for_an_interval(settings: Params) -> None:
    assert comparison.compare(ROWS, ROWS.head(120), settings.compare).blocks == 2


def test_models_that_know_other_classes_are_not_compared(settings: Params) -> None:
    other = ROWS.assign(**{PREDICTION: [np.full(7, 1 / 7)] * len(ROWS)})
    with pytest.raises(Failure, match="^the two predict different things: one has classes that the other lacks$"):
        comparison.compare(other, ROWS, settings.compare)


def test_the_same_model_differs_by_nothing(settings: Params) -> None:
    found = comparison.compare(ROWS, ROWS, settings.compare)
    assert all((row.difference, row.low, row.high) == (0, 0, 0) for row in found.metrics)
    assert found.primary_row().verdict == "within noise"


def test_the_order_of_the_rows_does_not_matter(settings: Params) -> None:
    candidate = made.worse(ROWS, 0.02)
    mixed = candidate.sample(frac=1, random_state=1)
    one, two = (comparison.compare(ROWS, rows, settings.compare).primary_row() for rows in (candidate, mixed))
    assert (one.difference, one.low, one.high) == pytest.approx((two.difference, two.low, two.high))


def test_rows_are_matched_by_their_key_and_those_of_one_side_only_are_left_out(settings: Params) -> None:
    champion, candidate = ROWS.iloc[200:], ROWS.iloc[:1500]
    assert comparison.compare(champion, candidate, settings.compare).rows == 1300
    assert comparison.pair(champion, candidate)[list(KEY)].equals(ROWS.iloc[200:1500].reset_index(drop=True)[list(KEY)])


def test_a_row_twice_on_one_side_is_refused(settings: Params) -> None:
    with pytest.raises(pd.errors.MergeError, match="one-to-one"):
        comparison.compare(pd.concat([ROWS, ROWS.head(1)]), ROWS, settings.compare)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS.head(50), "have 50 rows in common, of 1 days"),
        (ROWS.assign(**{NUMBER: ROWS[NUMBER] + 9999}), "have 0 rows"),
    ],
    ids=["one day", "nothing in common"],
)
def test_too_little_for_an_interval_is_refused(rows: pd.DataFrame, message: str, settings: Params) -> None:
    with pytest.raises(Failure, match=message):
        comparison.compare(ROWS, rows, settings.compare)


def segment(rows: Sequence[SegmentRow], name: str) -> SegmentRow:
    return next(row for row in rows if row.segment == name)


def test_a_model_that_is_bad_in_one_segment_only_is_seen_there(settings: Params) -> None:
    candidate = made.worse(made.worse(ROWS, -0.02), 0.1, made.inside(ROWS))
    found = comparison.compare(ROWS, candidate, settings.compare).segments
    bad, good = segment(found, made.PART), segment(found, made.PART.replace("B", "C"))
    assert bad.high < 0 < good.low
    assert bad.p_worse < 0.01
    assert good.p_worse > 0.9
    assert bad.rows == made.inside(ROWS).sum()


def test_a_small_segment_or_one_of_few_days_is_shown_and_not_judged(settings: Params) -> None:
    column = SEGMENTS[0]
    few = ROWS.assign(**{column: np.where(ROWS.index < 20, "few", np.where(ROWS.index < 240, "short", "many"))})
    found = comparison.compare(few, few, settings.compare).segments
    judged = {row.segment: row.judged for row in found}
    assert not judged[f"{column}=few"], "20 rows"
    assert not judged[f"{column}=short"], "220 rows, of 4 days"
    assert judged[f"{column}=many"]


@pytest.mark.parametrize(
    ("candidate", "begins"),
    [
        (made.worse(ROWS, -0.05), "Better by 0."),
        (made.worse(ROWS, 0.05), "Worse by 0."),
        (noisy(ROWS), "Within noise: "),
    ],
    ids=["better", "worse", "noise"],
)
def test_the_sentence_says_it_in_plain_words(candidate: pd.DataFrame, begins: str, settings: Params) -> None:
    found = comparison.compare(ROWS, candidate, settings.compare)
    said = sentence(ComparisonResult("version 3", None, "", found))
    assert said.startswith(begins)
    assert f"{PRIMARY.replace('_', ' ')} on the same 1,800 rows (30 days) as version 3" in said


def said(low: float, high: float, verdict: Outcome) -> str:
    """The sentence of a comparison whose primary metric is not the first of the table."""
    other = made.metric_row("another", 8.0, 10.0, "worse")
    found = made.comparison([other, made.metric_row(PRIMARY, low, high, verdict), other])
    return sentence(ComparisonResult("version 3", None, "", found))


@pytest.mark.parametrize(
    ("low", "high", "verdict", "begins"),
    [
        (0.01, 0.03, "better", f"Better by 0.0200 [+0.0100, +0.0300] {PRIMARY.replace('_', ' ')}"),
        (-0.03, -0.01, "worse", f"Worse by 0.0200 [-0.0300, -0.0100] {PRIMARY.replace('_', ' ')}"),
        (-0.03, 0.01, "within noise", f"Within noise: -0.0100 [-0.0300, +0.0100] {PRIMARY.replace('_', ' ')}"),
        (-9e-7, 9e-7, "within noise", "The same predictions"),
        (-9e-7, 1e-6, "within noise", f"Within noise: +0.0000 [-0.0000, +0.0000] {PRIMARY.replace('_', ' ')}"),
        (-1e-6, 9e-7, "within noise", f"Within noise: -0.0000 [-0.0000, +0.0000] {PRIMARY.replace('_', ' ')}"),
    ],
    ids=["better", "worse", "noise", "the same", "all but the same above", "all but the same below"],
)
def test_the_sentence_is_about_the_primary_metric(low: float, high: float, verdict: Outcome, begins: str) -> None:
    assert said(low, high, verdict) == f"{begins} on the same 1,800 rows (30 days) as version 3"


def test_nothing_to_compare_with_is_said_with_its_reason() -> None:
    found = ComparisonResult(None, None, "there is no commit yet", None)
    assert sentence(found) == "Nothing to compare with: there is no commit yet"


@pytest.fixture
def stubbed(settings: Params, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Predictions on disk that are better than those of a registered version."""
    workspace.PREDICTIONS.parent.mkdir(parents=True)
    made.worse(ROWS, -0.05).to_parquet(workspace.PREDICTIONS)
    version = Baseline("version 3", "abc", ROWS, Path("model.skops"))
    monkeypatch.setattr(compare.params, "load", lambda: settings)
    monkeypatch.setattr(
        compare.baseline, "choose", lambda base: (version, f"asked for {base}") if base else (None, "no commit yet")
    )
    monkeypatch.setattr(compare.prepared, "read", lambda name: f"{name} rows")
    monkeypatch.setattr(compare.baseline, "on", lambda chosen, rows: {"test rows": chosen.predictions}[rows])
    return settings


def test_the_candidate_is_compared_with_the_baseline_on_the_test_rows(stubbed: Params) -> None:
    found = compare.run(stubbed.compare, "3")
    expected = comparison.compare(ROWS, made.worse(ROWS, -0.05), stubbed.compare)
    assert found == ComparisonResult(against="version 3", commit="abc", reason="asked for 3", comparison=expected)
    assert expected.primary_row().verdict == "better"
    written = json.loads(workspace.COMPARISON.read_text())
    assert (written["against"], written["comparison"]["rows"]) == ("version 3", 1800)


def test_without_a_baseline_the_reason_is_written(stubbed: Params) -> None:
    nothing: dict[str, Any] = {"against": None, "commit": None, "reason": "no commit yet", "comparison": None}
    assert compare.run(stubbed.compare) == ComparisonResult(**nothing)
    assert json.loads(workspace.COMPARISON.read_text()) == nothing


def test_the_verb_prints_a_sentence_or_json(stubbed: Params, capsys: pytest.CaptureFixture) -> None:
    assert main(["compare"]) == 0
    assert capsys.readouterr().out == "Nothing to compare with: no commit yet\n"
    assert main(["compare", "--base", "3", "--json"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == json.loads(workspace.COMPARISON.read_text())
    assert out.startswith('{\n "against": "version 3"')


def test_missing_predictions_are_refused_with_the_command(folder: Path) -> None:
    with pytest.raises(Failure, match=r"predictions\.parquet is missing; run `dvc repro`"):
        compare.read(workspace.PREDICTIONS)


def test_the_verb_writes_what_it_prints(
    project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(compare.params, "load", lambda: settings)
    mine = compare.read(workspace.PREDICTIONS)
    other = Baseline("version 3", "abc", made.worse(mine, 0.1), Path("nowhere"))
    monkeypatch.setattr(compare.baseline, "choose", lambda base: (other, base))
    assert main(["compare", "--base", "3", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(workspace.COMPARISON.read_text())
    assert (printed["against"], printed["commit"], printed["comparison"]["rows"]) == ("version 3", "abc", len(mine))
    (row,) = (row for row in printed["comparison"]["metrics"] if row["metric"] == PRIMARY)
    assert row["verdict"] == "better"
