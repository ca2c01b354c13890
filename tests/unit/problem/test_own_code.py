"""A version that serves may have other features than main: its own code computes them, for drift, batch and comparison."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import made
import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace
from sample import MONTHS

import problem
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.decision import baseline, compare
from delivery.decision.baseline import Baseline
from delivery.drift import champion, check, decisions
from delivery.registry import own_code, registry, release
from delivery.registry.version import Version
from delivery.scoring import scorer
from delivery.stats.predictions import PREDICTION
from problem import KEY, PERIOD

FIT = """
import sys
from pathlib import Path
from delivery.data import tables
from delivery.model import skopsfile
from problem import FEATURES, LABEL, PERIOD, Train, build, table
assert "haze" in FEATURES
rows = table(tables.read(sys.argv[2], Path(sys.argv[1]))).dropna(subset=[LABEL])
rows = rows[rows[PERIOD] == sys.argv[3]]
skopsfile.dump(build(Train(max_iter=8)).fit(rows[list(FEATURES)], rows[LABEL]), Path(sys.argv[4]))
"""


@pytest.fixture(scope="session")
def older(little: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a version whose code has a feature, haze, that was dropped since; trained on the first month."""
    folder = tmp_path_factory.mktemp("older")
    package = folder / release.BUNDLE / release.PROBLEM
    shutil.copytree(Path(problem.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    code = (package / "features.py").read_text()
    code = code.replace("FEATURES = (*CALENDAR, *REQUEST[1:])", 'FEATURES = (*CALENDAR, *REQUEST[1:], "haze")')
    ending = "    return pd.DataFrame(out, copy=False)\n"
    assert ending in code
    code = code.replace(ending, '    out["haze"] = out["visib"] * 2\n' + ending)
    (package / "features.py").write_text(code)
    path = os.pathsep.join([str(package.parent), str(made.ROOT / "src")])
    words = [str(little), MONTHS[2], MONTHS[0], str(folder / "model.skops")]
    # The bundle of this version has no `delivery`, so that the checkout's is found behind it.
    environment = os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", FIT, *words], env=environment, check=True)
    files.write(folder / "params.yaml", "prepare: {test_periods: 1}\n")
    return folder


@pytest.fixture
def arrived(project: Path, little: Path) -> Path:
    return shutil.copytree(little, workspace.CACHE / "drift" / MONTHS[2])


@pytest.fixture
def serving(arrived: Path, older: Path, monkeypatch: pytest.MonkeyPatch) -> Version:
    """The older version serves in production, main's model is another one."""
    tags = {"production.since": "2013-02-03T04:05:06+00:00"}
    version = Version(number="1", aliases=("production",), data_until=MONTHS[1], tags=tags, commit="abc")
    monkeypatch.setattr(registry, "exists", lambda: True)
    monkeypatch.setattr(registry, "connection", made_connection)
    monkeypatch.setattr(registry, "versions", lambda: [version])
    monkeypatch.setattr(registry, "download", lambda version, to: older)
    return version


class made_connection:  # noqa: N801
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def lenient(settings: Params) -> Params:
    return made.changed(settings, drift__min_rows=100, drift__min_days=5, drift__cooldown=1)


def test_drift_judges_the_version_that_serves_by_its_own_features(serving: Version, lenient: Params) -> None:
    """It judged main's model, whoever answered the requests."""
    who = champion.find(lenient)
    assert (who.serving.version, who.serving.environment, who.serving.differs) == ("1", "production", True)
    found = check.run(lenient, MONTHS[2], who=who)
    assert found.verdict in ("retrain", "hold", "no")
    assert found.champion_trained_on == (MONTHS[0],)
    entry = decisions.entry(found)
    assert (entry.version, entry.environment, entry.champion) == ("1", "production", who.digest)
    page = workspace.DRIFT_PAGE.read_text()
    assert "The champion is version 1, which serves in production since 2013-02-03T04:05." in page
    assert "Main's model, with data until 2013-02, is not the one that serves there." in page
    assert "Its predictions are made by its own code" in page


def test_main_is_judged_where_the_environment_that_is_asked_for_has_nothing_yet(
    serving: Version, lenient: Params
) -> None:
    asked = made.changed(lenient, drift__environment="staging")
    who = champion.find(asked)
    assert (who.serving.version, who.model) == ("", workspace.MODEL)
    check.run(asked, MONTHS[2], who=who)
    assert "Nothing serves in staging yet: the champion is main's model." in workspace.DRIFT_PAGE.read_text()
    with pytest.raises(Failure, match="drift.environment is produktion, and there is no such environment; there are "):
        champion.find(made.changed(lenient, drift__environment="produktion"))


def test_the_batch_scores_with_the_serving_versions_own_features(serving: Version, arrived: Path) -> None:
    """It stopped: the rows had no haze."""
    folder, about = scorer.score(MONTHS[2], serving, arrived)
    scored = pd.read_parquet(folder / "predictions.parquet")
    assert about.rows == len(scored) > 10
    assert set(scored[PERIOD]) == {MONTHS[2]}
    assert "hash" not in scored
    assert scorer.inputs(MONTHS[2], arrived, version=serving) == about.inputs
    assert scored[PREDICTION].between(0, 1).all()


def test_by_days_its_predictions_are_the_same(older: Path, little: Path) -> None:
    code = own_code.differing(older / release.BUNDLE / release.PROBLEM)
    assert code is not None
    at_once, by_days = (
        own_code.predictions(code, older / "model.skops", little, MONTHS[2], engine, only=[MONTHS[2]])
        for engine in ("memory", "stream")
    )
    pd.testing.assert_frame_equal(at_once, by_days)


def test_a_model_with_a_feature_less_is_compared_with_the_version_that_had_it(
    serving: Version, older: Path, arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`version 1 needs haze, which the new rows have not` kept every later model from production."""
    monkeypatch.setattr(workspace, "DATA", arrived)
    monkeypatch.setattr(baseline.params, "load", lambda: made.changed(lenient, fetch__until=MONTHS[2]))
    rows = pd.read_parquet(workspace.PREPARED / "test.parquet").assign(late_rate=np.nan)
    nothing = pd.DataFrame(columns=[*KEY, PREDICTION, PERIOD]).astype({name: rows[name].dtype for name in KEY})
    nothing[PERIOD] = MONTHS[1]
    chosen = Baseline(
        "version 1",
        "abc",
        nothing.assign(**{PERIOD: MONTHS[1]}),
        older / "model.skops",
        own_code.of_version(serving, older),
    )
    chosen = replace_predictions(chosen, rows)
    found = baseline.on(chosen, rows)
    assert len(found) == len(rows)
    assert found[PREDICTION].notna().all()


def replace_predictions(chosen: Baseline, rows: pd.DataFrame) -> Baseline:
    """With a single prediction, of the oldest test row: the model has not seen the others."""
    one = rows[[*KEY, PERIOD]].iloc[:1].assign(**{PREDICTION: 0.5})
    return Baseline(chosen.name, chosen.commit, one, chosen.model, chosen.code)


def test_one_whose_code_cannot_be_run_on_the_data_is_no_baseline_and_says_why(
    serving: Version, older: Path, arrived: Path, lenient: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> pd.DataFrame:
        raise Failure("the code of version 1 cannot compute its features from these data: KeyError: 'visib'")

    monkeypatch.setattr(own_code, "predictions", broken)
    monkeypatch.setattr(baseline.params, "load", lambda: lenient)
    rows = pd.read_parquet(workspace.PREPARED / "test.parquet")
    chosen = replace_predictions(Baseline("version 1", "abc", rows, older / "model.skops", older), rows)
    monkeypatch.setattr(baseline, "choose", lambda base: (chosen, ""))
    result = compare.run(lenient.compare)
    assert result.comparison is None
    assert "KeyError: 'visib'" in result.reason


def test_the_same_code_is_asked_in_this_process(older: Path, project: Path) -> None:
    assert own_code.differing(Path(problem.__file__).parent) is None
    assert own_code.of_version(Version(number="1"), project) is None, "one that was registered without its code"
    version = replace(Version(number="1"), commit="0" * 40)
    assert own_code.of_version(version, project) is None, "nor is its commit at hand"
