"""A version that fails minutes after its deployment returns by itself, though nobody waits for it."""

import json
from pathlib import Path

import pytest
from host import Site, failures, wait_for
from sample import change

from delivery.deploy import bake
from delivery.deploy.targets import process, state

pytestmark = pytest.mark.xdist_group("registry")


def watchers(site: Site) -> list[int]:
    return [pid for pid in process.having("bake", "staging") if folder(pid) == site.folder]


def folder(pid: int) -> Path | None:
    """The working directory of a process; None if it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


def ended(site: Site, seconds: float = 60) -> str:
    """What the watch has said by its end."""
    wait_for(lambda: not watchers(site), seconds)
    return (site.home / bake.LOG).read_text()


@pytest.fixture
def watched(site: Site) -> Site:
    change(site.folder, {"deploy.bake_minutes": 1})
    assert site.deploy("1") == 0
    assert watchers(site) == []  # there is no version to return to
    return site


def test_a_version_that_fails_later_returns_by_itself(watched: Site, capsys) -> None:
    """It dies of what its clients ask, and nobody asks before the deployment has ended."""
    watched.fault("2", dies=True)
    assert watched.deploy("2") == 0
    assert "It is watched for 1 minutes, and version 1 takes over again" in capsys.readouterr().out
    assert watched.serving() == "2"
    with watched.load() as seen:
        assert "`staging` is back to version 1" in ended(watched)
        watched.settled("1")
    assert failures(seen) == {}
    warm = state.read(watched.home).warm
    assert warm
    assert warm.rolled_back
    assert watched.run("history", "--json") == 0
    event = json.loads(capsys.readouterr().out)["events"][-1]
    assert (event["version"], event["how"]) == ("1", "rollback")
    assert event["reason"].startswith("within 1 minutes: ")
    assert "requests failed, " in event["reason"]


def test_a_good_version_stays_and_a_person_goes_first(watched: Site) -> None:
    change(watched.folder, {"deploy.bake_minutes": 0.2})
    with watched.load() as seen:
        assert watched.deploy("2") == 0
        assert "version 2 was watched until the end: " in ended(watched)
        watched.settled("2")
        change(watched.folder, {"deploy.bake_minutes": 1})
        assert watched.rollback() == 0
        assert watched.deploy("2") == 0
        assert watched.rollback() == 0
        assert "version 2 does not serve any more" in ended(watched)
        watched.settled("1")
    assert failures(seen) == {}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"slow": 0.05}, "(max_slower 1.5)"),
        ({"scores": 0.4, "shifts": 0.4}, "the scores have moved, PSI "),
    ],
    ids=["slow", "other scores"],
)
def test_a_version_that_is_slower_or_scores_otherwise_returns_by_itself(
    fault: dict, words: str, watched: Site, capsys
) -> None:
    """Not by the watch of three seconds, which judges errors: by the same requests, asked of both versions."""
    change(watched.folder, {"deploy.bake_minutes": 5})
    watched.canary(requests=60)
    watched.fault("2", **fault)
    with watched.load() as seen:
        wait_for(lambda: seen["1"] > 100)
        assert watched.deploy("2") == 0
        assert "`staging` is back to version 1" in ended(watched, 280)
        watched.settled("1")
    assert failures(seen) == {}
    capsys.readouterr()
    assert watched.run("history", "--json") == 0
    event = json.loads(capsys.readouterr().out)["events"][-1]
    assert (event["version"], event["how"]) == ("1", "rollback")
    assert event["reason"].startswith("within 5 minutes: ")
    assert " recent requests, asked of both versions: " in event["reason"]
    assert words in event["reason"]
