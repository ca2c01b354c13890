"""A promotion to a lasting target; its release: one for a version, where it is asked for, and never in a delivery's way."""

import json
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import made
import pytest
from msgspec import to_builtins
from sample import change

from delivery.__main__ import main
from delivery.adapters import github
from delivery.ci import promote
from delivery.core import params
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.deploy.targets import proxy, slots
from delivery.registry import register, registry, transitions

pytestmark = pytest.mark.xdist_group("registry")


@pytest.fixture
def asked(ready: Path, settings: Params, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """A project with version 1 in a workflow; the releases that GitHub was asked to make."""
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


@pytest.fixture
def lasting(needs_haproxy: None, ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[params.Place]:
    """The project with a lasting target for `staging`, where nothing serves yet."""
    home = tmp_path_factory.mktemp("lasting")
    place = params.Place(target="process", port=slots.free_port(), folder=str(home))
    of_load = {"users": 1, "seconds": 1, "max_p95_ms": 5000, "min_rps": 1}
    change(ready, {f"loadtest.{name}": value for name, value in of_load.items()})
    change(ready, {"deploy.environments": {"staging": to_builtins(place)}, "deploy.watch_seconds": 0.2})
    shutil.copytree(made.ROOT / "tests" / "load", ready / "tests" / "load")
    made.commit("A lasting target")
    yield place
    proxy.stop(home / "staging")
    for name in proxy.SLOTS:
        slots.stop(home / "staging", name, engine=False)


def test_a_promotion_to_a_lasting_target_serves_there(lasting: params.Place, capsys) -> None:
    words = ["promote", "apply", "--branch", "main"]
    with socket.create_server(("127.0.0.1", lasting.port)):
        assert main(words) == 1
    assert f"the proxy cannot have port {lasting.port}" in capsys.readouterr().err
    assert registry.find(registry.connect(), "1").aliases == []  # it is registered, and serves nowhere
    assert main(words) == 0
    assert f"Version 1 serves `staging` at http://127.0.0.1:{lasting.port}" in capsys.readouterr().out
    with urllib.request.urlopen(f"http://127.0.0.1:{lasting.port}/version", timeout=10) as reply:
        about = json.loads(reply.read())
    assert about["version"] == "1"
    assert registry.find(registry.connect(), "1").aliases == ["staging"]
    found = transitions.events(registry.versions(registry.connect()))
    assert [(event.how, event.outcome) for event in found] == [("promote", "failed"), ("promote", "succeeded")]
