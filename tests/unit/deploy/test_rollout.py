"""A rollout fails at each of its steps: what served before serves, the candidate is gone, and the failure says so."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy import canary, rollout
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.target import Judge, Release, Target

NEW, OLD = Release("2", "digest-2"), Release("1", "digest-1")
SETTINGS = params.Canary(steps=[50], requests=1)
EXPORTED = Path("exported")


class Memory:
    """A target that keeps what serves in memory, notes each call, and fails in the one called `broken`."""

    environment, address, location = "staging", "http://staging", "at http://staging"
    folder: Path | None = None

    def __init__(self, serving: Release | None = OLD, warm: Release | None = None, broken: str = ""):
        self.now, self.warm, self.broken = serving, warm, broken
        self.candidate: Release | None = None
        self.percent = 0
        self.answers = True
        self.silent: Exception | None = None
        self.error: BaseException = Failure("planted")
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.broken in (name, f"{name} {self.calls.count(name)}"):
            raise self.error

    removed = ""

    def settle(self, pointed: Callable[[], str], *, rolled_back: bool = False) -> None:
        pytest.fail("whoever opens a target has settled it")

    def serving(self) -> str:
        return self.now.version if self.now else ""

    def serves(self, version: str) -> bool:
        if self.silent:
            raise self.silent
        return self.answers and self.serving() == version

    def owed(self) -> bytes:
        return b""

    def owe(self, content: bytes) -> None:
        pytest.fail("whoever starts a rollout keeps its record")

    def start(self, release: Release, exported: Path) -> None:
        assert exported == EXPORTED
        self.candidate = release
        self._call("start")

    def resume(self, version: str) -> Release | None:
        if self.warm and version in ("", self.warm.version):
            self.candidate = self.warm
        self._call("resume")
        return self.candidate

    def check(self) -> None:
        self._call("check")

    def shift(self, percent: int) -> None:
        self._call(f"shift to {percent}")
        self.percent = percent

    def counts(self) -> tuple[Counts, Counts]:
        self._call("counts")
        many = 10.0 * self.calls.count("counts")
        seen = Counts(int(many), 0, many / 1e3, np.array([many, 0]), np.array([1, np.inf]), np.zeros(0), np.zeros(0))
        return seen, seen

    def choice(self) -> str:
        return ""

    def take_over(self, judge: Judge | None) -> None:
        self._call("take over, watched" if judge else "take over")
        self.percent = 100

    def finish(self, *, rolled_back: bool = False) -> str:
        self._call("finish, rolled back" if rolled_back else "finish")
        before, self.now, self.candidate = self.now, self.candidate, None
        return before.version if before else ""

    def remove(self) -> None:
        pytest.fail("a rollout retires nothing")

    def undo(self, *, hurry: bool = False) -> None:
        self.calls.append("undo in a hurry" if hurry else "undo")
        self.candidate, self.percent = None, 0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "TICK", 0)


def deploy(target: Memory, percent: int = 0) -> tuple[str, list[str]]:
    kind: Target = target  # the protocol is met
    return rollout.deploy(kind, NEW, lambda: EXPORTED, percent, SETTINGS, lambda _: target._call("record"))


def roll_back(target: Memory, to: str = "") -> tuple[Release, list[str]]:
    """Roll back to version 1; return it with what was recorded as failed."""
    failed: list[str] = []

    def choose() -> tuple[Release, rollout.Fetch]:
        target._call("choose")
        return OLD, lambda: EXPORTED

    def owe(release: Release, seconds: float) -> None:
        assert seconds >= 0
        target._call(f"owe {release.version}")

    try:
        back = rollout.roll_back(target, to, choose, owe, lambda one, why: failed.append(f"{one.version}: {why}"))
    except Failure as failure:
        failure.add_note(" ".join(failed))
        raise
    return back, failed


def test_a_deployment_goes_in_this_order() -> None:
    target = Memory()
    assert deploy(target) == ("1", [])
    assert target.calls == ["start", "check", "take over, watched", "check", "record", "finish"]
    assert target.serving() == "2"


def test_a_canary_comes_between_the_check_and_the_switch() -> None:
    target = Memory()
    warm, (first, second) = deploy(target, 10)
    assert (warm, first[:14], second[:14]) == ("1", "canary at 10 %", "canary at 50 %")
    looks = ["counts", "counts"]
    steps = ["shift to 10", *looks, "shift to 50", *looks]
    assert target.calls == ["start", "check", *steps, "take over, watched", "check", "record", "finish"]


def test_without_a_version_before_there_is_no_canary() -> None:
    target = Memory(serving=None)
    assert deploy(target, 10) == ("", [rollout.NOTHING_BEFORE])
    assert target.serving() == "2"


DEPLOYING = ["start", "check 1", "shift to 10", "counts 2", "shift to 50", "take over, watched", "check 2", "record"]


@pytest.mark.parametrize("broken", DEPLOYING)
@pytest.mark.parametrize(
    ("error", "text"),
    [(Failure("planted"), "planted"), (OSError("no room\nnor hope"), "no room"), (KeyError("name"), "'name'")],
    ids=["failure", "system", "bug"],
)
def test_whatever_fails_the_old_version_serves(broken: str, error: Exception, text: str) -> None:
    target = Memory(broken=broken)
    target.error = error
    with pytest.raises(Failure) as failure:
        deploy(target, 10)
    assert str(failure.value) == f"{text}; version 1 still serves staging"
    assert (target.serving(), target.candidate, target.percent) == ("1", None, 0)
    assert target.calls[-1] == "undo"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("broken", DEPLOYING)
def test_an_interrupt_restores_the_old_version_and_stays_an_interrupt(
    broken: str, error: BaseException, capsys: pytest.CaptureFixture
) -> None:
    target = Memory(broken=broken)
    target.error = error
    with pytest.raises(type(error)):
        deploy(target, 10)
    assert target.calls[-1] == "undo in a hurry"
    assert (target.serving(), target.candidate, target.percent) == ("1", None, 0)
    assert capsys.readouterr().out.splitlines()[-1] == "staging: version 1 still serves staging"


def test_a_first_deployment_that_fails_says_that_nothing_serves() -> None:
    with pytest.raises(Failure, match=r"^planted; nothing serves staging, as before$"):
        deploy(Memory(serving=None, broken="check"))


def test_an_undo_that_fails_says_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Memory(broken="check")

    def undo(*, hurry: bool) -> None:
        raise Failure("the proxy is gone")

    monkeypatch.setattr(target, "undo", undo)
    with pytest.raises(Failure) as failure:
        deploy(target)
    assert str(failure.value) == (
        "planted; version 1 still serves staging; the next deployment removes what is left of the other one "
        "(the proxy is gone)"
    )


@pytest.mark.parametrize("silent", [None, Failure("kubectl get: no route"), OSError("gone")])
def test_an_old_version_that_does_not_answer_is_not_said_to_serve(silent: Exception | None) -> None:
    target = Memory(broken="check")
    target.answers, target.silent = False, silent
    with pytest.raises(Failure) as failure:
        deploy(target)
    assert str(failure.value) == (
        "planted; version 1 should serve staging and does not answer; see `delivery status staging`"
    )


def test_a_version_whose_final_step_fails_serves_nevertheless() -> None:
    """The alias names it by then; the next command settles the rest."""
    target = Memory(broken="finish")
    with pytest.raises(Failure, match="^planted$"):
        deploy(target)
    assert "undo" not in target.calls


def test_a_warm_version_takes_over_before_anything_else_is_read() -> None:
    target = Memory(serving=NEW, warm=OLD)
    assert roll_back(target) == (OLD, [])
    assert target.calls == ["resume", "take over", "check", "owe 1", "finish, rolled back"]
    assert target.serving() == "1"


def test_on_a_host_the_record_is_kept_before_the_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout.traffic, "refuse", lambda *words, **more: "")
    target = Memory(serving=NEW, warm=OLD)
    target.folder = tmp_path
    assert roll_back(target) == (OLD, [])
    assert target.calls == ["resume", "owe 1", "take over", "check", "owe 1", "finish, rolled back"]


def test_without_a_warm_version_the_registry_says_which_one() -> None:
    target = Memory(serving=NEW)
    assert roll_back(target) == (OLD, [])
    assert target.calls == [
        "resume", "choose", "start", "check", "take over", "check", "owe 1", "finish, rolled back",
    ]  # fmt: skip


def test_an_environment_where_nothing_serves_is_brought_back() -> None:
    target = Memory(serving=None)
    roll_back(target)
    assert target.serving() == "1"


def test_a_version_that_serves_already_is_only_recorded() -> None:
    target = Memory(serving=OLD)
    assert roll_back(target) == (OLD, [])
    assert target.calls == ["resume", "choose", "owe 1"]


@pytest.mark.parametrize(
    ("warm", "broken"),
    [
        (OLD, "take over"), (OLD, "check"), (OLD, "owe 1"),
        (None, "start"), (None, "check 1"), (None, "take over"), (None, "check 2"), (None, "owe 1"),
    ],
)  # fmt: skip
def test_a_rollback_that_fails_leaves_what_served_and_is_recorded(warm: Release | None, broken: str) -> None:
    target = Memory(serving=NEW, warm=warm, broken=broken)
    with pytest.raises(Failure) as failure:
        roll_back(target)
    assert str(failure.value) == "planted; version 2 still serves staging"
    assert failure.value.__notes__ == ["1: planted; version 2 still serves staging"]
    assert (target.serving(), target.candidate, target.percent) == ("2", None, 0)


def test_a_rollback_that_knows_no_version_records_none() -> None:
    target = Memory(serving=NEW, broken="choose")
    with pytest.raises(Failure) as failure:
        roll_back(target)
    assert failure.value.__notes__ == [""]


def test_of_many_files_that_were_not_copied_the_first_is_named() -> None:
    import shutil

    assert rollout.reason(shutil.Error([("a", "b", "no room for b"), ("c", "d", "no room for d")])) == "no room for b"
    assert rollout.reason(ValueError()) == "ValueError"
