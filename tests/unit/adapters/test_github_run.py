"""What a workflow run tells GitHub, and what nothing outside one does: outputs, git's credentials."""

from pathlib import Path

import pytest

from delivery.adapters import github
from delivery.core.errors import Failure


def test_outside_a_workflow_the_repository_must_be_given() -> None:
    with pytest.raises(Failure, match="set GITHUB_REPOSITORY=owner/name"):
        github.repository()


def test_git_gets_the_token_of_a_workflow_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github.os, "environ", environment := {"GITHUB_TOKEN": "a token"})
    github.authenticate()
    assert "GIT_CONFIG_COUNT" not in environment
    environment["GITHUB_ACTIONS"] = "true"
    github.authenticate()
    assert environment["GIT_CONFIG_KEY_0"] == "http.https://github.com/.extraheader"
    assert environment["GIT_CONFIG_VALUE_0"] == "AUTHORIZATION: basic eC1hY2Nlc3MtdG9rZW46YSB0b2tlbg=="


def test_an_output_cannot_forge_another_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(folder / "output"))
    github.output(image="a\nstale=true")
    first, *value, last = (folder / "output").read_text().splitlines()
    assert value == ["a", "stale=true"]
    assert first == f"image<<{last}"
