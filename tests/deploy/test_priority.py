"""A version that starts has a lower priority than one that serves, until it is ready."""

from pathlib import Path

import pytest
from host import Site

from delivery.deploy.targets import priority, process, slots
from delivery.deploy.targets.state import Slot

pytestmark = pytest.mark.xdist_group("registry")


def nice(process: int | str) -> int | None:
    """Of the session of a process, as in `/autogroup-12 nice 0`; None where it has had no session since the start of
    the machine: such a one shares the cores out with nobody.
    """
    words = Path(f"/proc/{process}/autogroup").read_text().split()
    return int(words[-1]) if words else None


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(),
    reason="this kernel does not distribute the cores by session, so priorities change nothing",
)
def test_a_version_gives_way_until_it_is_ready_and_the_verb_until_it_ends(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int | None] = []
    real = slots._raise_priority

    def look(folder: Path, slot: Slot) -> None:
        (pid,) = slots.services(folder, slot.name)
        seen.extend((nice("self"), nice(pid)))
        real(folder, slot)
        seen.append(nice(pid))

    monkeypatch.setattr(slots, "_raise_priority", look)
    before = nice("self")
    assert site.deploy("1") == 0
    assert seen == [before if before is None else priority.LOW, priority.LOW, priority.USUAL]
    assert nice("self") in (None, priority.USUAL)
    assert {nice(pid) for pid in process.having(str(site.home / "haproxy.cfg"))} == {priority.USUAL}
