"""The model learns what is there to learn, nothing where there is nothing, and the same every time."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sample

from delivery.core import params
from delivery.core.errors import Failure
from delivery.model import skopsfile
from delivery.pipeline import train
from delivery.stats import task
from problem import FEATURES, LABEL, Train, predict

SETTINGS = params.load(sample.ROOT / "params.yaml")


def content(model, folder: Path) -> bytes:
    skopsfile.dump(model, folder / "model.skops")
    return (folder / "model.skops").read_bytes()


def parts(model, folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content(model, folder))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_large_model_learns_a_tiny_batch_by_heart(split, settings: Train) -> None:
    batch = split[0].iloc[:: 1 + len(split[0]) // 64].head(64)
    greedy = sample.adjusted(settings, max_iter=200, learning_rate=0.5, min_samples_leaf=1, max_leaf_nodes=31)
    y = batch[LABEL].to_numpy(float)
    assert len(set(y)) > 1
    assert train.curve(train.fit(batch, greedy), batch)[-1] < 0.02 * train.mean_loss(y, task.guess(y))


def test_the_loss_falls_at_every_iteration(split, fitted, settings: Train) -> None:
    losses = train.curve(fitted, split[0])
    assert np.all(np.diff(losses) < 0), "more iterations never fit the training rows worse"
    assert train.curve(fitted, split[1])[-1] < train.curve(fitted, split[1])[0], "and it carries over to another month"


def test_fewer_iterations_are_the_beginning_of_more(split, fitted, settings: Train) -> None:
    shorter = train.fit(split[0], sample.adjusted(settings, max_iter=10))
    assert train.curve(shorter, split[0]) == train.curve(fitted, split[0])[:10]


@pytest.mark.parametrize("chosen", sample.kinds(SETTINGS.train), ids=lambda train: str(getattr(train, "model", "")))
def test_the_same_seed_gives_the_same_bytes(chosen: Train, split, tmp_path: Path) -> None:
    one, other = (content(train.fit(split[0], sample.adjusted(chosen, max_iter=200)), tmp_path) for _ in range(2))
    assert one == other


def test_a_model_that_learnt_is_better_than_a_guess(split, fitted) -> None:
    y, known = split[1][LABEL].to_numpy(float), split[0][LABEL].to_numpy(float)
    guess = np.broadcast_to(task.guess(known)[:1], task.shape(len(y)))
    assert train.curve(fitted, split[1])[-1] < train.mean_loss(y, guess)


def test_labels_without_a_pattern_teach_nothing(split, settings: Train) -> None:
    """Shuffled, they leave a model that is no better than a guess on rows that it has not seen."""
    random = np.random.default_rng(0)
    first, second = (rows.assign(**{LABEL: random.permutation(rows[LABEL])}) for rows in split)
    y = second[LABEL].to_numpy(float)
    assert train.curve(train.fit(first, settings), second)[-1] > 0.98 * train.mean_loss(y, task.guess(y))


def test_a_saved_model_predicts_as_the_fitted_one(split, fitted, tmp_path: Path) -> None:
    skopsfile.dump(fitted, tmp_path / "model.skops")
    rows = split[1][list(FEATURES)]
    assert np.array_equal(predict(skopsfile.load(tmp_path / "model.skops"), rows), predict(fitted, rows))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_loss_or_a_prediction_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(Failure, match=r"train loss is (nan|inf) at iteration 2"):
        train.refuse_infinite({"train": [0.5, bad, 0.4], "test": [0.5]}, np.full(task.shape(1), 0.1))
    predictions = np.full(task.shape(2), 0.1)
    predictions[1] = bad
    with pytest.raises(Failure, match="1 of 2 predictions are NaN or infinite, first at test row 1"):
        train.refuse_infinite({"train": [0.5], "test": [0.5]}, predictions)


def test_labels_that_are_missing_stop_the_fit(split, settings: Train) -> None:
    with pytest.raises((Failure, ValueError), match="class .* has none of the|NaN"):
        train.fit(split[0].assign(**{LABEL: np.nan}), settings)


def test_a_frame_with_its_columns_in_another_order_predicts_the_same(split, fitted) -> None:
    rows = split[1][list(FEATURES)]
    backwards: pd.DataFrame = rows[list(reversed(FEATURES))]
    assert np.array_equal(predict(fitted, rows), predict(fitted, backwards))
