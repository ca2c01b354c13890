"""Clients send a field that another version refuses: a rollback to it, and a deployment of it, stop before they switch."""

import json
import re
import time

import pytest
from host import Site, failures, wait_for

from delivery.deploy.targets import state

pytestmark = pytest.mark.xdist_group("registry")


def clients_send(site: Site, count: int, **fields: object) -> None:
    """Requests that the version that serves has accepted: they are in its log. Its own file, next to the service's."""
    serving = state.read(site.home).serving
    assert serving
    row = site.rows[0] | fields
    line = {"time": time.time(), "id": "a", "version": serving.version, "rows": [row], "scores": [0.5]}
    log = site.home / "predictions" / serving.name / "predictions-test.jsonl"
    log.write_text((json.dumps(line) + "\n") * count)


def test_a_rollback_stops_and_goes_on_if_it_is_wanted_anyway(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.deploy("1") == 0
    assert site.deploy("2") == 0
    with site.load() as seen:
        wait_for(lambda: seen["2"] > 20)
        clients_send(site, 400, gate_number=7)
        assert site.rollback() == 1
        said = capsys.readouterr().err
        assert "version 1 refuses" in said
        assert "gate_number is unknown" in said
        assert said.rstrip().endswith("version 2 still serves staging")
        site.settled("2")
        assert site.rollback("--anyway") == 0
    assert not failures(seen)
    assert "you want it anyway" in capsys.readouterr().out
    site.settled("1")


def test_a_deployment_stops_before_it_gets_a_request(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.deploy("1") == 0
    clients_send(site, 50, gate_number=7)
    with site.load() as seen:
        assert site.deploy("2", "--canary", "50%") == 1
    assert "version 2 refuses" in capsys.readouterr().err
    assert "2" not in seen
    assert not failures(seen)
    site.settled("1")


def test_requests_that_are_accepted_are_counted(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.deploy("1") == 0
    clients_send(site, 50)
    assert site.deploy("2") == 0
    found = re.search(r"version 2 accepts (\d+) of the last (\d+) requests", capsys.readouterr().out)
    assert found
    assert found[1] == found[2]
    assert int(found[1]) >= 50, "the contract's own requests are in the log, too"
