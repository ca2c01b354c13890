"""A release started for a while: what does not start is an error in one line, and what hangs is ended."""

import sys
from pathlib import Path

import pytest

from delivery.core.errors import Failure
from delivery.registry import bundle, running


def started_as(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(bundle, "command", lambda *_: [sys.executable, "-c", script])


def test_a_service_that_ends_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started_as(monkeypatch, "import sys; print('warning', file=sys.stderr); sys.exit('no such library')")
    with (
        pytest.raises(Failure, match="^the service did not start: no such library$"),
        running.process(folder, "1", folder),
    ):
        pass


def test_a_service_that_says_nothing_is_named_all_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started_as(monkeypatch, "")
    with (
        pytest.raises(Failure, match="^the service did not start: it printed nothing$"),
        running.process(folder, "1", folder),
    ):
        pass


def test_a_service_that_says_much_does_not_wait_for_a_reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = "import signal, sys; print('a' * 10**6, file=sys.stderr); print('b' * 10**6)"
    started_as(monkeypatch, f"{talk}; print('listens on http://here', flush=True); signal.pause()")
    with running.process(folder, "1", folder) as url:
        assert url == "http://here"


def test_a_service_that_never_listens_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started_as(monkeypatch, "import signal; signal.pause()")
    monkeypatch.setattr(running, "READY", 0.2)
    with (
        pytest.raises(Failure, match=r"^the service did not start: it did not listen within 0\.2 s$"),
        running.process(folder, "1", folder),
    ):
        pass


def test_only_a_guarded_service_asks_for_tokens(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import os, signal; print('listens on http://' + os.environ.get('SERVE_TOKENS', 'open'), flush=True); signal.pause()"
    started_as(monkeypatch, script)
    monkeypatch.setenv("SERVE_TOKENS", "asked")
    with running.process(folder, "1", folder) as url:
        assert url == "http://asked"
    with running.process(folder, "1", folder, guarded=False) as url:
        assert url == "http://open"
