"""Model files: the same model gives the same bytes, and only types that we have reviewed are loaded."""

import warnings
import zipfile
from pathlib import Path

import made
import pytest
import skops.io
from sample import adjusted
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.model import skopsfile
from delivery.pipeline import train
from problem import FEATURES, predict


def test_two_equal_fits_give_the_same_bytes(model: Pipeline, rows, settings: Params, tmp_path: Path) -> None:
    again = train.fit(rows[0], settings.train)
    for name, fitted in {"one": model, "two": again}.items():
        skopsfile.dump(fitted, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_canonical_is_idempotent() -> None:
    content = skopsfile.canonical(skops.io.dumps(Pipeline([("a", FunctionTransformer())])))
    assert skopsfile.canonical(content) == content


def test_different_parameters_give_different_bytes(model: Pipeline, rows, settings: Params, tmp_path: Path) -> None:
    skopsfile.dump(model, tmp_path / "one")
    other = train.fit(rows[0], adjusted(settings.train, max_iter=5))
    skopsfile.dump(other, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() != (tmp_path / "two").read_bytes()


def test_a_loaded_model_predicts_as_the_fitted_one(model: Pipeline, rows, tmp_path: Path) -> None:
    skopsfile.dump(model, tmp_path / "model.skops")
    test = rows[1][list(FEATURES)]
    assert (predict(skopsfile.load(tmp_path / "model.skops"), test) == predict(model, test)).all()


def test_a_type_that_is_not_trusted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        skopsfile.dump(Pipeline([("a", FunctionTransformer(func=made.commit))]), path)
    with pytest.raises(
        Failure, match=r"holds types that src/delivery/model/skopsfile\.py does not trust: .*made\.commit"
    ):
        skopsfile.load(path)


def test_a_missing_file_is_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"model\.skops is missing; run `dvc repro` or `dvc pull`"):
        skopsfile.load(tmp_path / "model.skops")


def damaged(path: Path, kind: str) -> None:
    content = path.read_bytes()
    if kind == "without schema":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("other", "")
    else:
        cut = {"empty": b"", "text": b"version https", "truncated": content[: len(content) // 2]}
        path.write_bytes(cut.get(kind, content.replace(b"threshold", b"thresHold")))


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "flipped", "without schema"])
def test_a_damaged_file_is_refused_with_the_fix(kind: str, model: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    skopsfile.dump(model, path)
    damaged(path, kind)
    with pytest.raises(Failure, match=r"model\.skops is not a model file \(.*\); delete it and run `dvc repro`"):
        skopsfile.load(path)
