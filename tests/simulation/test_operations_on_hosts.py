"""What an operator repairs goes on serving, and what is retired does not; a verb that breaks this is found."""

import pytest

from delivery.deploy import retire
from delivery.deploy.targets import mending
from simulation.world import Action
from simulation.year import perform

DEPLOY = Action("deploy", value="staging", environment="production")
REPAIR, RETIRE = Action("repair"), Action("retire")


def broken(*actions: Action) -> str:
    violation = perform([*actions]).violation
    return violation.rule if violation else ""


def test_production_is_repaired_and_retired_and_comes_back() -> None:
    killed = DEPLOY._replace(fault=("killed", 22))
    changed = Action("change", value="1000007")
    history = perform([DEPLOY, changed, killed, REPAIR, RETIRE, REPAIR, RETIRE, DEPLOY, REPAIR])
    assert history.violation is None, history.violation
    served = [line.partition("production=")[2].partition(" ")[0] for line in history.lines if "deploy by" in line]
    assert [served[0], *served[2:]] == ["1", "2", "3"]  # the second one was killed


def test_a_repair_that_stops_what_serves_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(target: object, _: object) -> list[str]:
        target.remove()  # type: ignore[attr-defined]
        return []

    monkeypatch.setattr(mending, "mend", stop)
    assert broken(DEPLOY, REPAIR) == "a repair keeps what serves"


def test_an_environment_that_is_retired_by_halves_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retire, "unpoint", lambda *_: "1")
    assert broken(DEPLOY, RETIRE) == "what is retired serves no more"
