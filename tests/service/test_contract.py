"""The contract: a good service passes, and each planted defect is found by the check that is meant for it."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from answering import answering
from live import Service, ask, configured, serving

from delivery.core.errors import Failure
from delivery.probe import contract


def broken(url: str, model: Path, **more: str) -> set[str]:
    return {finding.check for finding in contract.check(url, model, **more) if not finding.ok}


def test_a_good_service_passes(service: Service, exported: Path) -> None:
    assert broken(service.url, exported, version="7") == set()


def test_with_a_token_its_refusals_are_checked_too(exported: Path) -> None:
    with serving(exported, SERVE_TOKENS="secret") as service:
        findings = contract.check(service.url, exported, "secret")
        assert [finding for finding in findings if not finding.ok] == []
        assert "refused: /predict without a token" in {finding.check for finding in findings}


def test_another_version_is_found(service: Service, exported: Path) -> None:
    assert broken(service.url, exported, version="8") == {"the version is the expected one"}


def altered(exported: Path, folder: Path, name: str, change: Callable[[str], str]) -> Path:
    copy = shutil.copytree(exported, folder / "export")
    path = copy / name
    path.write_text(change(path.read_text()))
    return copy


def test_another_model_is_found(service: Service, exported: Path, tmp_path: Path) -> None:
    digest = json.loads((exported / "manifest.json").read_text())["sha256"]
    other = altered(exported, tmp_path, "manifest.json", lambda text: text.replace(digest, "0" * 64))
    assert broken(service.url, other) == {"the model is the expected one"}


def test_a_wrong_prediction_is_found(service: Service, exported: Path, tmp_path: Path) -> None:
    def change(text: str) -> str:
        examples = json.loads(text)
        by = 2 * json.loads((exported / "manifest.json").read_text()).get("tolerance", 1e-6)
        moved = np.asarray(examples[3]["prediction"]) + by
        examples[3]["prediction"] = moved.tolist()
        return json.dumps(examples)

    other = altered(exported, tmp_path, "examples.json", change)
    found = [finding for finding in contract.check(service.url, other) if not finding.ok]
    assert len(found) == 2
    assert all("row 3" in finding.detail for finding in found)


class Front(BaseHTTPRequestHandler):
    """Forward to the real service and spoil its answers."""

    real = ""
    spoil: Callable[[str, str, int, dict, bytes], tuple[int, dict, bytes]]

    def do_GET(self) -> None:
        self.hand_on(None)

    def do_POST(self) -> None:
        self.hand_on(self.rfile.read(int(self.headers["content-length"])))

    def hand_on(self, body: bytes | None) -> None:
        names = ("content-type", "authorization", "x-request-id")
        headers = {name.replace("-", "_"): self.headers[name] for name in names if self.headers[name]}
        answer = ask(self.real + self.path, body, **headers)
        status, said, content = type(self).spoil(self.command, self.path, answer.status, answer.headers, answer.body)
        self.send_response(status)
        for name, value in (said | {"content-length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def spoiled(service: Service, spoil: Callable) -> Iterator[str]:
    handler = type("Spoiled", (Front,), {"real": service.url, "spoil": staticmethod(spoil)})
    with answering(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url


@pytest.mark.parametrize("rows", [1, 3])
def test_a_service_that_takes_few_rows_at_once_passes(exported: Path, tmp_path: Path, rows: int) -> None:
    with serving(exported, folder=configured(tmp_path, max_rows=rows)) as strict:
        assert [finding for finding in contract.check(strict.url, exported) if not finding.ok] == []


@pytest.mark.parametrize("unknown_fields", ["ignore", "warn"])
def test_a_service_that_ignores_unknown_fields_passes(exported: Path, tmp_path: Path, unknown_fields: str) -> None:
    with serving(exported, folder=configured(tmp_path, unknown_fields=unknown_fields)) as tolerant:
        findings = contract.check(tolerant.url, exported)
        assert [finding for finding in findings if not finding.ok] == []
        checks = {finding.check for finding in findings}
        assert "ignored: an unexpected field" in checks
        assert "refused: an unexpected field" not in checks


DEFECTS = {
    "accepts everything": (
        lambda verb, path, status, headers, body: (
            (200, headers, body) if path == "/predict" else (status, headers, body)
        ),
        "refused: an unexpected field",
    ),
    "refuses without the form": (
        lambda verb, path, status, headers, body: (status, headers | {"content-type": "text/plain"}, body),
        "refused: truncated",
    ),
    "names another row": (
        lambda verb, path, status, headers, body: (status, headers, body.replace(b'"row":1', b'"row":2')),
        "refused: a wrong type in row 1",
    ),
    "is not ready": (
        lambda verb, path, status, headers, body: (503 if path == "/health/ready" else status, headers, body),
        "/health/ready answers",
    ),
    "hides the version": (
        lambda verb, path, status, headers, body: (
            status,
            {k: v for k, v in headers.items() if k != "x-model-version"},
            body,
        ),
        "headers name request, version and timing",
    ),
    "fails on an array": (
        lambda verb, path, status, headers, body: (
            (500, headers, b"") if body.startswith(b'{"predictions"') else (status, headers, body)
        ),
        "24 known rows at once",
    ),
    "promises to ignore what it refuses": (
        lambda verb, path, status, headers, body: (
            (status, headers, body.replace(b'"additionalProperties":false', b'"additionalProperties":true'))
            if path == "/openapi.json"
            else (status, headers, body)
        ),
        "ignored: an unexpected field",
    ),
    "has no metrics": (
        lambda verb, path, status, headers, body: (status, headers, b"" if path == "/metrics" else body),
        "/metrics has model_info",
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found(service: Service, exported: Path, name: str) -> None:
    spoil, check = DEFECTS[name]
    with spoiled(service, spoil) as url:
        assert check in broken(url, exported)


def test_another_service_is_recognised(service: Service, exported: Path) -> None:
    def other(verb: str, path: str, status: int, headers: dict, body: bytes) -> tuple:
        return status, headers, b"{}" if path == "/openapi.json" else body

    with spoiled(service, other) as url, pytest.raises(Failure, match="is this another service"):
        contract.check(url, exported)


@pytest.mark.parametrize(
    ("url", "words"), [("http://127.0.0.1:9", "does not answer"), ("localhost:80", "is not the address of a service")]
)
def test_a_missing_service_is_named(exported: Path, url: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        contract.check(url, exported)
