"""The card of a version: what its authors know, what was measured, and who approved it."""

from pathlib import Path

import made
import pytest
import yaml

from delivery.__main__ import main
from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.pull_requests import approval
from delivery.pull_requests.approval import Approval
from delivery.registry import card, register, registry, release
from problem import PRIMARY, SEGMENTS

pytestmark = pytest.mark.xdist_group("registry")


def test_every_version_has_its_card(ready: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(approval, "of", lambda _: Approval("12", "bob", "ada"))
    register.run("staging", "ghcr.io/a/b@sha256:1")
    assert main(["card", "staging"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Version 1, staging")
    for name, said in params.load().card.items():
        assert f"## {name}\n\n{said}" in text
    for said in (
        f"| {PRIMARY} (leads) |",
        f"{SEGMENTS[0]}=",
        "- pull request: #12",
        "- approved by: bob",
        "- merged by: ada",
    ):
        assert said in text
    assert "- image.digest: `ghcr.io/a/b@sha256:1`" in text
    assert f"- digest: `{'1' * 32}.dir`" in text
    shown = registry.find("1").description
    assert shown.startswith("# Model card")
    assert len(shown) <= registry.DESCRIPTION


def test_the_card_of_a_version_without_a_pull_request_says_so(ready: Path) -> None:
    with release.made() as folder:
        text = card.markdown(register.collect(folder, register.lineage()), register.lineage())
    assert "- pull request: none\n- approved by: nobody" in text


def test_a_long_card_is_cut_at_a_line_where_the_registry_shows_it(ready: Path) -> None:
    register.run()
    registry.describe("1", "a line of the card\n" * 1000)
    shown = registry.find("1").description.splitlines()
    assert set(shown[:-1]) == {"a line of the card", ""}
    assert shown[-1] == "The whole of it is among the version's files."


def test_a_card_without_an_intended_use_is_refused(ready: Path) -> None:
    tree = yaml.safe_load(workspace.PARAMS.read_text())
    tree["card"]["Intended use"] = " "
    workspace.PARAMS.write_text(yaml.safe_dump(tree))
    made.commit("No word")
    with pytest.raises(Failure, match=r"`card` in params\.yaml does not say: Intended use"):
        register.run()
    assert registry.versions() == []


def test_a_version_without_a_card_is_named(ready: Path, capsys) -> None:
    register.run()
    next(workspace.REGISTRY_ARTIFACTS.rglob(card.FILE)).unlink()
    assert main(["card", "1"]) == 1
    assert "version 1 has no card" in capsys.readouterr().err
