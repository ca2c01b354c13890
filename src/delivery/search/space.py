"""Draw settings to try from `search.space`, at random with a seed, so that no trial waits for another one."""

import warnings
from typing import Any

import msgspec

from delivery.core.errors import Failure
from delivery.core.params import Params, Span
from problem import Train


def candidates(settings: Params) -> list[Train]:
    """Return the present settings and those drawn from `search.space`, each once.

    Raise `Failure` if the space is empty, or names a key or a value that `train` does not have.
    """
    from sklearn.model_selection import ParameterSampler

    space = settings.search.space
    if not space:
        raise Failure(
            "search.space in params.yaml is empty; name keys of train with the values to try (docs/how-to/scale.md)"
        )
    if unknown := sorted(space.keys() - set(Train.__struct_fields__)):
        raise Failure(f"search.space: {', '.join(unknown)} is no key of train; fix params.yaml")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # raised if the space has only lists and fewer combinations than trials: all are tried
        choices = {name: among(choice) for name, choice in space.items()}
        drawn = list(ParameterSampler(choices, settings.search.trials, random_state=settings.search.seed))
    tidied = [{name: tidy(value, space[name]) for name, value in draw.items()} for draw in drawn]
    return list(dict.fromkeys([settings.train, *(changed(settings.train, values) for values in tidied)]))


def among(choice: Span | list[Any]) -> Any:
    """Return the list or the distribution that scikit-learn draws from."""
    from scipy.stats import loguniform, randint, uniform

    if isinstance(choice, list):
        return choice
    if choice.log:
        return loguniform(choice.low, choice.high)
    if isinstance(choice.low, int) and isinstance(choice.high, int):
        return randint(choice.low, choice.high + 1)
    return uniform(choice.low, choice.high - choice.low)


def tidy(value: Any, choice: Span | list[Any]) -> Any:
    """Return a number as a person would write it: whole, or with three significant digits."""
    if isinstance(choice, list):
        return value
    if isinstance(choice.low, int) and isinstance(choice.high, int):
        return round(float(value))
    return min(max(float(f"{value:.3g}"), float(choice.low)), float(choice.high))


def changed(train: Train, values: dict[str, Any]) -> Train:
    """Return `train` with other values. Raise `Failure` for a value that it does not take."""
    try:
        return msgspec.convert(msgspec.to_builtins(train) | values, Train)
    except msgspec.ValidationError as error:
        raise Failure(f"search.space: {error}; fix params.yaml") from None
