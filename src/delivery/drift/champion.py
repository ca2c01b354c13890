"""Find the champion: the version that serves, and what it predicts for every row by its own code."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml
from msgspec import Struct

from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import prepared, tables
from delivery.drift.findings import Serving
from delivery.model import skopsfile
from delivery.pipeline import prepare
from delivery.registry import own_code, registry, release
from delivery.registry.version import Version, aliased, moments
from delivery.stats.predictions import PREDICTION, values
from problem import FEATURES, KEY, PERIOD, predict

DIGITS = 12  # of the digest by which the log names a champion
Score = Callable[[pd.DataFrame], np.ndarray]


class Champion(Struct, frozen=True, kw_only=True):
    """The model that is judged, without its rows and before it is loaded."""

    serving: Serving
    digest: str
    """Digest of the model's file, shortened."""
    until: str
    """Newest period of its pipeline's data."""
    test_periods: int
    model: Path
    code: Path | None = None
    """Its own package `problem`, if that differs from the one that is checked out."""
    prepared: bool = False
    """Whether the prepared rows on disk are those that it was trained and tested on."""

    @property
    def name(self) -> str:
        """Return what people call it."""
        return f"version {self.serving.version}" if self.serving.version else "main's model"

    @property
    def export(self) -> Path:
        """Return the folder of the exported model, which answers requests."""
        return self.model.parent / release.EXPORTED if self.serving.version else workspace.EXPORT

    @property
    def key(self) -> str:
        """Return what its predictions depend on, besides the data."""
        return f"{self.digest} {files.digest(self.code)}" if self.code else self.digest


class Judged(NamedTuple):
    """The rows of a check: those that the champion was trained and tested on, all rows that it can predict, and how it does."""

    seen: pd.DataFrame
    test: pd.DataFrame
    examples: pd.DataFrame
    score: Score


def find(settings: Params) -> Champion:
    """Return the version that serves in `drift.environment`; where nothing serves yet, main's model.

    Raise `Failure` if params.yaml and the registry know no such environment, or the version's files are gone.
    """
    if not registry.exists():
        return of_main(settings)
    with registry.connection():
        known = registry.versions()
        wanted = settings.drift.environment
        if wanted:
            refuse_unknown(wanted, known, settings)
        for environment in [wanted] if wanted else registry.ENVIRONMENTS:
            if version := aliased(known, environment):
                return of_version(version, environment, settings)
    return of_main(settings)


def refuse_unknown(environment: str, known: list[Version], settings: Params) -> None:
    """Raise `Failure` unless the environment is one of params.yaml or of the registry: a mistyped one would never serve."""
    names = {*registry.ENVIRONMENTS, *settings.deploy.environments, *settings.promote.branches.values()}
    names |= {alias for version in known for alias in version.aliases}
    if environment not in names:
        raise Failure(
            f"drift.environment is {environment}, and there is no such environment; there are {', '.join(sorted(names))}"
        )


def of_main(settings: Params) -> Champion:
    """Return the model on disk. Raise `Failure` if there is none."""
    if not workspace.MODEL.exists():
        raise Failure(f"{workspace.MODEL} is missing; run `dvc repro` or `dvc pull`")
    return Champion(
        serving=Serving(wanted=settings.drift.environment),
        digest=files.digest(workspace.MODEL)[:DIGITS],
        until=settings.fetch.until,
        test_periods=settings.prepare.test_periods,
        model=workspace.MODEL,
        prepared=True,
    )


def of_version(version: Version, environment: str, settings: Params) -> Champion:
    """Return a version that serves in the environment; its files are downloaded."""
    folder = registry.download(version, workspace.CACHE / "versions" / version.number)
    model, code = folder / workspace.MODEL.name, own_code.of_version(version, folder)
    digest = files.digest(model)[:DIGITS]
    of_disk = files.digest(workspace.MODEL)[:DIGITS] if workspace.MODEL.exists() else ""
    until = version.data_until or settings.fetch.until
    return Champion(
        serving=Serving(
            version=version.number,
            environment=environment,
            since=(moments(version, environment) or [""])[-1],
            differs=digest != of_disk or code is not None,
            own_code=code is not None,
            main_until=settings.fetch.until,
        ),
        digest=digest,
        until=until,
        test_periods=test_periods(folder / workspace.PARAMS.name, settings),
        model=model,
        code=code,
        prepared=digest == of_disk and code is None and until == settings.fetch.until,
    )


def test_periods(path: Path, settings: Params) -> int:
    """Return the number of test periods in a version's params.yaml; earlier ones may have keys that are not known now."""
    said = yaml.safe_load(path.read_text()) if path.exists() else None
    return int((said or {}).get("prepare", {}).get("test_periods", settings.prepare.test_periods))


def trained_until(champion: Champion) -> str:
    """Return the newest period that it was trained on, before its rows are there. Raise `Failure` without prepared rows."""
    if champion.prepared:
        return str(prepared.read("train")[PERIOD].max())
    return tables.expected(champion.until)[-champion.test_periods - 1]


def rows(champion: Champion, examples: pd.DataFrame, data: Path, period: str, settings: Params) -> Judged:
    """Return the rows of a check. `examples`: the feature rows by today's code of the raw data in `data`, until the period.

    Rows that the champion's own code leaves out are left out. Raise `Failure` if its code cannot be run on these data.
    """
    score = by_model(champion.model)
    if champion.code:
        score, known = by_own_code(champion, data, period, settings)
        found = examples[list(KEY)].merge(known, on=list(KEY), how="left", indicator=True)["_merge"].eq("both")
        examples = examples[found.to_numpy()].reset_index(drop=True)
    if champion.prepared:
        return Judged(prepared.read("train"), prepared.read("test"), examples, score)
    seen, test = prepare.split(examples[examples[PERIOD] <= champion.until], champion.test_periods)
    return Judged(seen, test, examples, score)


def by_model(path: Path) -> Score:
    """Return the predictions of a model that knows today's features: of shape (rows,), multi-class (rows, classes)."""
    model = skopsfile.load(path)
    return lambda rows: predict(model, rows[list(FEATURES)])


def by_own_code(champion: Champion, data: Path, period: str, settings: Params) -> tuple[Score, pd.DataFrame]:
    """Return the champion's predictions by its own code, and the keys of the rows that this code knows."""
    assert champion.code is not None
    found = own_code.predictions(champion.code, champion.model, data, period, settings.engine, who=champion.name)
    if absent := [name for name in KEY if name not in found]:
        raise Failure(f"{champion.name} has another problem: its rows know no {', '.join(absent)}")
    known = found[[*KEY, PREDICTION]]

    def score(rows: pd.DataFrame) -> np.ndarray:
        return values(rows[list(KEY)].merge(known, on=list(KEY), how="left", validate="many_to_one")[PREDICTION])

    return score, known[list(KEY)]
