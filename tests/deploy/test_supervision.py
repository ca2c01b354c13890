"""The process that serves is killed: the warm version answers meanwhile, and its supervisor brings it back."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from host import Site, failures, wait_for

from delivery.deploy.targets import process, proxy, slots, state

pytestmark = pytest.mark.xdist_group("registry")

BACK = (
    5.0  # seconds that the supervisor and the proxy may take; the start of a version takes as long as the machine needs
)


def serves(site: Site, version: str) -> bool:
    try:
        return site.serving() == version
    except OSError:
        return False


def started_again(ids: Callable[[], list[int]], killed: list[int]) -> None:
    """The supervisor starts what was killed just now again, soon."""
    begun = time.monotonic()
    wait_for(lambda: set(ids()) - set(killed))
    assert time.monotonic() - begun < BACK


def back(site: Site, version: str, killed: int) -> None:
    """The version is started again, and serves soon after it is ready."""
    now = state.read(site.home).serving
    assert now
    started_again(lambda: slots.services(site.home, now.name), [killed])
    wait_for(lambda: slots.ready(now))
    begun = time.monotonic()
    wait_for(lambda: serves(site, version))
    assert time.monotonic() - begun < BACK


def test_only_requests_in_flight_fail_and_the_warm_version_answers_until_it_is_back(site: Site) -> None:
    clients = 64
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    with site.load(clients) as seen:
        wait_for(lambda: seen["2"] > 4 * clients)
        back(site, "2", site.kill("2"))
        wait_for(lambda: seen["1"] > clients)
        again = seen["2"]
        wait_for(lambda: seen["2"] > again + 4 * clients)
    assert sum(failures(seen).values()) <= clients
    site.settled("2")


def test_a_proxy_that_is_killed_is_back(site: Site) -> None:
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    killed = process.having(str(site.home / "haproxy.cfg"), proxy.WORKERS)
    for pid in killed:
        with suppress(ProcessLookupError):  # a worker ends with its master
            os.kill(pid, signal.SIGKILL)
    started_again(lambda: process.having(str(site.home / "haproxy.cfg"), proxy.WORKERS), killed)
    wait_for(lambda: not set(killed) & set(process.having(str(site.home / "haproxy.cfg"))))
    wait_for(lambda: serves(site, "2"))
    with site.load() as seen:
        assert site.rollback() == 0  # the new one takes orders
    site.settled("1")
    assert failures(seen) == {}


def test_a_process_without_a_warm_one_is_back(site: Site) -> None:
    assert site.deploy("1") == 0
    back(site, "1", site.kill("1"))
    site.settled("1")


def test_a_version_that_was_rolled_back_answers_nobody(site: Site) -> None:
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    assert site.rollback() == 0
    with site.load() as seen:
        killed = site.kill("1")
        wait_for(lambda: failures(seen))  # for as long as nobody may answer
        back(site, "1", killed)
    assert "2" not in seen
    site.settled("1")


def test_a_slot_that_is_stopped_stays_stopped(site: Site) -> None:
    assert site.deploy("1") == 0
    serving = state.read(site.home).serving
    assert serving
    assert len(process.having(str(slots.model(site.home, serving.name)))) == 2  # the service and its supervisor
    slots.stop(site.home, serving.name, engine=False)
    time.sleep(1.5)  # a supervisor would have started it again
    assert not process.having(str(slots.model(site.home, serving.name)))
    assert not list(site.home.glob(f"{serving.name}.*"))
