"""An environment has a name that somebody has decided on; and what the registry lacks is written in order."""

from pathlib import Path

import made
import pytest

from delivery.core.errors import Failure
from delivery.deploy import deploy, environments, retire, rollback
from delivery.registry import registry, transitions

PARAMS = made.LEAST_PARAMS + "promote: {branches: {main: test}}\ndeploy: {environments: {edge: {target: process}}}\n"


@pytest.fixture
def named(empty_registry: None) -> None:
    """A project whose params.yaml names `test` and `edge`, and whose registry has the alias `older`."""
    Path("params.yaml").write_text(PARAMS)
    made.version("one")
    transitions.move("older", "1", "deploy")


@pytest.mark.parametrize("name", ["production", "staging", "test", "edge", "older"])
def test_a_name_of_params_or_of_an_alias_is_known(name: str, named: None) -> None:
    environments.refuse_unknown(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("prodution", "did you mean production?"),
        ("oldr", "did you mean older?"),
        ("x", "there are edge, older, production, staging, test"),
    ],
)
def test_an_unknown_environment_is_refused_with_the_nearest_name(name: str, hint: str, named: None) -> None:
    for verb in (lambda: deploy.run("1", name), lambda: rollback.run(name, "", "")):
        with pytest.raises(Failure) as failure:
            verb()
        assert str(failure.value).startswith(f"there is no environment {name}; {hint}")
    assert registry.find("1").aliases == ("older",)


def test_an_environment_that_was_rehearsed_is_retired(named: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[str] = []
    monkeypatch.setattr("delivery.adapters.store.push", lambda message, redo: pushed.append(message))
    text = retire.run("older", "nobody asks it")
    assert text == "`older` is out of service; version 1 was the last one there."
    assert pushed == ["older is retired"]
    assert registry.find("1").aliases == ()
    with pytest.raises(Failure, match="nothing serves older, and it has no version"):
        retire.run("older", "again")


def test_without_a_registry_none_is_made(folder: Path) -> None:
    Path("params.yaml").write_text(PARAMS)
    for verb in (
        lambda: deploy.run("1", "test"), lambda: rollback.run("test", "", ""), lambda: retire.run("test", "gone"),
    ):  # fmt: skip
        with pytest.raises(Failure, match="there is no registry: .store/mlflow/mlflow.db is missing"):
            verb()
    environments.failed("test", "1", "deploy", "never ready")
    assert not Path(".store").exists()
