"""The proxy as a container: the same as the system's program, wherever there is an engine."""

import io
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from host import NAME, Site, failures, wait_for
from sample import change

from delivery.deploy.targets import process, proxy

pytestmark = pytest.mark.xdist_group("registry")


@pytest.fixture
def image(needs_docker: None, needs_haproxy: None) -> Iterator[str]:
    """The system's haproxy with the libraries that it loads, and nothing else."""
    program = shutil.which("haproxy")
    assert program
    loaded = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as tar:
        for path in {program, *(word for word in loaded.split() if word.startswith("/"))}:
            tar.add(path)
    tag = "delivery-test-haproxy"
    command = ["docker", "import", "--change", f"ENV PATH={Path(program).parent}", "-", tag]
    subprocess.run(command, input=packed.getvalue(), check=True, capture_output=True)
    yield subprocess.run(
        ["docker", "inspect", "--format", "{{.Id}}", tag], check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run(["docker", "image", "rm", "--force", tag], check=True, capture_output=True)


def test_deploy_and_roll_back_under_load(image: str, site: Site, capsys) -> None:
    change(site.folder, {"deploy.environments": {NAME: site.place | {"proxy_image": image}}})
    assert site.deploy("1") == 0
    assert proxy.contained(site.home)
    with site.load() as seen:
        assert site.deploy("2") == 0
        assert site.serving() == site.alias() == "2"
        assert site.rollback("--reason", "too slow") == 0
    assert failures(seen) == {}
    assert {"1", "2"} <= set(seen)
    assert site.serving() == site.alias() == "1"
    assert site.run("status") == 0
    subprocess.run(["docker", "kill", proxy._name(site.home)], check=True, capture_output=True)
    wait_for(lambda: not proxy.running(site.home))
    wait_for(lambda: proxy.running(site.home))
    assert site.serving() == "1", "it is back"
    proxy.stop(site.home)
    assert not proxy.contained(site.home)
    assert process.having(str(site.home / "haproxy.cfg")) == []
    assert site.run("status") == 1
    assert "the proxy is down, so nothing answers; `delivery repair staging` starts it" in capsys.readouterr().out
    assert site.deploy("1") == 0
    assert site.serving() == "1"


def test_an_image_that_cannot_be_had_is_named(image: str, site: Site, capsys) -> None:
    gone = "127.0.0.1:9/gone@sha256:" + "0" * 64
    change(site.folder, {"deploy.environments": {NAME: site.place | {"proxy_image": gone}}})
    assert site.deploy("1") == 1
    said = capsys.readouterr().err
    assert "the proxy did not start: " in said
    assert "127.0.0.1:9" in said
    site.nothing()
