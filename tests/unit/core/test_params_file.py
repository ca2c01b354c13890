"""params.yaml edited: the value that was asked for, and every comment where it was."""

import made
import pytest

from delivery.core import params
from delivery.core.errors import Failure
from delivery.core.params_file import edited

GOOD = (made.ROOT / "params.yaml").read_text()

TEXT = """train:
  model: ridge   # or "dummy"
  alpha: 10.0             # the strength # of it
  name: "a # b"
search:
  alpha: 3
"""


def test_values_are_changed_and_all_else_stays() -> None:
    wanted: dict[str, int | float | str] = {"model": "linear_regression", "alpha": 1e-05, "name": "yes"}
    assert edited(TEXT, "train", wanted) == (
        "train:\n"
        '  model: linear_regression # or "dummy"\n'
        "  alpha: 1.0e-05          # the strength # of it\n"
        '  name: "yes"\n'
        "search:\n"
        "  alpha: 3\n"
    )


def test_of_the_projects_own_nothing_but_the_value_changes() -> None:
    changed = edited(GOOD, "train", {"seed": 12345})
    assert params.parse(changed).train.seed == 12345
    (line,) = [line for line in changed.splitlines() if line not in GOOD.splitlines()]
    assert line.split()[:2] == ["seed:", "12345"]


def test_a_key_without_a_line_of_its_own_is_named() -> None:
    with pytest.raises(Failure, match="no line `  depth: ...` under train"):
        edited(TEXT, "train", {"depth": 1})
    with pytest.raises(Failure, match="no line `  alpha: ...` under train"):
        edited("train: {alpha: 10.0}\nsearch:\n  alpha: 3\n", "train", {"alpha": 1})
