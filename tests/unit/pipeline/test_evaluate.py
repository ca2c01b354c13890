"""What is measured: metrics with intervals, calibration, segments, importance, pictures."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import made
import numpy as np
import pandas as pd
import pytest
from msgspec import structs
from msgspec.structs import replace

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import prepared
from delivery.pipeline import evaluate, plots
from delivery.stats import predictions, task
from delivery.stats.bootstrap import blocks, interval, means, scores
from delivery.stats.evaluation import CalibrationBin, Evaluation, Importance, Metric, Problem, SegmentScore
from problem import BLOCK, CLASSES, FEATURES, KEY, LABEL, PERIOD, PRIMARY, SEGMENTS, losses, score

ROWS = made.predictions()


def test_every_metric_comes_with_an_interval_that_holds_it(settings: Params) -> None:
    found = evaluate.measure(ROWS, settings.compare)
    expected = score(ROWS[LABEL].to_numpy(), predictions.values(ROWS[predictions.PREDICTION]))
    assert {name: row.value for name, row in found.metrics.items()} == pytest.approx(expected)
    assert all(row.low < row.value < row.high for row in found.metrics.values())
    assert (found.rows, found.blocks, found.periods) == (len(ROWS), 30, ("2013-05",))


def test_every_number_of_a_measurement(settings: Params) -> None:
    chosen = made.changed(settings, compare__confidence=0.8, compare__seed=7).compare
    mixed = ROWS.assign(**{PERIOD: np.where(ROWS.index < 900, "2013-06", "2013-05")})
    found = evaluate.measure(mixed, chosen)
    y, p = ROWS[LABEL].to_numpy(float), predictions.values(ROWS[predictions.PREDICTION])
    grouped = blocks(ROWS[BLOCK], 1000, 7)
    samples = {name: means(loss, grouped) for name, loss in losses(y, p).items()}
    samples |= {name: table[0] for name, table in scores(y, [p], grouped, 10).items()}
    spans = {name: interval(drawn, 0.8) for name, drawn in samples.items()}
    values = score(y, p)
    assert found == Evaluation(
        rows=1800,
        blocks=30,
        periods=("2013-05", "2013-06"),
        problem=Problem(label=(LABEL,), classes=tuple(CLASSES), key=tuple(KEY)),
        level=tuple(task.level(y)),
        metrics={
            name: Metric(value=values[name], low=made.nearly(span.low), high=made.nearly(span.high))
            for name, span in spans.items()
        },
        calibration=evaluate.calibration(y, p),
        segments=tuple(evaluate.by_segment(mixed, losses(y, p)[PRIMARY], chosen)),
    )
    assert len(found.calibration.bins) == 10


def test_the_table_of_segments(settings: Params) -> None:
    rows = pd.DataFrame(
        {BLOCK: np.repeat(["d1", "d2", "d3"], 3)} | dict.fromkeys(SEGMENTS, np.tile(["B", "A", None], 3))
    )
    loss = np.arange(9.0)
    chosen = made.changed(settings, compare__resamples=99, compare__seed=5, compare__confidence=0.5).compare
    table = evaluate.by_segment(rows, loss, chosen)
    assert [row.segment for row in table] == [f"{name}={value}" for name in SEGMENTS for value in "AB"]
    span = interval(means(np.array([1.0, 4.0, 7.0]), blocks(pd.Series(["d1", "d2", "d3"]), 99, 5)), 0.5)
    assert table[0] == SegmentScore(
        segment=f"{SEGMENTS[0]}=A",
        rows=3,
        value=4.0,
        low=made.nearly(span.low),
        high=made.nearly(span.high),
    )
    assert table[1].value == 3.0


def test_bad_days_make_the_interval_wide(settings: Params) -> None:
    """The same numbers on days that are all alike are known more precisely."""
    mixed = ROWS.assign(**{BLOCK: ROWS[BLOCK].sample(frac=1, random_state=1).to_numpy()})
    days, alike = (evaluate.measure(rows, settings.compare).metrics[PRIMARY] for rows in (ROWS, mixed))
    assert days.high - days.low > 1.5 * (alike.high - alike.low)


def test_calibration_by_hand() -> None:
    y, p = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.3, 0.6, 0.8])
    found = evaluate.calibration(y, p, bins=2)
    assert found.gap == pytest.approx(0.45 - 0.5)
    assert found.bins == (
        CalibrationBin(rows=2, predicted=made.nearly(0.2), observed=0.0),
        CalibrationBin(rows=2, predicted=made.nearly(0.7), observed=1.0),
    )


def test_calibration_bins_hold_rows_of_like_predictions() -> None:
    """Equal predictions stay in the order of the rows, so that the same rows give the same bins everywhere."""
    y, p = np.array([1.0, 0, 0, 1, 1, 0]), np.array([0.5, 0.25, 0.5, 0.5, 0.75, 0.5])
    found = evaluate.calibration(y, p, bins=3).bins
    assert [row.observed for row in found] == [0.5, 0.5, 0.5]
    assert [row.predicted for row in found] == [0.375, 0.5, 0.625]
    many, same = np.tile([1.0, 0.0], 200), np.full(400, 0.5)
    assert [row.observed for row in evaluate.calibration(np.sort(many), same, bins=2).bins] == [0.0, 1.0]


def test_calibration_of_several_classes_is_that_of_the_most_probable() -> None:
    p = np.array([[0.75, 0.125, 0.125], [0.25, 0.5, 0.25]])
    found = evaluate.calibration(np.array([0.0, 2.0]), p, bins=2).bins
    assert found == (
        CalibrationBin(rows=1, predicted=0.5, observed=0.0),
        CalibrationBin(rows=1, predicted=0.75, observed=1.0),
    )


def test_calibration_of_fewer_rows_than_bins() -> None:
    assert [row.rows for row in evaluate.calibration(np.array([0.0, 1]), np.array([0.2, 0.4])).bins] == [1, 1]


def test_segments_hold_every_row_once_per_column(settings: Params) -> None:
    found = evaluate.measure(ROWS, settings.compare).segments
    for column in SEGMENTS:
        mine = [row for row in found if row.segment.startswith(f"{column}=")]
        assert sum(row.rows for row in mine) == len(ROWS)
        loss = losses(ROWS[LABEL].to_numpy(), predictions.values(ROWS[predictions.PREDICTION]))[PRIMARY].mean()
        assert sum(row.rows * row.value for row in mine) / len(ROWS) == pytest.approx(loss)


def test_predictions_carry_all_that_a_comparison_needs(rows) -> None:
    test = rows[1]
    found = predictions.predictions(test, np.full(len(test), 0.2))
    assert set(found) == {*KEY, BLOCK, "period", *SEGMENTS, LABEL, predictions.PREDICTION}
    assert len(found) == len(test)


def test_predictions_of_several_classes_are_one_cell_a_row() -> None:
    rows = ROWS.iloc[[5, 3]]
    p = np.array([[0.75, 0.25, 0.0], [0.5, 0.25, 0.25]])
    found = predictions.predictions(rows, p)
    assert [cell.tolist() for cell in found[predictions.PREDICTION]] == p.tolist()
    assert predictions.values(found[predictions.PREDICTION]).tolist() == p.tolist()
    assert found[LABEL].equals(rows[LABEL])
    one = predictions.predictions(rows, np.array([0.5, 0.25]))
    assert one[predictions.PREDICTION].to_dict() == {5: 0.5, 3: 0.25}
    assert one[predictions.PREDICTION].dtype == float


def test_no_predictions_have_the_shape_of_some() -> None:
    assert predictions.values(pd.Series([], dtype=object)).shape == task.shape(0)
    assert predictions.values(pd.Series([1, 2])).dtype == float


def test_features_are_columns_of_plain_values() -> None:
    rows = pd.DataFrame({name: [number, number + 1] for number, name in enumerate(reversed(FEATURES))})
    columns = predictions.features(rows)
    assert columns == [[number, number + 1] for number in reversed(range(len(FEATURES)))]
    assert type(columns[0][0]) is int


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple]]:
    """What a scorer was asked that answers with the row's first feature, plus a tenth of the second."""
    for module in (evaluate, predictions):
        monkeypatch.setattr(module, "FEATURES", ("first", "second", "third"))
    monkeypatch.setattr(evaluate, "losses", lambda y, p: {PRIMARY: (p - y) ** 2})
    return []


