"""The version that a rollback would return to is started and asked, while the other one serves untouched."""

import json
import shutil

import pytest
from host import NAME, Site

from delivery.core import workspace
from delivery.deploy import drill
from delivery.registry import registry
from delivery.registry.version import drilled

pytestmark = pytest.mark.xdist_group("registry")


@pytest.fixture
def two(site: Site) -> Site:
    """Version 2 serves, version 1 is what a rollback returns to, and clients have asked."""
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    return site


def rollback_of(site: Site, capsys: pytest.CaptureFixture) -> str:
    """What `status` says of a rollback."""
    capsys.readouterr()
    site.run("status", "--json")
    (row,) = json.loads(capsys.readouterr().out)
    return str(row["rollback"])


def test_a_rollback_is_proven_beside_what_serves(two: Site, capsys: pytest.CaptureFixture) -> None:
    assert rollback_of(two, capsys) == f"to version 1: not proven; `delivery drill {NAME}` does it"
    with two.load() as seen:
        assert two.run("drill", NAME) == 0
    assert set(seen) == {"2"}
    assert "can be rolled back to version 1: ready after" in capsys.readouterr().out
    found = drilled(registry.find("1"), NAME)
    assert found is not None
    assert found.requests > 0, "those of the prediction log"
    assert found.accepted == found.requests
    assert rollback_of(two, capsys).startswith(f"to version 1: proven on {found.time[:10]}, ready after ")
    two.settled("2")


def test_without_a_log_the_examples_are_asked(two: Site) -> None:
    shutil.rmtree(two.home / "predictions")
    ((name, outcome),) = drill.run(NAME)
    assert (name, outcome.requests, outcome.accepted) == (NAME, len(two.rows), len(two.rows))


def test_a_version_that_does_not_start_fails_the_drill(two: Site, capsys: pytest.CaptureFixture) -> None:
    two.fault("1", exit="no such library")
    assert two.run("drill") == 1
    assert f"`{NAME}` could not be rolled back to version 1: " in capsys.readouterr().out
    assert "no such library" in rollback_of(two, capsys)
    two.settled("2")


def test_a_version_whose_files_are_gone_fails_the_drill(two: Site, capsys: pytest.CaptureFixture) -> None:
    shutil.rmtree(workspace.REGISTRY_ARTIFACTS)
    assert two.run("drill") == 1
    assert "the files of version 1 are not in" in capsys.readouterr().out


def test_a_version_that_refuses_clients_fails_the_drill(two: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill, "recent", lambda _: [drill.Asked([{"unheard_of": 1}]), drill.Asked([two.rows[0]])])
    ((_, outcome),) = drill.run(NAME)
    assert outcome.failure.startswith("it refuses 1 of 2 requests: 422, unheard_of")
    assert (outcome.requests, outcome.accepted) == (2, 1)


def test_an_environment_without_an_earlier_version_has_nothing_to_prove(
    site: Site, capsys: pytest.CaptureFixture
) -> None:
    assert site.run("drill") == 0
    assert "Nothing serves that could be rolled back." in capsys.readouterr().out
    assert site.run("drill", NAME) == 1
    assert f"nothing serves {NAME}; deploy a version" in capsys.readouterr().err
    assert site.deploy("1") == 0
    assert site.run("drill") == 0
    assert site.run("drill", NAME) == 1
    assert f"no earlier good version of {NAME} is known" in capsys.readouterr().err
