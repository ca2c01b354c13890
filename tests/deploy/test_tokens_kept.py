"""A service that asks for a token goes on asking, whoever deploys or rolls back, and nobody needs to know one."""

import json
import urllib.error
import urllib.request

import pytest
from host import Site, kill, wait_for
from sample import change

from delivery.deploy.targets import slots, state

pytestmark = pytest.mark.xdist_group("registry")


def answer(site: Site, token: str = "") -> int:
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    body = json.dumps(site.rows[0]).encode()
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{site.port}/predict", body, headers)
        with urllib.request.urlopen(request, timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_no_omission_opens_a_service(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_TOKENS", "first")
    assert site.deploy("1") == 0
    monkeypatch.delenv("SERVE_TOKENS")
    assert site.deploy("2") == 0, "from a shell that knows no token"
    assert (answer(site), answer(site, "first")) == (401, 200)
    assert site.rollback() == 0, "to a warm slot that asks for a token"
    assert site.serving_version("first") == "1"
    assert (answer(site), answer(site, "first")) == (401, 200)


def test_a_revoked_token_does_not_return_with_a_rollback(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_TOKENS", "revoked")
    assert site.deploy("1") == 0
    monkeypatch.setenv("SERVE_TOKENS", "new")
    assert site.deploy("2") == 0
    monkeypatch.delenv("SERVE_TOKENS")
    warm = state.read(site.home).warm
    assert warm
    assert warm.version == "1"
    assert site.rollback() == 0
    assert site.serving_version("new") == "1"
    assert (answer(site, "revoked"), answer(site, "new")) == (401, 200)


def test_a_deployment_that_is_refused_changes_no_token(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients come without a token, so a version that wants one is taken back; what serves must not want it after a kill."""
    assert site.deploy("1") == 0
    with site.load() as seen:
        wait_for(lambda: seen["1"] > 20)
        monkeypatch.setenv("SERVE_TOKENS", "first")
        change(site.folder, {"deploy.watch_seconds": 20})
        assert site.deploy("2") == 1
        monkeypatch.delenv("SERVE_TOKENS")
    serving = state.read(site.home).serving
    assert serving
    kill(str(slots.model(site.home, serving.name)))
    assert site.run("repair", "staging") == 0
    assert answer(site) == 200
    assert not [path.name for path in site.home.glob("access*")]
    change(site.folder, {"deploy.watch_seconds": 0.3})
    assert site.deploy("2") == 0
    assert answer(site) == 200


def test_a_person_may_open_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_TOKENS", "first")
    assert site.deploy("1") == 0
    monkeypatch.delenv("SERVE_TOKENS")
    monkeypatch.setenv("SERVE_OPEN", "yes")
    assert site.deploy("2") == 0
    assert answer(site) == 200
