"""Moves: the history of an environment keeps each of them, and its alias points to the newest."""

import json
from datetime import datetime, timedelta, tzinfo
from typing import Any

import made
import pytest
from mlflow import MlflowClient

from delivery.adapters import git, github, provenance
from delivery.core.errors import Failure
from delivery.registry import client, registry, transitions
from delivery.registry.version import Event, Version, event_tags, events, from_tags, rolled_back, served

pytestmark = pytest.mark.xdist_group("registry")


def test_the_history_of_an_environment_stays(empty_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(f"2024-01-0{day}T00:00:00+00:00" for day in range(1, 5))
    monkeypatch.setattr("delivery.adapters.provenance.now", lambda: next(moments))
    for name in ("one", "two"):
        made.version(name)
    for number in ("1", "2", "1"):
        transitions.point("production", number)
    transitions.point("staging", "2")
    found = served(registry.versions(), "production")
    assert [number for _, number in found] == ["1", "2", "1"]
    assert registry.find("1").aliases == ("production",)


def test_the_alias_follows_the_history_whoever_sets_it_last(
    empty_registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer moves the alias between this one's entry in the history and its own move."""
    for name in ("one", "two"):
        made.version(name)
    move = MlflowClient.set_registered_model_alias

    def overtaken(this: MlflowClient, *words: str) -> None:
        monkeypatch.setattr(MlflowClient, "set_registered_model_alias", move)
        transitions.point("staging", "2")
        move(this, *words)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", overtaken)
    transitions.point("staging", "1")
    assert [number for _, number in served(registry.versions(), "staging")] == ["1", "2"]
    assert registry.find("staging").number == registry.find("2").number


def test_a_clock_that_is_behind_loses_no_move(empty_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        made.version(name)
    for number, moment in (("2", "2024-01-02T00:00:00+00:00"), ("1", "2024-01-01T23:00:00+00:00")):
        monkeypatch.setattr("delivery.adapters.provenance.now", lambda moment=moment: moment)
        transitions.point("staging", number)
    found = served(registry.versions(), "staging")
    assert found == [("2024-01-02T00:00:00+00:00", "2"), ("2024-01-02T00:00:01+00:00", "1")]
    assert registry.find("1").aliases == ("staging",)


def version(number: int, *aliases: str, **tags: str) -> Version:
    return from_tags(str(number), tags, aliases)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> list[Version]:
    """Two versions in the registry: 12 serves in staging, 3 is to come after it; and who asks, and when."""
    tags = {"git.commit": "abc", "pull.request": "5", "image.digest": "sha256:1"}
    versions = [version(12, "staging"), version(3, "production", **tags)]
    monkeypatch.setattr(provenance, "actor", lambda: "ada")
    monkeypatch.setattr(git, "committed", lambda commit: f"when {commit} was made")
    monkeypatch.setattr(git, "head", lambda: "f00d")
    monkeypatch.setattr(github, "inside", lambda: True)
    monkeypatch.setattr(github, "run_url", lambda: "https://github.com/a/b/actions/runs/1")
    return versions


def test_an_event_records_the_previous_version_and_its_own(known: list[Version]) -> None:
    event = transitions.event_now(known, "staging", "3", "promote", "r" * 600, 1.23456, outcome="failed")
    assert event == Event(
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
        head="f00d",
        run="https://github.com/a/b/actions/runs/1",
        seconds=1.235,
    )
    assert len(event.time) == len("2024-01-01T00:00:00.000000+00:00")
    assert event.time.endswith("+00:00")


def test_an_event_leaves_unknown_fields_empty(known: list[Version], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "inside", lambda: False)
    known[1] = version(3, "production")
    event = transitions.event_now(known, "development", "3", "run")
    expected = Event(time=event.time, environment="development", version="3", how="run", by="ada")
    assert event == expected
    assert event.outcome == "succeeded"


def test_the_tag_of_an_event_is_named_by_its_moment() -> None:
    event = Event("2024-01-02T03:04:05.000006+00:00", "staging", "3", "promote", by="ada")
    (name, value), *others = event_tags(event).items()
    assert (name, others) == ("staging.event.20240102T030405000006", [])
    assert json.loads(value) == {
        "time": "2024-01-02T03:04:05.000006+00:00",
        "environment": "staging",
        "version": "3",
        "how": "promote",
        "by": "ada",
    }


def test_events_are_read_from_the_tags_of_all_versions_oldest_first() -> None:
    each = [Event(f"2024-01-0{day}T00:00:00.000000+00:00", "staging", "3", "promote") for day in (1, 2, 3)]
    versions = [
        version(3, **{"staging.since": "2024"}, **event_tags(each[2]), **event_tags(each[0])),
        version(12, **event_tags(each[1])),
    ]
    assert events(versions) == each


def test_the_history_is_sorted_by_moment_and_then_by_number() -> None:
    versions = [
        version(10, **{"staging.since": "2024-01-02 2024-01-04", "production.since": "2024-01-01"}),
        version(9, **{"staging.since": "2024-01-02 2024-01-03"}),
        version(8),
    ]
    history = [("2024-01-02", "9"), ("2024-01-02", "10"), ("2024-01-03", "9"), ("2024-01-04", "10")]
    assert served(versions, "staging") == history


def test_a_move_comes_a_second_after_the_newest_one() -> None:
    assert transitions._after([], "staging") == ""
    failed = Event("2024-01-01T02:00:00.700000+00:00", "production", "2", "deploy", outcome="failed")
    known = [
        version(1, **{"staging.since": "2024-01-01T00:00:00+00:00"}),
        version(2, **{"staging.since": "2024-01-01T00:59:59+00:00"}, **event_tags(failed)),
    ]
    assert transitions._after(known, "staging") == "2024-01-01T01:00:00+00:00"
    assert transitions._after(known, "production") == "2024-01-01T02:00:01+00:00"


def test_a_move_comes_after_a_retirement_by_a_clock_that_is_ahead(
    empty_registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so does a failed deployment."""
    made.version("one")
    transitions.move("production", "1", "deploy")
    with monkeypatch.context() as patched:
        patched.setattr(transitions, "datetime", Ahead)
        transitions.retire("production", "the host moves")
    transitions.record_failure("production", "1", "deploy", "it does not start")
    transitions.move("production", "1", "deploy")
    found = [(event.how, event.outcome) for event in events(registry.versions())]
    done = "succeeded"
    assert found == [("deploy", done), ("retire", done), ("deploy", "failed"), ("deploy", done)]


class Ahead(datetime):
    """A clock that is hours ahead."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Ahead":
        return super().now(tz) + timedelta(hours=7)


def test_a_move_is_recorded_with_its_event(empty_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event is never earlier than its moment in the history, and keeps its own time if that is later."""
    made.version("one")
    made.version("two")
    monkeypatch.setattr("delivery.adapters.provenance.now", lambda: "2024-01-01T00:00:00+00:00")
    transitions.move("staging", "1", "deploy", "because", 2.0)
    monkeypatch.setattr("delivery.adapters.provenance.now", lambda: "2099-01-01T00:00:00+00:00")
    transitions.move("staging", "2", "rollback")
    one, two = events(registry.versions())
    assert (one.version, one.how, one.reason, one.seconds, one.before) == ("1", "deploy", "because", 2.0, "")
    assert (two.version, two.how, two.reason, two.seconds, two.before) == ("2", "rollback", "", 0.0, "1")
    assert (one.environment, two.environment, one.outcome) == ("staging", "staging", "succeeded")
    assert "2024-01-01" < one.time < "2099-01-01"
    assert two.time == "2099-01-01T00:00:00+00:00"
    assert registry.find("staging").number == registry.find("2").number
    first = registry.find("1").tags
    assert first["staging.since"] == "2024-01-01T00:00:00+00:00"
    assert len([name for name in first if name.startswith("staging.event.")]) == 1


def test_a_version_that_serves_again_keeps_its_earlier_moments(
    empty_registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.version("one")
    made.version("two")
    tags: list[str] = []

    def record(moment: str) -> dict[str, str]:
        tags.append(moment)
        return {"told": moment}

    for day, number in enumerate(("1", "2", "1"), start=1):
        monkeypatch.setattr("delivery.adapters.provenance.now", lambda day=day: f"2024-01-0{day}T00:00:00+00:00")
        transitions.point("staging", number, record)
    assert tags == [f"2024-01-0{day}T00:00:00+00:00" for day in (1, 2, 3)]
    found = registry.find("1").tags
    assert found["staging.since"] == "2024-01-01T00:00:00+00:00 2024-01-03T00:00:00+00:00"
    assert found["told"] == "2024-01-03T00:00:00+00:00"


def test_an_environment_that_has_the_version_is_not_moved_again(empty_registry: None) -> None:
    made.version("one")
    made.version("two")
    assert transitions.ensure("staging", "1", "promote", "because", 2.0)
    assert not transitions.ensure("staging", "1", "deploy")
    assert transitions.ensure("production", "1", "deploy")
    assert transitions.ensure("staging", "2", "deploy")
    moves = [(event.environment, event.version, event.how) for event in events(registry.versions())]
    assert moves == [("staging", "1", "promote"), ("production", "1", "deploy"), ("staging", "2", "deploy")]
    first, second, _ = events(registry.versions())
    assert (first.reason, first.seconds) == ("because", 2.0)
    assert (second.reason, second.seconds) == ("", 0.0)
    with pytest.raises(Failure, match="no version or alias 3"):
        transitions.ensure("staging", "3", "deploy")


def test_a_move_that_somebody_made_earlier_keeps_its_time_and_its_person(empty_registry: None) -> None:
    made.version("one")
    assert transitions.ensure("staging", "1", "rollback", by="ada", time="2024-01-01T02:03:04.567890+00:00")
    (event,) = events(registry.versions())
    assert (event.by, event.time) == ("ada", "2024-01-01T02:03:04.567890+00:00")
    assert registry.find("1").tags["staging.since"] == "2024-01-01T02:03:04+00:00"


def test_a_retired_environment_has_no_version_and_a_record(empty_registry: None) -> None:
    made.version("one")
    made.version("two")
    for number in ("1", "2"):
        transitions.move("staging", number, "deploy")
    transitions.move("production", "2", "deploy")
    assert transitions.retire("staging", "moved to another host") == "2"
    assert registry.find("2").aliases == ("production",)
    event = events(registry.versions())[-1]
    assert (event.environment, event.version, event.how, event.reason) == (
        "staging",
        "2",
        "retire",
        "moved to another host",
    )
    assert transitions.retire("staging", "again") == ""
    assert len(events(registry.versions())) == 4
    transitions.move("staging", "1", "deploy")
    assert registry.find("staging").number == "1"


def test_a_failed_deployment_and_a_rollback_are_recorded_and_move_nothing(empty_registry: None) -> None:
    made.version("one")
    made.version("two")
    transitions.move("staging", "1", "deploy")
    transitions.record_failure("staging", "2", "canary", "never ready")
    transitions.record_rollback("staging", "1", "too slow")
    _, failed = events(registry.versions())
    assert (failed.version, failed.how, failed.outcome) == ("2", "canary", "failed")
    assert (failed.before, failed.reason) == ("1", "never ready")
    assert rolled_back(registry.find("1"), "staging") == "too slow"
    assert registry.find("staging").number == "1"


@pytest.fixture
def connections(empty_registry: None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that cost a rollback its seconds: one entry for each connection and each list of all versions."""
    requests: list[str] = []
    listed = MlflowClient.search_model_versions

    def search(this: MlflowClient, *words: Any) -> Any:
        requests.append("list")
        return listed(this, *words)

    def connected(uri: str = "") -> Any:
        requests.append("connect")
        return connect(uri)

    connect = client._connect
    monkeypatch.setattr(client, "_connect", connected)
    monkeypatch.setattr(MlflowClient, "search_model_versions", search)
    return requests


def test_a_move_connects_once_and_lists_the_versions_no_more_than_needed(connections: list[str]) -> None:
    """Once to know the version, once before the history is written, and twice around the alias."""
    made.version("one")
    connections.clear()
    transitions.ensure("staging", "1", "rollback")
    assert connections == ["connect", *["list"] * 4]
    connections.clear()
    transitions.ensure("staging", "1", "rollback")
    assert connections == ["connect", "list"]


def test_a_block_uses_one_connection_also_inside_another(connections: list[str]) -> None:
    with registry.connection():
        with registry.connection():
            registry.versions()
        registry.versions()
    assert connections == ["connect", "list", "list"]
    registry.versions()
    registry.versions()
    assert connections[3:] == ["connect", "list"] * 2, "outside of a block each call connects"


def test_a_change_that_lost_a_race_is_repeated(empty_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both the tags and the alias go through `insist`."""
    made.version("one")
    insisted: list[str] = []
    really = client.insist

    def insist(change: Any) -> Any:
        before = dict(registry.find("1").tags), registry.find("1").aliases
        answer = really(change)
        after = dict(registry.find("1").tags), registry.find("1").aliases
        insisted.extend(what for what, old, new in zip(("tags", "alias"), before, after, strict=True) if old != new)
        return answer

    with registry.connection():
        monkeypatch.setattr(client, "insist", insist)
        transitions.point("staging", "1")
    assert insisted == ["tags", "alias"]
