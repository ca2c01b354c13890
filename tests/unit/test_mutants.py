"""What `make mutants` reads: modules and tests that exist, and a reason for each survivor."""

from collections import Counter

import pytest
from made import ROOT
from mutants import run


@pytest.mark.parametrize(("module", "tests"), run.modules().items(), ids=run.modules())
def test_the_table_names_a_module_and_its_tests(module: str, tests: list[str]) -> None:
    assert (ROOT / run.source(module)).is_file()
    assert tests
    assert [name for name in tests if not (ROOT / name).is_file()] == []


def test_what_is_left_out_exists() -> None:
    for test in run.left_out():
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text()


def test_each_survivor_has_a_reason() -> None:
    assert all(len(reason.split()) > 2 for reason in run.explained().values())


def test_a_module_is_chosen_by_the_end_of_its_name() -> None:
    assert run.chosen("") == list(run.modules())
    module = list(run.modules())[-1]
    assert run.chosen(module) == run.chosen(module.rpartition(".")[2]) == [module]
    with pytest.raises(SystemExit, match=r"error: no module ompare; modules\.toml has "):
        run.chosen("ompare")


ALIVE = run.Mutant("worst", "if a < b:", "if a <= b:")


@pytest.mark.parametrize(
    ("killed", "reasons", "code"),
    [
        (9, {ALIVE: "a is never b"}, 0),
        (8, {ALIVE: "a is never b"}, 1),
        (9, {}, 1),
        (9, {ALIVE: "a is never b", ALIVE._replace(line="if a < c:"): "gone"}, 1),
    ],
    ids=["explained", "too few found", "unexplained", "explained and found by now"],
)
def test_survivors_fail_the_run_unless_they_are_few_and_explained(
    killed: int, reasons: dict, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    count = Counter({"killed": killed - 1, "timeout": 1, "survived": 10 - killed})
    monkeypatch.setattr(run, "modules", lambda: {"delivery.decision.gate": ["tests/unit/decision/test_gate.py"]})
    monkeypatch.setattr(run, "tested", lambda module: (count, {ALIVE: "survived"}))
    monkeypatch.setattr(run, "explained", lambda: reasons)
    monkeypatch.setattr("sys.argv", ["run.py"])
    assert run.main() == code
    out = capsys.readouterr().out
    assert out.startswith(f"delivery.decision.gate: {killed} of 10 mutants found ({killed}0%), 1 survive, ")
    if not reasons:
        assert "function = 'worst'\nline = 'if a < b:'\nmutants = ['if a <= b:']\nreason = ''  # survived" in out
