"""Edits of params.yaml: the new value, and every other byte unchanged."""

import difflib

import made
import pytest
import yaml

from delivery.core import params
from delivery.core.errors import Failure
from delivery.core.params_file import Value, edited

GOOD = (made.ROOT / "params.yaml").read_text()

TEXT = """train:
  model: ridge   # or "dummy"
  alpha: 10.0             # the strength # of it
  name: "a # b"
search:
  alpha: 3
"""


def test_values_change_and_everything_else_stays() -> None:
    wanted: dict[str, Value] = {"model": "linear_regression", "alpha": 1e-05, "name": "yes"}
    assert edited(TEXT, "train", wanted) == (
        "train:\n"
        '  model: linear_regression # or "dummy"\n'
        "  alpha: 1.0e-05          # the strength # of it\n"
        '  name: "yes"\n'
        "search:\n"
        "  alpha: 3\n"
    )


@pytest.mark.parametrize(
    ("section", "values", "shown"),
    [
        ("fetch", {"until": "2099-12"}, 1),
        ("train", {"seed": 12345}, 1),
        ("train", {"seed": 12345, "learning_rate": 0.000001}, 2),
        ("train", {}, 0),
        ("gate", {"model_mb": 7.5, "margin": 0.25}, 2),
        ("validate", {"psi_alarm": 0.5}, 1),
        ("loadtest", {"users": 3}, 2),
    ],
)
def test_in_this_repositorys_file_only_the_value_changes(section: str, values: dict[str, Value], shown: int) -> None:
    changed = edited(GOOD, section, values)
    settings = getattr(params.parse(changed), section)
    assert {name: getattr(settings, name) for name in values} == values
    lines = difflib.ndiff(GOOD.splitlines(keepends=True), changed.splitlines(keepends=True))
    assert len([line for line in lines if line.startswith("+")]) <= shown
    back = {name: value for name, value in (yaml.safe_load(GOOD).get(section) or {}).items() if name in values}
    if back.keys() == values.keys():
        assert yaml.safe_load(edited(changed, section, back)) == yaml.safe_load(GOOD)


@pytest.mark.parametrize(
    ("text", "values", "after"),
    [
        ("a:\r\n  b: 1  # x\r\nz: 1\r\n", {"b": 5, "n": 2}, "a:\r\n  b: 5  # x\r\n  n: 2\r\nz: 1\r\n"),
        ("a:\n  b: 1", {"b": 5, "n": 2}, "a:\n  b: 5\n  n: 2"),
        ("z: 1", {"b": 5}, "z: 1\na:\n  b: 5"),
        ("", {"b": 5}, "a:\n  b: 5\n"),
        ("# only\n", {"b": 5}, "# only\na:\n  b: 5\n"),
        ("a: {b: 1,c: [1,2 ]}\n", {"b": 5, "n": 2}, "a: {b: 5,c: [1,2 ], n: 2}\n"),
        ("a: {}   # none\nz: 1\n", {"b": 5, "n": 2}, "a: {b: 5, n: 2}   # none\nz: 1\n"),
        ("a:   # none yet\n\nz: 1\n", {"b": 5, "n": 2}, "a:   # none yet\n  b: 5\n  n: 2\n\nz: 1\n"),
        ("a:\n  b:   # none\n  c: 1\n", {"b": 5}, "a:\n  b: 5  # none\n  c: 1\n"),
        ("a: {b: , c: 1}\n", {"b": 5}, "a: {b: 5 , c: 1}\n"),
        ("a:\n    b: 1e-5\n    c: 0.20\n    d: 010\n", {"c": 0.3}, "a:\n    b: 1e-5\n    c: 0.3\n    d: 010\n"),
        ("a:\n  b: 1e-5\n", {"b": 1e-5}, "a:\n  b: 1.0e-05\n"),
        ("a:\n  b: 1\n", {"b": True}, "a:\n  b: true\n"),
        ("a:\n  b: 'x'  # q\n", {"b": "it's"}, "a:\n  b: 'it''s' # q\n"),
        ('a:\n  b: "x"\n', {"b": 'ö # \\ "\n'}, 'a:\n  b: "ö # \\\\ \\"\\n"\n'),
        ("a:\n  b: x\n", {"b": "null"}, 'a:\n  b: "null"\n'),
        ("a:\n  b: x\n", {"b": "2024-05"}, 'a:\n  b: "2024-05"\n'),
        ("'a':\n  \"b\" :  1\n", {"b": 5}, "'a':\n  \"b\" :  5\n"),
        ("a:\n  b: one\n    two\n  c: 3\n", {"b": 5}, "a:\n  b: 5\n  c: 3\n"),
        (
            "a:\n  c: >-\n    x\n    y\n\n# next\nz: 1\n",
            {"n": 2},
            "a:\n  c: >-\n    x\n    y\n  n: 2\n\n# next\nz: 1\n",
        ),
        (
            "a:\n  c:\n    - 1\n    - 2  # two\n  # about d\n\n# next\nz:\n  b: 7\n",
            {"b": 5},
            "a:\n  c:\n    - 1\n    - 2  # two\n  b: 5\n  # about d\n\n# next\nz:\n  b: 7\n",
        ),
        ("a:\n  c:\n    x: 1 # deep\n\nz: 1\n", {"n": 2}, "a:\n  c:\n    x: 1 # deep\n  n: 2\n\nz: 1\n"),
        ("---\na:\n  b: 1\n...\n", {"b": 5, "n": 2}, "---\na:\n  b: 5\n  n: 2\n...\n"),
        ("\ufeffa:\n  b: 1\n", {"b": 5}, "\ufeffa:\n  b: 5\n"),
        ("z: 1\n", {}, "z: 1\na: {}\n"),
        ("a: # as it is\n", {}, "a: # as it is\n"),
    ],
)
def test_awkward_files_keep_every_other_byte(text: str, values: dict[str, Value], after: str) -> None:
    assert edited(text, "a", values) == after
    assert {name: params.tree(after)["a"][name] for name in values} == values


def test_a_long_line_is_not_broken() -> None:
    text = f"card: {{Limits: {'long ' * 100}end}}\na:\n  b: 1\n"
    assert edited(text, "a", {"b": 2, "c": "x " * 200}) == f'{text[:-2]}2\n  c: "{"x " * 200}"\n'


@pytest.mark.parametrize(
    "text", ["a:\n  b: &k 1\nz: *k\n", "z: &k\n  b: 1\na: *k\n", "a: null\n", "a: {b}\n", "{z: 1}\n", "a: 7\n"]
)
def test_a_file_that_cannot_be_changed_in_place_is_refused(text: str) -> None:
    """A file with other values than the requested ones is never returned."""
    with pytest.raises(
        Failure, match=r"^params\.yaml cannot be changed in place; set b: 5 under a, and run this again$"
    ):
        edited(text, "a", {"b": 5})


def test_a_file_that_is_not_yaml_is_named() -> None:
    with pytest.raises(Failure, match=r"params\.yaml is not YAML: .*twice: b"):
        edited("a:\n  b: 1\n  b: 2\n", "a", {"b": 5})
