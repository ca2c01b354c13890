"""The model learns what is there to learn, nothing where there is nothing, and the same every time."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from sklearn.metrics import roc_auc_score

from delivery import compare, evaluate, params, skopsfile, train
from delivery.errors import Failure
from problem import FEATURES, LABEL, Train, predict

MODELS = ("hist_gradient_boosting", "logistic_regression", "dummy")
SETTINGS = params.Compare(resamples=400, score_resamples=50, confidence=0.95, seed=1, segment_rows=100)


def enough(settings: Train, name: str) -> Train:
    """Another kind of model, with the iterations that it takes to converge."""
    return replace(settings, model=name, max_iter=200 if name == "logistic_regression" else settings.max_iter)


def content(model, folder: Path) -> bytes:
    skopsfile.dump(model, folder / "model.skops")
    return (folder / "model.skops").read_bytes()


def parts(model, folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content(model, folder))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_large_model_learns_a_tiny_batch_by_heart(split, settings: Train) -> None:
    batch = split[0].iloc[:: len(split[0]) // 64].head(64)
    model = train.fit(batch, replace(settings, max_iter=200, learning_rate=0.5, min_samples_leaf=1))
    assert 0 < batch[LABEL].mean() < 1
    assert train.curve(model, batch)[-1] < 0.005


def test_the_loss_falls_at_every_iteration(split, fitted, settings: Train) -> None:
    losses = train.curve(fitted, split[0])
    assert len(losses) == settings.max_iter
    assert np.all(np.diff(losses) < 0), "more iterations never fit the training rows worse"
    assert train.curve(fitted, split[1])[-1] < train.curve(fitted, split[1])[0], "and it carries over to another month"


def test_fewer_iterations_are_the_beginning_of_more(split, fitted, settings: Train) -> None:
    shorter = train.fit(split[0], replace(settings, max_iter=10))
    assert train.curve(shorter, split[0]) == train.curve(fitted, split[0])[:10]


def test_shuffled_labels_leave_chance(split, settings: Train) -> None:
    random = np.random.default_rng(0)
    first, second = (rows.assign(**{LABEL: random.permutation(rows[LABEL])}) for rows in split)
    model = train.fit(first, settings)
    late = second[LABEL].sum()
    error = np.sqrt((1 / late + 1 / (len(second) - late)) / 12)  # of an AUC, where there is nothing to know
    assert abs(roc_auc_score(second[LABEL], predict(model, second[list(FEATURES)])) - 0.5) < 4 * error


@pytest.mark.parametrize("name", ["hist_gradient_boosting", "logistic_regression"])
def test_a_model_beats_the_dummy_beyond_noise(name: str, split, settings: Train) -> None:
    dummy, model = (train.fit(split[0], enough(settings, kind)) for kind in ("dummy", name))
    rows = split[1][list(FEATURES)]
    old, new = (evaluate.predictions(split[1], predict(one, rows)) for one in (dummy, model))
    found = compare.compare(old, new, SETTINGS)
    assert {row["verdict"] for row in found["metrics"]} == {"better"}


def test_the_dummy_says_the_base_rate(split, settings: Train) -> None:
    got = predict(train.fit(split[0], replace(settings, model="dummy")), split[1][list(FEATURES)])
    assert np.allclose(got, split[0][LABEL].mean())
    assert len(train.curve(train.fit(split[0], replace(settings, model="dummy")), split[0])) == 1


@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_gives_the_same_bytes(name: str, split, settings: Train, tmp_path: Path) -> None:
    one, other = (content(train.fit(split[0], enough(settings, name)), tmp_path) for _ in range(2))
    assert one == other


def test_another_seed_changes_nothing_but_the_generators(split, settings: Train, tmp_path: Path) -> None:
    """These models draw nothing on so few rows; a seed that moved predictions would be a source of noise."""
    short = replace(settings, max_iter=10)
    one, other = (parts(train.fit(split[0], replace(short, seed=seed)), tmp_path) for seed in (7, 8))
    assert one.keys() == other.keys()
    changed = {name for name in one if one[name] != other[name]}
    assert changed.issuperset({"schema.json"}), "which holds the seed"
    assert all(np.load(io.BytesIO(one[name])).ndim == 0 for name in changed - {"schema.json"}), "trees are arrays"


def test_a_saved_model_predicts_as_the_fitted_one(split, fitted, tmp_path: Path) -> None:
    skopsfile.dump(fitted, tmp_path / "model.skops")
    rows = split[1][list(FEATURES)]
    assert np.array_equal(predict(skopsfile.load(tmp_path / "model.skops"), rows), predict(fitted, rows))


def test_no_convergence_is_refused_with_the_fix(split, settings: Train) -> None:
    with pytest.raises(Failure, match=r"logistic_regression did not converge .*raise train\.max_iter"):
        train.fit(split[0], replace(settings, model="logistic_regression", max_iter=1))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_or_a_prediction_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(Failure, match=r"train loss is (nan|inf) at iteration 2"):
        train.refuse_infinite({"train": [0.5, bad, 0.4], "test": [0.5]}, np.array([0.1]))
    with pytest.raises(Failure, match="1 of 2 predictions are NaN or infinite, first at test row 1"):
        train.refuse_infinite({"train": [0.5], "test": [0.5]}, np.array([0.1, bad]))


def test_labels_that_are_missing_stop_the_fit(split, settings: Train) -> None:
    with pytest.raises(Failure, match="class .* has no row among the"):
        train.fit(split[0].assign(**{LABEL: np.nan}), settings)


def test_a_frame_with_its_columns_in_another_order_predicts_the_same(split, fitted) -> None:
    rows = split[1][list(FEATURES)]
    backwards: pd.DataFrame = rows[list(reversed(FEATURES))]
    assert np.array_equal(predict(fitted, rows), predict(fitted, backwards))
