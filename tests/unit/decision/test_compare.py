"""Two models on the same rows: better, worse or within noise, and where."""

import json
from pathlib import Path

import made
import numpy as np
import pandas as pd
import pytest

from delivery.__main__ import main
from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.decision import compare
from delivery.decision.baseline import Baseline
from delivery.stats import comparison
from problem import BLOCK, HIGHER_IS_BETTER, KEY, PRIMARY, SEGMENTS

ROWS = made.predictions()
NUMBER = next(name for name in KEY if name not in SEGMENTS)


def primary(result: dict) -> dict:
    return next(row for row in result["metrics"] if row["metric"] == PRIMARY)


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
    found = primary(comparison.compare(ROWS, candidate, settings.compare))
    assert found["verdict"] == verdict
    assert found["low"] <= found["difference"] <= found["high"]


def test_positive_is_better_whichever_way_a_metric_goes(settings: Params) -> None:
    found = comparison.compare(ROWS, made.worse(ROWS, -0.05), settings.compare)
    assert {row["metric"] for row in found["metrics"]} == set(HIGHER_IS_BETTER)
    assert all(row["difference"] > 0 and row["low"] > 0 for row in found["metrics"])


def test_the_same_model_differs_by_nothing(settings: Params) -> None:
    found = comparison.compare(ROWS, ROWS, settings.compare)
    assert all((row["difference"], row["low"], row["high"]) == (0, 0, 0) for row in found["metrics"])
    assert primary(found)["verdict"] == "within noise"


def test_the_order_of_the_rows_does_not_matter(settings: Params) -> None:
    candidate = made.worse(ROWS, 0.02)
    mixed = candidate.sample(frac=1, random_state=1)
    one, two = (primary(comparison.compare(ROWS, rows, settings.compare)) for rows in (candidate, mixed))
    assert [one[name] for name in ("difference", "low", "high")] == pytest.approx(
        [two[name] for name in ("difference", "low", "high")]
    )


def test_rows_are_matched_by_their_key_and_those_of_one_side_only_are_left_out(settings: Params) -> None:
    champion, candidate = ROWS.iloc[200:], ROWS.iloc[:1500]
    assert comparison.compare(champion, candidate, settings.compare)["rows"] == 1300
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


def segment(rows: list[dict], name: str) -> dict:
    return next(row for row in rows if row["segment"] == name)


def test_a_model_that_is_bad_in_one_segment_only_is_seen_there(settings: Params) -> None:
    candidate = made.worse(made.worse(ROWS, -0.02), 0.1, made.inside(ROWS))
    found = comparison.compare(ROWS, candidate, settings.compare)["segments"]
    bad, good = segment(found, made.PART), segment(found, made.PART.replace("B", "C"))
    assert bad["high"] < 0 < good["low"]
    assert bad["p_worse"] < 0.01
    assert good["p_worse"] > 0.9
    assert bad["rows"] == made.inside(ROWS).sum()


def test_a_small_segment_or_one_of_few_days_is_shown_and_not_judged(settings: Params) -> None:
    column = SEGMENTS[0]
    few = ROWS.assign(**{column: np.where(ROWS.index < 20, "few", np.where(ROWS.index < 240, "short", "many"))})
    found = comparison.compare(few, few, settings.compare)["segments"]
    judged = {row["segment"]: row["judged"] for row in found}
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
    said = comparison.sentence({"comparison": found, "against": "version 3", "reason": ""})
    assert said.startswith(begins)
    assert f"{PRIMARY.replace('_', ' ')} on the same 1,800 rows (30 days) as version 3" in said


def test_nothing_to_compare_with_is_said_with_its_reason() -> None:
    assert comparison.sentence({"comparison": None, "reason": "there is no commit yet"}).endswith(
        "there is no commit yet"
    )


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
    assert primary(printed["comparison"])["verdict"] == "better"
