"""Moves: the history of an environment loses none, and its alias is where the history says."""

import made
import pytest
from mlflow import MlflowClient

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
