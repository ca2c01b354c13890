"""What `make mutants` reads: modules and tests that exist, and a reason for each survivor."""

import pytest
from made import ROOT
from mutants import run


@pytest.mark.parametrize(("module", "tests"), run.modules().items(), ids=run.modules())
def test_the_table_names_a_module_and_its_tests(module: str, tests: list[str]) -> None:
    assert (ROOT / run.source(module)).is_file()
    assert tests
    assert [name for name in tests if not (ROOT / name).is_file()] == []


def test_each_survivor_has_a_reason() -> None:
    assert all(len(reason.split()) > 2 for reason in run.explained().values())


def test_a_module_is_chosen_by_the_end_of_its_name() -> None:
    assert run.chosen("") == list(run.modules())
    module = list(run.modules())[-1]
    assert run.chosen(module) == run.chosen(module.rpartition(".")[2]) == [module]
    with pytest.raises(SystemExit, match=r"error: no module ompare; modules\.toml has "):
        run.chosen("ompare")
