"""What is drawn: seeded, within the declared space, as a person would write it, and what `train` takes."""

import re
import warnings
from typing import Any

import made
import pytest
import yaml
from sample import adjusted

from delivery.core import params
from delivery.core.errors import Failure
from delivery.core.params import Params, Search, Span
from delivery.search.space import candidates


def searching(settings: Params, space: dict[str, Any], trials: int = 12, seed: int = 3) -> Params:
    return made.changed(settings, search=Search(trials=trials, folds=1, seed=seed, space=space))


SPACE = {
    "learning_rate": Span(low=0.01, high=0.3, log=True),
    "max_iter": Span(low=5, high=9),
    "max_leaf_nodes": Span(low=4, high=64, log=True),
    "min_samples_leaf": [10, 50],
}


def test_the_present_settings_come_first_and_nothing_comes_twice(settings: Params) -> None:
    found = candidates(searching(settings, SPACE))
    assert found[0] == settings.train
    assert len(found) == len(set(found)) == 13
    assert candidates(searching(settings, {"max_iter": [settings.train.max_iter]})) == [settings.train]


def test_the_same_seed_draws_the_same_and_more_trials_keep_the_first(settings: Params) -> None:
    found = candidates(searching(settings, SPACE))
    assert candidates(searching(settings, SPACE)) == found
    assert candidates(searching(settings, SPACE, trials=20))[:13] == found
    assert candidates(searching(settings, SPACE, seed=4))[1:] != found[1:]


def test_what_is_drawn_is_within_the_space_and_of_three_digits(settings: Params) -> None:
    found = candidates(searching(settings, SPACE, trials=200))[1:]
    rates = [train.learning_rate for train in found]
    assert all(0.01 <= rate <= 0.3 and rate == float(f"{rate:.3g}") for rate in rates)
    assert 0.4 < sum(rate < 0.0548 for rate in rates) / len(rates) < 0.6, "half of them below the geometric middle"
    assert {train.max_iter for train in found} == {5, 6, 7, 8, 9}
    leaves = {train.max_leaf_nodes for train in found}
    assert min(leaves) >= 4
    assert max(leaves) <= 64
    assert {train.min_samples_leaf for train in found} == {10, 50}
    assert {train.seed for train in found} == {settings.train.seed}


def test_of_lists_alone_all_are_tried_without_a_warning(settings: Params) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = candidates(searching(settings, {"max_iter": [3, 4], "min_samples_leaf": [7, 11]}, trials=50))
    assert set(found[1:]) == {
        adjusted(settings.train, max_iter=count, min_samples_leaf=leaf) for count in (3, 4) for leaf in (7, 11)
    }


def test_without_a_space_there_is_nothing_to_search(settings: Params) -> None:
    with pytest.raises(Failure, match=r"search\.space in params\.yaml is empty; name keys of train"):
        candidates(searching(settings, {}))


def test_a_key_or_a_value_that_train_does_not_take_is_named(settings: Params) -> None:
    with pytest.raises(Failure, match=r"search\.space: depth is no key of train"):
        candidates(searching(settings, {"depth": [1]}))
    with pytest.raises(Failure, match=r"search\.space: Expected `int` >= 1 - at `\$\.max_iter`"):
        candidates(searching(settings, {"max_iter": [0]}))


@pytest.mark.parametrize("span", ["{low: 2, high: 1}", "{low: 0, high: 1, log: true}", "[]"])
def test_a_space_without_room_is_refused(span: str) -> None:
    tree = yaml.safe_load((made.ROOT / "params.yaml").read_text())
    tree["search"]["space"] = {"max_iter": yaml.safe_load(span)}
    with pytest.raises(Failure, match=r"\$\.search\.space"):
        params.parse(yaml.safe_dump(tree))


PROBLEMS = [made.ROOT / "params.yaml", *sorted((made.ROOT / "examples").glob("*/params.yaml"))]  # none of the store's


@pytest.mark.parametrize("path", PROBLEMS, ids=lambda path: path.parent.name)
def test_every_problem_here_searches_among_its_own_settings(path) -> None:
    tree = yaml.safe_load(path.read_text())
    model = next(file for file in (path.parent / "model.py", path.parent / "src/problem/model.py") if file.exists())
    keys = re.findall(r"(?m)^    (\w+): ", model.read_text())
    assert tree["train"].keys() <= set(keys)
    assert tree["search"]["space"].keys() <= set(keys)
