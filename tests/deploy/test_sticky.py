"""During a canary a caller sees one version, or the one that it asks for; afterwards everybody sees the same."""

import json
import os
from http.client import HTTPConnection

import pytest
from host import NAME, Site, failures, wait_for
from sample import change

from delivery.core.errors import Failure
from delivery.deploy.targets import proxy

pytestmark = pytest.mark.xdist_group("registry")


def versions(site: Site, times: int, **headers: str) -> set[str]:
    """The versions that answer somebody with these headers."""
    given = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    seen = set()
    connection = HTTPConnection("127.0.0.1", site.port, timeout=20)
    for _ in range(times):
        connection.request("POST", "/predict", json.dumps(site.rows[0]), given)
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200
        seen.add(reply.headers["x-model-version"])
    connection.close()
    return seen


def weight(site: Site) -> str:
    """The weight of the new version's slot; nothing while the proxy reads its file again."""
    try:
        return proxy.counters(site.home)["green"]["weight"]
    except (Failure, KeyError):
        return ""


def test_callers_of_a_canary(site: Site, capsys) -> None:
    assert site.deploy("1") == 0
    headers = {"sticky_header": "X-Customer", "version_header": "X-Model-Version"}
    change(site.folder, {"deploy.environments": {NAME: site.place | headers}})  # the proxy runs without them
    site.canary(requests=100_000, seconds=120)
    with site.load() as seen:
        verb = site.begun("deploy", "2", NAME, "--canary", "50%")
        wait_for(lambda: weight(site) == "50", 60)
        wait_for(lambda: versions(site, 20, x_model_version="2") == {"2"})
        assert versions(site, 20, x_model_version="1") == {"1"}
        callers = {f"customer-{number}": versions(site, 10, x_customer=f"customer-{number}") for number in range(20)}
        assert {len(found) for found in callers.values()} == {1}
        assert set().union(*callers.values()) == {"1", "2"}
        assert site.run("steer", NAME, "--end") == 0
        assert os.waitstatus_to_exitcode(os.waitpid(verb, 0)[1]) == 1
        site.settled("1")
        for given in ({"x_model_version": "2"}, *({"x_customer": caller} for caller in callers)):
            assert versions(site, 5, **given) == {"1"}
    assert failures(seen) == {}
    assert seen["2"] > 0
