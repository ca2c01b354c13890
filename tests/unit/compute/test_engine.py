"""Where work runs: on this machine unless params.yaml sets a cluster, and with the same code everywhere."""

import os
import sys
from pathlib import Path

import pytest

from delivery.compute import engine
from delivery.core.errors import Failure


def test_on_this_machine_work_is_done_one_by_one(folder: Path) -> None:
    asked = []

    def work(item: str) -> str:
        asked.append(item)
        return item.upper()

    some = engine.as_done(work, ["a", "b", "c"], "memory")
    assert next(some) == (0, "A")
    assert asked == ["a"], "nothing is done ahead"
    assert list(some) == [(1, "B"), (2, "C")]


def test_without_cpu_affinity_all_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert engine.cores() == 3


def test_a_result_that_is_early_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "as_done", lambda *_: iter([(2, "c"), (0, "a"), (3, "d"), (1, "b")]))
    assert list(engine.in_order(str, "abcd", "tcp://there:1")) == list("abcd")


@pytest.mark.parametrize("name", ["dask", "tcp://scheduler:8786"])
def test_without_the_set_scale_one_line_names_the_fix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        Failure, match=f"^engine is {name} and the set `scale` is not installed: run `make scale`, or set"
    ):
        list(engine.as_done(str, "a", name))


def test_a_worker_started_before_the_code_changed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.here(folder, engine.code())
    new = folder / "new.py"
    new.touch()
    monkeypatch.setattr(engine, "sources", lambda: [new])
    with pytest.raises(Failure, match="was started before the code was changed; restart the workers"):
        engine.here(folder, engine.code())


def test_the_digest_of_the_code_depends_on_its_content_and_not_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for place, text in (("one", "a"), ("two", "a"), ("two", "b")):
        file = folder / place / "delivery" / "x.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        monkeypatch.setattr(engine, "sources", lambda file=file: [file])
        engine.code.cache_clear()
        digests.append(engine.code())
    engine.code.cache_clear()
    assert digests[0] == digests[1] != digests[2]
