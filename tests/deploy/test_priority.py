"""A version that starts beside another gives way to it; once it is ready it is worth as much."""

from pathlib import Path

import pytest
from host import Site

from delivery.deploy.targets import priority, slots
from delivery.deploy.targets.state import Slot

pytestmark = pytest.mark.xdist_group("registry")


def nice(process: int | str) -> int | None:
    """Of the session of a process, as in `/autogroup-12 nice 0`; None where it has had no session since the start of
    the machine: such a one shares the cores out with nobody.
    """
    words = Path(f"/proc/{process}/autogroup").read_text().split()
    return int(words[-1]) if words else None


def test_a_version_gives_way_until_it_is_ready_and_the_verb_until_it_ends(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this kernel does not share the cores out by session: nothing gives way")
    seen: list[int | None] = []
    real = slots._of_full_rank

    def look(folder: Path, slot: Slot) -> None:
        (pid,) = slots.having(str(slots.model(folder, slot.name)))
        seen.extend((nice("self"), nice(pid)))
        real(folder, slot)
        seen.append(nice(pid))

    monkeypatch.setattr(slots, "_of_full_rank", look)
    before = nice("self")
    assert site.deploy("1") == 0
    assert seen == [before if before is None else priority.LOW, priority.LOW, priority.USUAL]
    assert nice("self") in (None, priority.USUAL)
    assert {nice(pid) for pid in slots.having(str(site.home / "haproxy.cfg"))} == {priority.USUAL}
