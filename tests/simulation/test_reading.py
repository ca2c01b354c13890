"""What libgit2 answers in the simulation is what git answers."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from simulation import reading
from simulation.year import perform, plan

original = reading.answer


def test_each_answer_is_that_of_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """All questions of three weeks, at the moment when they are asked."""
    answered: Counter[str] = Counter()

    def compared(words: list[str], folder: Path) -> tuple[int, str] | None:
        found = original(words, folder)
        if found is not None:
            command = ["git", "-c", "core.quotePath=false", "-C", str(folder), *words]
            variables = os.environ | {"LC_ALL": "C", "TZ": "UTC"}
            done = subprocess.run(command, capture_output=True, env=variables, check=False)
            assert (done.returncode, done.stdout.decode()) == found, (words, folder, done.stderr)
            answered[words[0]] += 1
        return found

    monkeypatch.setattr(reading, "answer", compared)
    history = perform(plan(4, 3))
    assert history.violation is None, history.violation
    assert all(answered[form] > 5 for form in reading.FORMS), answered