def scorer(asked: list[list[tuple]]) -> Callable[[Sequence[tuple]], np.ndarray]:
    def answer(rows: Sequence[tuple]) -> np.ndarray:
        asked.append(list(rows))
        return np.array([first + second / 10 for first, second, _ in rows])

    return answer


def test_importance_is_the_rise_of_the_loss_when_one_feature_is_shuffled(
    asked: list[list[tuple]], settings: Params
) -> None:
    """Of evenly chosen rows; each feature has permutations of its own, and the greatest rise comes first."""
    count, taken, repeats = 41, 5, 3
    test = pd.DataFrame({name: np.arange(count) * scale for name, scale in (("second", 3), ("third", 7), ("first", 1))})
    test[LABEL] = test["first"] + test["second"] / 10 - 2.0
    chosen = made.changed(
        settings, evaluate__importance_rows=taken, evaluate__importance_repeats=repeats, compare__seed=3
    )
    found = evaluate.importance(scorer(asked), test, chosen)
    at = np.array([0, 10, 20, 30, 40])
    assert asked[0] == [(number, 3 * number, 7 * number) for number in at]
    rng = np.random.default_rng(3)
    expected = []
    for name, weight in (("first", 1.0), ("second", 0.3), ("third", 0.0)):
        orders = [rng.permutation(taken) for _ in range(repeats)]
        rises = [((2 + weight * (at[order] - at)) ** 2).mean() - 4.0 for order in orders]
        mean, sd = (made.nearly(float(each), within=1e-9) for each in (np.mean(rises), np.std(rises)))
        expected.append(Importance(feature=name, mean=mean, sd=sd))
    assert found == expected
    assert len(asked) == 1 + 3 * repeats
    assert found[0].mean > found[1].mean > found[2].mean == 0.0


