"""Moves: the history of an environment loses none, and its alias is where the history says."""

import json
from types import SimpleNamespace
from typing import Any

import made
import pytest
from mlflow import MlflowClient

from delivery.adapters import git, github, provenance
from delivery.registry import registry, transitions

pytestmark = pytest.mark.xdist_group("registry")


def test_the_history_of_an_environment_stays(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(f"2024-01-0{day}T00:00:00+00:00" for day in range(1, 5))
    monkeypatch.setattr("delivery.adapters.provenance.now", lambda: next(moments))
    for name in ("one", "two"):
        made.version(client, name)
    for number in ("1", "2", "1"):
        transitions.point(client, "production", number)
    transitions.point(client, "staging", "2")
    found = transitions.of(registry.versions(client), "production")
    assert [number for _, number in found] == ["1", "2", "1"]
    assert registry.find(client, "1").aliases == ["production"]


def test_the_alias_follows_the_history_whoever_sets_it_last(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer moves the alias between this one's entry in the history and its own move."""
    for name in ("one", "two"):
        made.version(client, name)
    move = MlflowClient.set_registered_model_alias

    def overtaken(this: MlflowClient, *words: str) -> None:
        monkeypatch.setattr(MlflowClient, "set_registered_model_alias", move)
        transitions.point(client, "staging", "2")
        move(this, *words)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", overtaken)
    transitions.point(client, "staging", "1")
    assert [number for _, number in transitions.of(registry.versions(client), "staging")] == ["1", "2"]
    assert registry.find(client, "staging").version == registry.find(client, "2").version


def test_a_clock_that_is_behind_loses_no_move(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        made.version(client, name)
    for number, moment in (("2", "2024-01-02T00:00:00+00:00"), ("1", "2024-01-01T23:00:00+00:00")):
        monkeypatch.setattr("delivery.adapters.provenance.now", lambda moment=moment: moment)
        transitions.point(client, "staging", number)
    found = transitions.of(registry.versions(client), "staging")
    assert found == [("2024-01-02T00:00:00+00:00", "2"), ("2024-01-02T00:00:01+00:00", "1")]
    assert registry.find(client, "1").aliases == ["staging"]


def version(number: int, *aliases: str, **tags: str) -> Any:
    return SimpleNamespace(version=number, aliases=list(aliases), tags=tags)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list:
    """Two versions in the registry: 12 serves in staging, 3 is to come after it; and who asks, and when."""
    tags = {"git.commit": "abc", "pull.request": "5", "image.digest": "sha256:1"}
    versions = [version(12, "staging"), version(3, "production", **tags)]
    monkeypatch.setattr(registry, "versions", lambda client: {"client": versions}[client])
    monkeypatch.setattr(provenance, "actor", lambda: "ada")
    monkeypatch.setattr(git, "committed", lambda commit: f"when {commit} was made")
    monkeypatch.setattr(github, "inside", lambda: True)
    monkeypatch.setattr(github, "run_url", lambda: "https://github.com/a/b/actions/runs/1")
    return versions


def test_an_event_says_what_came_before_and_what_it_is_of(known: list) -> None:
    client: Any = "client"
    event = transitions.now(client, "staging", "3", "promote", "r" * 600, 1.23456, outcome="failed")
    assert event == transitions.Event(
        time=event.time,
        environment="staging",
        version="3",
        how="promote",
        by="ada",
        outcome="failed",
        before="12",
        reason="r" * 500,
        commit="abc",
        committed="when abc was made",
        pull="5",
        image="sha256:1",
        run="https://github.com/a/b/actions/runs/1",
        seconds=1.235,
    )
    assert len(event.time) == len("2024-01-01T00:00:00.000000+00:00")
    assert event.time.endswith("+00:00")


def test_an_event_says_nothing_of_what_is_not_known(known: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "inside", lambda: False)
    known[1].tags.clear()
    client: Any = "client"
    event = transitions.now(client, "development", "3", "run")
    expected = transitions.Event(time=event.time, environment="development", version="3", how="run", by="ada")
    assert event == expected
    assert event.outcome == "succeeded"


def test_the_tag_of_an_event_is_named_by_its_moment() -> None:
    event = transitions.Event("2024-01-02T03:04:05.000006+00:00", "staging", "3", "promote", by="ada")
    (name, value), *others = transitions.tag(event).items()
    assert (name, others) == ("staging.event.20240102T030405000006", [])
    assert json.loads(value) == {
        "time": "2024-01-02T03:04:05.000006+00:00",
        "environment": "staging",
        "version": "3",
        "how": "promote",
        "by": "ada",
    }


def test_events_are_read_from_the_tags_of_all_versions_oldest_first() -> None:
    each = [transitions.Event(f"2024-01-0{day}T00:00:00.000000+00:00", "staging", "3", "promote") for day in (1, 2, 3)]
    versions = [
        version(3, **{"staging.since": "2024"}, **transitions.tag(each[2]), **transitions.tag(each[0])),
        version(12, **transitions.tag(each[1])),
    ]
    assert transitions.events(versions) == each


def test_the_history_is_sorted_by_moment_and_then_by_number() -> None:
    versions = [
        version(10, **{"staging.since": "2024-01-02 2024-01-04", "production.since": "2024-01-01"}),
        version(9, **{"staging.since": "2024-01-02 2024-01-03"}),
        version(8),
    ]
    history = [("2024-01-02", "9"), ("2024-01-02", "10"), ("2024-01-03", "9"), ("2024-01-04", "10")]
    assert transitions.of(versions, "staging") == history


def test_the_moment_after() -> None:
    assert transitions._after([]) == ""
    moments = [("2024-01-01T00:00:00+00:00", "1"), ("2024-01-01T00:59:59+00:00", "2")]
    assert transitions._after(moments) == "2024-01-01T01:00:00+00:00"


def test_a_move_is_recorded_with_its_event(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event comes never before the moment in the history, and keeps its own where that is later."""
    made.version(client, "one")
    made.version(client, "two")
    monkeypatch.setattr("delivery.adapters.provenance.now", lambda: "2024-01-01T00:00:00+00:00")
    transitions.move(client, "staging", "1", "deploy", "because", 2.0)
    monkeypatch.setattr("delivery.adapters.provenance.now", lambda: "2099-01-01T00:00:00+00:00")
    transitions.move(client, "staging", "2", "rollback")
    one, two = transitions.events(registry.versions(client))
    assert (one.version, one.how, one.reason, one.seconds, one.before) == ("1", "deploy", "because", 2.0, "")
    assert (two.version, two.how, two.reason, two.seconds, two.before) == ("2", "rollback", "", 0.0, "1")
    assert (one.environment, two.environment, one.outcome) == ("staging", "staging", "succeeded")
    assert "2024-01-01" < one.time < "2099-01-01"
    assert two.time == "2099-01-01T00:00:00+00:00"
    assert registry.find(client, "staging").version == registry.find(client, "2").version
    first = dict(registry.find(client, "1").tags)
    assert first["staging.since"] == "2024-01-01T00:00:00+00:00"
    assert len([name for name in first if name.startswith("staging.event.")]) == 1


def test_a_version_that_comes_again_keeps_its_former_moments(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.version(client, "one")
    made.version(client, "two")
    tags: list[str] = []

    def record(moment: str) -> dict[str, str]:
        tags.append(moment)
        return {"told": moment}

    for day, number in enumerate(("1", "2", "1"), start=1):
        monkeypatch.setattr("delivery.adapters.provenance.now", lambda day=day: f"2024-01-0{day}T00:00:00+00:00")
        transitions.point(client, "staging", number, record)
    assert tags == [f"2024-01-0{day}T00:00:00+00:00" for day in (1, 2, 3)]
    found = registry.find(client, "1").tags
    assert found["staging.since"] == "2024-01-01T00:00:00+00:00 2024-01-03T00:00:00+00:00"
    assert found["told"] == "2024-01-03T00:00:00+00:00"


def test_a_change_that_the_server_refuses_for_another_writer_is_made_again(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the tags and the alias go through `insist`."""
    made.version(client, "one")
    insisted: list[str] = []
    really = registry.insist

    def insist(change: Any) -> Any:
        before = dict(registry.find(client, "1").tags), registry.find(client, "1").aliases
        answer = really(change)
        after = dict(registry.find(client, "1").tags), registry.find(client, "1").aliases
        insisted.extend(what for what, old, new in zip(("tags", "alias"), before, after, strict=True) if old != new)
        return answer

    monkeypatch.setattr(registry, "insist", insist)
    transitions.point(client, "staging", "1")
    assert insisted == ["tags", "alias"]
