"""The release of a promotion: one for a version, where it is asked for, and never in a delivery's way."""

import shutil
from pathlib import Path

import made
import pytest

from delivery import github, params, promote, register, registry
from delivery.errors import Failure
from delivery.params import Params

pytestmark = pytest.mark.xdist_group("registry")


@pytest.fixture
def asked(project: Path, fresh: Path, settings: Params, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """A project with version 1 in a workflow; the releases that GitHub was asked to make."""
    registry.DATABASE.parent.mkdir(parents=True)
    shutil.copy(fresh, registry.DATABASE)
    register.run()
    made_releases: list[dict] = []

    def ask(_: str, path: str, body: dict) -> dict:
        made_releases.append(body)
        return {"html_url": f"https://github.com/a/b{path}/1"}

    monkeypatch.setattr(params, "load", lambda: made.changed(settings, promote__releases=["staging"]))
    monkeypatch.setattr(github, "inside", lambda: True)
    monkeypatch.setattr(github, "ask", ask)
    monkeypatch.setattr(github, "pages", lambda _: [{"tag_name": body["tag_name"]} for body in made_releases])
    return made_releases


def test_a_version_is_released_once_with_its_card(asked: list[dict]) -> None:
    digest = registry.find(registry.connect(), "1").tags[registry.DIGEST]
    assert promote.release("staging", "1") == (
        f"[Release model-1-{digest[:8]}](https://github.com/a/b/releases/1) has its card."
    )
    assert promote.release("staging", "1") == ""
    assert promote.release("development", "1") == "", "the row of params.yaml does not name it"
    (body,) = asked
    assert body["body"].startswith("# Model card")
    assert body["target_commitish"] == made.git("rev-parse", "HEAD")


def test_a_refusal_is_told_and_nothing_else(asked: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise Failure("GitHub refused POST /releases: 403 no")

    monkeypatch.setattr(github, "ask", refuse)
    assert promote.release("staging", "1") == "There is no release: GitHub refused POST /releases: 403 no."


def test_outside_a_workflow_there_is_none(asked: list[dict], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "inside", lambda: False)
    assert promote.release("staging", "1") == ""
    assert asked == []
