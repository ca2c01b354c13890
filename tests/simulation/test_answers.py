"""What libgit2 answers and does in the simulation is what git answers and does."""

import os
from collections import Counter
from pathlib import Path

import pytest

from simulation import agreement, answers
from simulation.world import Action
from simulation.year import perform

LAND = Action("land", value="0", environment="squash")
ACTIONS = [
    Action("propose", value="1000001", environment="stale"),
    Action("propose", value="77", environment="other"),
    LAND,
    Action("more", value="0", environment="note"),
    Action("monday", "clock", "1", fault=("overtaken", 25)),
    LAND,
    LAND._replace(environment="rebase"),
    Action("deploy", value="staging", environment="production"),
]
original = answers.answer


def test_each_answer_of_a_simulation_is_that_of_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All questions of a few days with changes, merges and a check of drift, at the moment when they are asked."""
    answered: Counter[str] = Counter()
    wrong: list[str] = []  # a job takes an error for one of its own

    def compared(words: list[str], folder: Path, variables=os.environ, text: str = "") -> tuple[int, str] | None:
        with monkeypatch.context() as patch:
            patch.setattr(answers, "answer", original)
            try:
                found = agreement.compare(words, folder, variables, text, tmp_path / "copies")
            except AssertionError as error:
                wrong.append(str(error))
                raise
        if found is not None:
            answered[agreement.named(words)] += 1
        return found

    monkeypatch.setattr(answers, "answer", compared)
    history = perform(ACTIONS)
    assert not wrong, wrong[0]
    assert history.violation is None, history.violation
    assert not [form for form in answers.FORMS if not answered[form]]
