"""A metric of the team's own, asked of a real Prometheus, decides about a canary."""

import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from answering import answering
from host import EQUAL, Site, failures, wait_for
from sample import change

from delivery.adapters import prometheus
from delivery.core.errors import Failure
from delivery.deploy.targets.loopback import free_port

pytestmark = pytest.mark.xdist_group("registry")
QUERY = 'bookings{version="$version", environment="$environment"} / on() bookings{version="$before"}'


class Shop(BaseHTTPRequestHandler):
    """What a team's application counts: bookings by the version whose prediction was shown."""

    def do_GET(self) -> None:
        server: Any = self.server
        lines = [f'bookings{{version="{name}",environment="staging"}} {n}' for name, n in server.bookings.items()]
        body = "".join(f"{line}\n" for line in ["# TYPE bookings gauge", *lines]).encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Shop)
    server.bookings = {"1": 100, "2": 95, "3": 40}
    with answering(server):
        yield server


@pytest.fixture
def metrics(needs_prometheus: None, shop: Any, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that has seen the shop's bookings."""
    targets = [{"targets": [f"127.0.0.1:{shop.server_port}"]}]
    settings = {"scrape_configs": [{"job_name": "shop", "scrape_interval": "500ms", "static_configs": targets}]}
    settings["scrape_configs"][0]["scrape_timeout"] = "500ms"
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(settings))
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL) as server:
        try:
            wait_for(lambda: known(f"http://{address}"), 60)
            yield f"http://{address}"
        finally:
            server.kill()


def known(address: str) -> bool:
    try:
        return prometheus.value(address, 'bookings{version="3"}') > 0
    except Failure:
        return False


def setup(site: Site, address: str, **metric: object) -> None:
    bookings = {"query": QUERY, "limit": 0.9, "worse": "below"} | metric
    change(site.folder, {"deploy.prometheus": address, "deploy.metrics": {"bookings": bookings}})
    site.canary(requests=40, seconds=60, hold_seconds=60, **EQUAL)


def test_a_canary_passes_by_a_metric_and_fails_by_it(site: Site, metrics: str, capsys) -> None:
    setup(site, metrics)
    assert site.deploy("1") == 0
    with site.load() as seen:
        assert site.deploy("2", "--canary", "50%") == 0
        site.settled("2")
        assert site.rollback() == 0
        setup(site, metrics, limit=0.96)
        assert site.deploy("2", "--canary", "50%") == 1
        site.settled("1")
    assert (
        "canary at 50 %: metric bookings is 0.95, below its limit 0.96; version 1 still serves"
        in capsys.readouterr().err
    )
    assert failures(seen) == {}


def test_a_canary_is_held_while_the_metric_is_not_known(site: Site, capsys) -> None:
    """Nothing listens where Prometheus should; the version is as good as the other and does not pass."""
    address = f"http://127.0.0.1:{free_port()}"
    setup(site, address)
    site.canary(requests=40, seconds=20, hold_seconds=1, **EQUAL)
    assert site.deploy("1") == 0
    with site.load() as seen:
        assert site.deploy("2", "--canary", "50%") == 1
        site.settled("1")
    printed = capsys.readouterr()
    assert f"metric bookings is not known: {address} does not answer" in printed.err
    assert "It is held at 50 %" in printed.out
    assert failures(seen) == {}
