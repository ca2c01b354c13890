"""A host watches the version that has taken over: only what it answered since then counts."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import canary
from delivery.deploy.targets import proxy, slots
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.host import NEARLY, WHOLE, Host
from delivery.deploy.targets.state import Slot, State

OLD, NEW = Slot("blue", 1, "1", "digest-1"), Slot("green", 2, "2", "digest-2")


def counts(requests: int, errors: int) -> Counts:
    return Counts(requests, errors, 1.0, np.array([requests, 0]), np.array([1, np.inf]), np.zeros(0), np.zeros(0))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which version 2 is tried next to version 1; the proxy notes its weights."""
    settings = params.Environment(target="process", folder=str(tmp_path))
    host = Host("staging", settings, replace(params.Deploy(), watch_seconds=0))
    host.state = State(serving=OLD, candidate=NEW)
    monkeypatch.setattr(slots, "ready", lambda slot: True)
    return host


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int | str]]:
    """The weight of each slot at every change, and the spare one if there is one."""
    applied: list[dict[str, int | str]] = []

    def apply(folder: Path, port: int, new: proxy.Weights, image: str, spare: str, how: object) -> None:
        applied.append({name: weight for name, (_, weight) in new.items()} | ({"spare": spare} if spare else {}))

    monkeypatch.setattr(proxy, "apply", apply)
    return applied


@pytest.mark.parametrize(("later", "refused"), [(2, False), (10, True)])
def test_errors_from_before_the_switch_do_not_count(
    later: int, refused: bool, host: Host, weights: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter([counts(100, 50), counts(700, 300), counts(300, 50 + later)])
    asked: list[Slot] = []

    def counted(slot: Slot) -> Counts:
        asked.append(slot)
        return next(seen)

    monkeypatch.setattr(host, "counted", counted)
    if refused:
        with pytest.raises(Failure, match="^version 2 after the switch: 10 of 200 requests failed, 0 of 0 before$"):
            host.take_over(canary.judge("2", 0.01))
    else:
        host.take_over(canary.judge("2", 0.01))
    assert asked == [NEW, OLD, NEW]
    assert weights == [{"green": NEARLY, "blue": WHOLE - NEARLY}], "the old version stays within reach"


def test_refusals_are_compared_with_the_old_version_since_the_candidate_was_started(
    host: Host, weights: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of its 300 refusals are older than the deployment."""
    refused = [{}, {"422": 300}, {"422": 100}]
    seen = iter([replace(counts(100 * turn, 0), refused=kinds) for turn, kinds in enumerate(refused, 1)])
    monkeypatch.setattr(host, "counted", lambda slot: next(seen))
    host.before = replace(counts(100, 0), refused={"422": 300})
    with pytest.raises(
        Failure, match="^version 2 after the switch: 100 of 200 requests were answered 422, 0 of 100 before$"
    ):
        host.take_over(canary.judge("2", 0.01))


def test_an_old_version_that_does_not_answer_is_compared_with_by_nobody(
    host: Host, weights: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(slot: Slot) -> Counts:
        if slot is OLD:
            raise Failure("version 1 does not show its metrics")
        return counts(100, 0)

    monkeypatch.setattr(host, "counted", counted)
    host.take_over(canary.judge("2", 0.01))


def test_without_a_judge_everything_goes_over_at_once(host: Host, weights: list) -> None:
    host.take_over(None)
    assert weights == [{"green": WHOLE, "blue": 0}]


def test_a_candidate_that_is_not_ready_any_more_is_refused(
    host: Host, weights: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "counted", lambda slot: counts(100, 0))
    monkeypatch.setattr(slots, "ready", lambda slot: False)
    monkeypatch.setattr(slots, "last_line", lambda folder, slot: "killed")
    with pytest.raises(Failure, match="^version 2 is not ready any more: killed$"):
        host.take_over(lambda since, before: "")


@pytest.mark.parametrize(("rolled_back", "spare"), [(False, {"spare": "blue"}), (True, {})])
def test_the_warm_version_is_the_spare_one_unless_it_was_rolled_back(
    rolled_back: bool, spare: dict, host: Host, weights: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "drained", lambda *_: True)
    assert host.finish(rolled_back=rolled_back) == "1"
    assert weights == [{"green": WHOLE, "blue": 0} | spare]
