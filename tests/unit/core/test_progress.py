"""Long work prints its progress; quick work is silent."""

import io
import sys
import threading

import pytest

from delivery.core import progress


def test_quick_work_is_silent(capsys) -> None:
    with progress.progress("fitting"):
        pass
    assert capsys.readouterr().err == ""


def test_long_work_prints_the_elapsed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()

    class Screen(io.StringIO):
        def flush(self) -> None:
            told.set()

    monkeypatch.setattr(progress, "EVERY", 0.001)
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    with progress.progress("fitting"):
        assert told.wait(10)
    assert screen.getvalue().startswith("  fitting … 0 s\n")


def test_an_error_is_raised_and_ends_the_output() -> None:
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="broken"), progress.progress("fitting"):
        raise RuntimeError("broken")
    assert threading.active_count() == before
