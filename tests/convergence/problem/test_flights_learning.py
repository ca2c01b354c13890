"""What the flights' models learn, and what stops them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from sklearn.metrics import roc_auc_score

from delivery.core import params
from delivery.core.errors import Failure
from delivery.model import skopsfile
from delivery.pipeline import train
from delivery.stats import comparison, predictions
from problem import FEATURES, LABEL, Train, predict

SETTINGS = params.Compare(resamples=400, score_resamples=50, confidence=0.95, seed=1, segment_rows=100)


def content(model, folder: Path) -> bytes:
    skopsfile.dump(model, folder / "model.skops")
    return (folder / "model.skops").read_bytes()


def parts(model, folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content(model, folder))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def enough(settings: Train, name: str) -> Train:
    """Another kind of model, with the iterations that it takes to converge."""
    return replace(settings, model=name, max_iter=200 if name == "logistic_regression" else settings.max_iter)


def test_shuffled_labels_leave_chance(split, settings: Train) -> None:
    random = np.random.default_rng(0)
    first, second = (rows.assign(**{LABEL: random.permutation(rows[LABEL])}) for rows in split)
    model = train.fit(first, settings)
    late = second[LABEL].sum()
    error = np.sqrt((1 / late + 1 / (len(second) - late)) / 12)  # of an AUC, where there is nothing to know
    assert abs(roc_auc_score(second[LABEL], predict(model, second[list(FEATURES)])) - 0.5) < 4 * error


@pytest.mark.parametrize("name", ["hist_gradient_boosting", "random_forest", "logistic_regression"])
def test_a_model_beats_the_dummy_beyond_noise(name: str, split, settings: Train) -> None:
    dummy, model = (train.fit(split[0], enough(settings, kind)) for kind in ("dummy", name))
    rows = split[1][list(FEATURES)]
    old, new = (predictions.predictions(split[1], predict(one, rows)) for one in (dummy, model))
    found = comparison.compare(old, new, SETTINGS)
    assert {row.verdict for row in found.metrics} == {"better"}


def test_the_dummy_says_the_base_rate(split, settings: Train) -> None:
    got = predict(train.fit(split[0], replace(settings, model="dummy")), split[1][list(FEATURES)])
    assert np.allclose(got, split[0][LABEL].mean())
    assert len(train.curve(train.fit(split[0], replace(settings, model="dummy")), split[0])) == 1


def test_another_seed_changes_nothing_but_the_generators(split, settings: Train, tmp_path: Path) -> None:
    """These models draw nothing on so few rows; a seed that moved predictions would be a source of noise."""
    short = replace(settings, max_iter=10)
    one, other = (parts(train.fit(split[0], replace(short, seed=seed)), tmp_path) for seed in (7, 8))
    assert one.keys() == other.keys()
    changed = {name for name in one if one[name] != other[name]}
    assert changed.issuperset({"schema.json"}), "which holds the seed"
    assert all(np.load(io.BytesIO(one[name])).ndim == 0 for name in changed - {"schema.json"}), "trees are arrays"


def test_no_convergence_is_refused_with_the_fix(split, settings: Train) -> None:
    with pytest.raises(Failure, match=r"logistic_regression did not converge .*raise train\.max_iter"):
        train.fit(split[0], replace(settings, model="logistic_regression", max_iter=1))
