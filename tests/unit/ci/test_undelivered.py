"""A title or a commit's message by which a merge is delivered by nothing is named before the merge."""

from typing import Any

import pytest

from delivery.adapters import github
from delivery.ci import undelivered
from delivery.core.errors import Failure


def asked(title: str, messages: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    commits = [{"sha": f"{n:x}" * 40, "commit": {"message": said}} for n, said in enumerate(messages, 1)]
    monkeypatch.setattr(github, "ask", lambda method, path: {"title": title})
    monkeypatch.setattr(github, "pages", lambda path: commits if path == "/pulls/3/commits" else [])
    return undelivered.notice(3)


def test_a_pull_request_without_such_words_gets_no_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked("A change", ["Half", "Whole"], monkeypatch) == ""


def test_the_title_and_every_commit_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = asked("Words [no ci]", ["Half [skip ci]", "Whole"], monkeypatch)
    assert "its title says `[no ci]`, 11111111 says `[skip ci]`, and GitHub starts no workflow" in said
    assert said.endswith("or start `promote` by hand afterwards.")
    many = asked("A change", ["Half [skip ci]"] * 12, monkeypatch)
    assert many.count("says `[skip ci]`") == undelivered.SHOWN
    assert "so do 2 more commits" in many


def test_what_github_does_not_answer_stops_no_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise Failure("GitHub answers 502")

    monkeypatch.setattr(github, "ask", refused)
    assert undelivered.notice(3).endswith("is not known:** GitHub answers 502")
