"""The monitoring configuration against a real Prometheus: valid, and every panel shows data after some load."""

import json
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from live import ask, serving
from sample import ROOT
from test_access import wait_until

from delivery.deploy.targets.loopback import free_port
from problem import CATEGORIES

pytestmark = pytest.mark.xdist_group("monitoring")  # one Prometheus for all of them
FOLDER = ROOT / "deploy" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [
    pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
    if CATEGORIES or "feature_unknown" not in target["expr"]  # numbers alone cannot be unknown
]


def test_configuration_and_alerts_are_valid(needs_prometheus: None) -> None:
    subprocess.run(["promtool", "check", "config", FOLDER / "prometheus.yml"], check=True, capture_output=True)
    subprocess.run(["promtool", "check", "rules", FOLDER / "alerts.yml"], check=True, capture_output=True)


@pytest.fixture(scope="module")
def scraped(needs_prometheus: None, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that sees a service under some load."""
    folder = tmp_path_factory.mktemp("prometheus")
    good = max((example["request"] for example in json.loads((exported / "examples.json").read_text())), key=len)
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "1s"}
    shutil.copy(FOLDER / "alerts.yml", folder)
    address = f"127.0.0.1:{free_port()}"
    with serving(exported, "--log", str(folder / "log")) as service:
        settings["scrape_configs"][0]["static_configs"][0]["targets"] = [service.url.removeprefix("http://")]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        with subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL) as prometheus:
            try:
                wait_until(lambda: query(f"http://{address}", 'up{job="delivery"} == 1') != [], seconds=30)
                with load(service.url, good):
                    yield f"http://{address}"
            finally:
                prometheus.kill()


@contextmanager
def load(url: str, good: dict[str, Any]) -> Iterator[None]:
    """Requests all the while: a rate over a minute is of the last one, however slow the machine is."""
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.wait(0.1):
            for body in (good, [good, good], {}):
                ask(f"{url}/predict", body)

    thread = threading.Thread(target=keep_asking)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def query(url: str, expression: str) -> list[dict[str, Any]]:
    try:
        answer = ask(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    except OSError:
        return []
    return answer.json["data"]["result"] if answer.status == 200 else []


@pytest.mark.parametrize("expression", PANELS)
def test_each_panel_shows_data(scraped: str, expression: str) -> None:
    def numbers() -> bool:
        return any(result["value"][1] != "NaN" for result in query(scraped, expression))

    wait_until(numbers, seconds=30)


def test_alerts_are_evaluated_and_name_metrics_that_exist(scraped: str) -> None:
    names = {sample["metric"]["__name__"] for sample in query(scraped, '{job="delivery"}')}
    rules = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    for rule in rules:
        assert any(name in rule["expr"] for name in names | {"up"}), rule["alert"]
    wait_until(lambda: {rule["health"] for rule in alerts(scraped)} == {"ok"}, seconds=20)


def alerts(url: str) -> list[dict[str, Any]]:
    groups = ask(f"{url}/api/v1/rules").json["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_dashboard_is_whole() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["datasource"]["uid"] == "prometheus" for panel in DASHBOARD["panels"])
    parts = yaml.safe_load((FOLDER / "grafana.yml").read_text())
    assert parts["datasources"][0]["uid"] == "prometheus"