def test_importance_of_fewer_rows_than_are_asked_for(asked: list[list[tuple]], settings: Params) -> None:
    test = pd.DataFrame({name: [3.0, 1.0] for name in ("first", "second", "third")} | {LABEL: [0.0, 1.0]})
    evaluate.importance(scorer(asked), test, settings)
    assert asked[0] == [(3.0, 3.0, 3.0), (1.0, 1.0, 1.0)]


def test_pictures_are_drawn_of_the_report(folder: Path, settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, tuple] = {}

    def picture(name: str) -> Callable[..., bytes]:
        def draw(*words: object, **named: object) -> bytes:
            drawn[name] = (*words, *named.items())
            return name.encode()

        return draw

    names = [*task.TASK.pictures, "loss_curve", "segments", "importance"]
    for name in names:
        monkeypatch.setattr(plots, name, picture(name))
    report = replace(
        evaluate.measure(ROWS, settings.compare),
        metrics={PRIMARY: Metric(0.5, 0.4, 0.6)},
        segments=(SegmentScore("a=b", 3, 0.5, 0.4, 0.6),),
        importance=(Importance("a", 0.5, 0.1),),
    )
    curves = {"train": [1.0], "test": [2.0], "other": [3.0]}
    evaluate.draw(ROWS, report, curves)
    y = ROWS[LABEL].to_numpy(float)
    metric = PRIMARY.replace("_", " ")
    guess = float(losses(y, task.guess(y))[PRIMARY].mean())
    assert drawn["loss_curve"] == ({"train": [1.0], "test": [2.0]}, ("chance", guess))
    assert drawn["segments"] == ([structs.asdict(report.segments[0])], metric, 0.5)
    assert drawn["importance"] == ([structs.asdict(report.importance[0])], metric)
    for name in task.TASK.pictures:
        assert np.array_equal(drawn[name][0], y)
        assert np.array_equal(drawn[name][1], predictions.values(ROWS[predictions.PREDICTION]))
    written = {path.name: path.read_bytes() for path in workspace.PLOTS.iterdir()}
    assert written == {f"{name}.png": name.encode() for name in names}
    evaluate.draw(ROWS, report, curves, folder / "elsewhere")
    assert len(list((folder / "elsewhere").iterdir())) == len(names)


def test_the_stage_prints_what_it_measured(project: Path, settings: Params, capsys: pytest.CaptureFixture) -> None:
    evaluate.run(settings)
    metrics = json.loads(workspace.METRICS.read_text())["metrics"]
    order = score(ROWS[LABEL].to_numpy(), predictions.values(ROWS[predictions.PREDICTION]))
    line = "evaluate: " + ", ".join(f"{name} {metrics[name]['value']:.4f}" for name in order)
    assert capsys.readouterr().out.splitlines()[-1] == line
    assert list(pd.read_parquet(workspace.PREDICTIONS).index) == list(range(len(prepared.read("test"))))


def test_the_stage_writes_the_same_bytes_again(project: Path, settings: Params) -> None:
    written = [workspace.METRICS, workspace.PREDICTIONS, workspace.PLOTS]
    before = [files.digest(path) for path in written]
    evaluate.run(settings)
    assert [files.digest(path) for path in written] == before
    assert len(list(workspace.PLOTS.glob("*.png"))) == 3 + len(task.TASK.pictures)
    assert len(pd.read_parquet(workspace.PREDICTIONS)) == len(prepared.read("test"))
    assert json.loads(workspace.METRICS.read_text())["importance"]


def test_the_exported_model_is_measured(project: Path, settings: Params) -> None:
    (workspace.EXPORT / "model.onnx").write_bytes(b"another")
    with pytest.raises(Failure, match=r"model\.onnx is not the file that manifest\.json describes"):
        evaluate.run(settings)


def test_a_missing_curve_is_named_with_the_command(project: Path, settings: Params) -> None:
    workspace.CONVERGENCE.unlink()
    with pytest.raises(Failure, match=f"{workspace.CONVERGENCE.name} is missing; run `delivery train` first"):
        evaluate.run(settings)


@pytest.mark.parametrize("name", ["train", "test"])
def test_missing_rows_are_named_with_the_command(name: str, folder: Path) -> None:
    with pytest.raises(Failure, match=rf"{name}\.parquet is missing; run `dvc repro`"):
        prepared.read(name)
