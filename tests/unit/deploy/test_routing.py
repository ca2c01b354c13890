"""The lines of HAProxy's file that pick a version, and what is refused before they are written."""

from pathlib import Path
from typing import Any

import pytest

from delivery.core import params
from delivery.core.errors import Failure
from delivery.deploy.targets import host, proxy, routing
from delivery.deploy.targets.host import Host
from delivery.deploy.targets.routing import Routing
from delivery.deploy.targets.state import Slot, State

HEAD = 'fetch: {until: "2013-05"}\ngate: {floors: {}}\n'
OLD, NEW = Slot("blue", 1, "1", ""), Slot("green", 2, "2", "")


def test_without_headers_there_is_nothing_but_chance() -> None:
    text = proxy.config(8000, {"blue": (1, 100)})
    assert "balance random(1)" in text
    assert not any(word in text for word in ("hash-type", "set-header", "use-server", routing.MAP))


def test_a_change_of_headers_is_seen_and_a_change_of_weights_is_not() -> None:
    plain, weighted = (proxy.config(8000, {"blue": (1, weight)}) for weight in (100, 50))
    sticky = proxy.config(8000, {"blue": (1, 100)}, "", Routing("X-Customer"))
    other = proxy.config(8000, {"blue": (1, 100)}, "", Routing("X-Account"))
    chosen = proxy.config(8000, {"blue": (1, 100)}, "", Routing("", "X-Version", {"1": "blue"}))
    assert routing.same(plain, weighted)
    assert not any(routing.same(plain, text) for text in (sticky, other, chosen))
    assert not routing.same(sticky, other)


def test_the_map_is_written_for_those_who_choose_only(tmp_path: Path) -> None:
    assert not routing.written(tmp_path, Routing("X-Customer", "", {"1": "blue"}))
    assert not (tmp_path / routing.MAP).exists()
    choosing = Routing("", "X-Version", {"2": "green", "1": "blue"})
    assert [routing.written(tmp_path, choosing) for _ in range(2)] == [True, False]
    assert (tmp_path / routing.MAP).read_text() == "1 blue\n2 green\n"


def test_versions_can_be_chosen_during_a_canary_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the switch, when callers move to the new version, nor afterwards: the warm version may be a bad one."""
    how: list[Routing] = []
    monkeypatch.setattr(proxy, "apply", lambda *given: how.append(given[-1]))
    settings = params.Environment("process", folder=str(tmp_path), version_header="X-Version")
    target = Host("staging", settings, params.Deploy())
    target.state = State(serving=OLD, candidate=NEW)
    for percent in (10, 98, host.NEARLY, host.WHOLE):
        target.shift(percent)
    target.rest()
    both = {"2": "green", "1": "blue"}
    assert [dict(one.versions) for one in how] == [both, both, {}, {}, {}]
    assert {one.version_header for one in how} == {"X-Version"}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"target": "kubernetes", "sticky_header": "X-Customer"}, "a Service of Kubernetes does not read headers"),
        ({"target": "kubernetes", "version_header": "X-Version"}, "a Service of Kubernetes does not read headers"),
        ({"target": "process", "sticky_header": "X Customer"}, "sticky_header"),
        ({"target": "docker", "version_header": "X-V) -m str 1 }"}, "version_header"),
    ],
)
def test_headers_that_cannot_be_followed_are_refused(environment: dict[str, Any], words: str) -> None:
    row = ", ".join(f"{key}: '{value}'" for key, value in environment.items())
    with pytest.raises(Failure, match=words):
        params.parse(f"{HEAD}deploy: {{environments: {{staging: {{{row}}}}}}}\n")
