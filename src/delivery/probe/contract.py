"""Verb `contract`: check that a running service keeps its contract for this model."""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from delivery.core import documents, workspace
from delivery.core.errors import Failure
from delivery.core.manifest import Example, Manifest, Prediction
from delivery.probe.client import Answer, Client

Row = dict[str, Any]  # field to value, as a request


class Finding(Struct, frozen=True):
    """A check of the contract, whether it holds, and what was wrong."""

    check: str
    ok: bool
    detail: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument(
        "url", nargs="?", default="http://127.0.0.1:8000", help="address of the service (default: %(default)s)"
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=workspace.EXPORT,
        help="exported model that the service should be serving (default: artifacts/export)",
    )
    parser.add_argument("--version", help="version that the service should report")


def main(options: argparse.Namespace) -> None:
    """Print every check. Raise `Failure` if one fails."""
    refuse(options.url, options.model, options.version)


def refuse(url: str, model: Path, version: str | None = None, token: str | None = None) -> None:
    """Print every check. Raise `Failure` that names those that fail. Without a `token`, SERVE_TOKEN is used."""
    findings = check(url, model, token or os.environ.get("SERVE_TOKEN"), version)
    for finding in findings:
        print(f"{'pass' if finding.ok else 'FAIL'}  {finding.check}{': ' if finding.detail else ''}{finding.detail}")
    broken = [finding.check for finding in findings if not finding.ok]
    print(f"contract: {len(findings) - len(broken)} of {len(findings)} checks hold at {url}")
    if broken:
        raise Failure(f"{url} breaks its contract: {'; '.join(broken)}")


def check(url: str, model: Path, token: str | None = None, version: str | None = None) -> list[Finding]:
    """Return the finding of every check. Raise `Failure` if there is no service, or no model to compare with."""
    client = Client(url, token)
    manifest = documents.read(model / workspace.MANIFEST, Manifest, "export")
    examples = documents.read(model / workspace.EXAMPLES, list[Example], "export")
    good = max((example.request for example in examples), key=len)
    promised = _promised(client)
    return [
        *_health(client),
        *_identity(client, manifest, version),
        *_known_rows(client, examples, manifest.tolerance, promised.rows),
        *_refusals(client, good, promised),
        *(_ignored(client, good) if promised.tolerant else ()),
        *_tokens(client, good),
    ]


def _health(client: Client) -> Iterator[Finding]:
    for path in ("/health/live", "/health/ready", "/openapi.json", "/docs"):
        answer = client.ask("GET", path)
        yield Finding(f"{path} answers", answer.status == 200, "" if answer.status == 200 else f"{answer.status}")
    answer = client.ask("GET", "/metrics")
    yield Finding("/metrics has model_info", answer.status == 200 and b"model_info{" in answer.body)


def _identity(client: Client, manifest: Manifest, version: str | None) -> Iterator[Finding]:
    about = client.ask("GET", "/version").json() or {}
    served = about.get("model_sha256")
    detail = "" if served == manifest.sha256 else f"{served} is served, {manifest.sha256} expected"
    yield Finding("the model is the expected one", not detail, detail)
    if version:
        reported = about.get("version")
        detail = f"{reported} is reported, {version} expected"
        yield Finding("the version is the expected one", reported == version, detail)


def _known_rows(client: Client, examples: list[Example], tolerance: float, rows: int) -> Iterator[Finding]:
    expected = [example.prediction for example in examples]
    answers = [client.predict(example.request) for example in examples]
    got = [(answer.json() or {}).get("prediction") for answer in answers]
    yield _close(f"{len(examples)} known rows, one by one", got, expected, tolerance)
    batch: list[Any] = []
    for first in range(0, len(examples), rows):  # as many at once as the service takes
        answer = client.predict([example.request for example in examples[first : first + rows]])
        batch += (answer.json() or {}).get("predictions") or []
    yield _close(f"{len(examples)} known rows at once", batch, expected, tolerance)
    expected_headers = {"x-request-id", "x-model-version", "server-timing"}
    absent = ", ".join(sorted(expected_headers - set(answer.headers)))
    yield Finding("headers name request, version and timing", not absent, f"{absent} absent" if absent else "")
    returned = client.predict(examples[0].request, x_request_id="contract-1").headers.get("x-request-id")
    yield Finding("the client's request id comes back", returned == "contract-1", f"{returned}")


def _close(check: str, got: Sequence[Any], expected: Sequence[Prediction], tolerance: float) -> Finding:
    if len(got) != len(expected):
        return Finding(check, False, f"{len(got)} predictions were returned")
    wrong = [index for index, pair in enumerate(zip(got, expected, strict=True)) if not close(*pair, tolerance)]
    if not wrong:
        return Finding(check, True)
    first = wrong[0]
    return Finding(check, False, f"{len(wrong)} differ; row {first} gives {got[first]}, expected {expected[first]}")


def close(one: Any, other: Prediction, tolerance: float) -> bool:
    """Return whether two predictions differ by at most `tolerance`; for multi-class predictions, class by class."""
    if isinstance(other, list):
        return isinstance(one, list) and len(one) == len(other) and all(map(close, one, other, [tolerance] * len(one)))
    return isinstance(one, float | int) and abs(one - other) <= tolerance


class Promised(NamedTuple):
    """What the OpenAPI document states about a request."""

    rows: int  # largest number
    size: int  # largest number of bytes
    required: list[str]
    bounded: list[str]  # the fields with an upper bound
    tolerant: bool  # whether unknown fields are ignored


def _promised(client: Client) -> Promised:
    """Read the OpenAPI document. Raise `Failure` if it does not describe /predict."""
    try:
        document = client.ask("GET", "/openapi.json").json()
        body = document["paths"]["/predict"]["post"]["requestBody"]
        rows = next(
            kind["maxItems"] for kind in body["content"]["application/json"]["schema"]["anyOf"] if "maxItems" in kind
        )
        row = document["components"]["schemas"]["Request"]
        kinds = {name: [field, *field.get("anyOf", [])] for name, field in row["properties"].items()}
        bounds = {"maximum", "exclusiveMaximum"}
        bounded = [name for name, forms in kinds.items() if any(form.keys() & bounds for form in forms)]
        tolerant = row.get("additionalProperties", True) is not False
        return Promised(rows, body["x-max-bytes"], row.get("required", []), bounded, tolerant)
    except (KeyError, TypeError, StopIteration):
        raise Failure("/openapi.json does not describe /predict and its limits; is this another service?") from None


def _refusals(client: Client, good: Row, promised: Promised) -> Iterator[Finding]:
    """Check that each kind of bad input is refused with its status, and that the refusal names row and field."""
    rows, size = promised.rows, promised.size
    text = json.dumps(good).encode()
    number = next(name for name, value in good.items() if isinstance(value, float | int))
    deep = b"[" * 100_000
    cases: list[tuple[str, Any, int, Row]] = [
        ("truncated", text[:-1], 400, {}),
        ("empty", b"", 400, {}),
        ("not UTF-8", text.replace(b"{", b'{"\xff": 1, ', 1), 400, {}),
        ("NaN", json.dumps(good | {number: float("nan")}).encode(), 400, {}),
        ("Infinity", json.dumps(good | {number: float("inf")}).encode(), 400, {}),
        ("nested deeply", deep, 422, {}),
        ("no row", [], 422, {}),
        ("a number for a row", [1], 422, {"row": 0}),
        ("too many rows", [good] * (rows + 1), 422 if len(text) * (rows + 1) < size else 413, {}),
        ("too many bytes", b" " * (size + 1), 413, {}),
    ]
    if rows > 1:
        cases.append(("a wrong type in row 1", [good, good | {number: "many"}], 422, {"row": 1, "field": number}))
    if not promised.tolerant:
        cases.append(("an unexpected field", good | {"surplus": 1}, 422, {"field": "surplus"}))
    for field in promised.required[:1]:
        without = {name: value for name, value in good.items() if name != field}
        cases.append(("a field missing", without, 422, {"field": field}))
    for field in promised.bounded[:1]:
        cases.append(("out of range", good | {field: 1e300}, 422, {"field": field}))
    for name, content, status, members in cases:
        yield _refused(f"refused: {name}", client.predict(content), status, members)
    yield _refused("refused: GET /predict", client.ask("GET", "/predict"), 405, {})
    yield _refused(
        "refused: a wrong content type", client.ask("POST", "/predict", text, {"content-type": "text/csv"}), 415, {}
    )
    yield _refused("refused: an unknown path", client.ask("GET", "/nowhere"), 404, {})


def _ignored(client: Client, good: Row) -> Iterator[Finding]:
    """Check that an unexpected field changes nothing, as the OpenAPI document promises."""
    expected, answer = client.predict(good), client.predict(good | {"surplus": 1})
    same = answer.status == 200 and answer.json() == expected.json()
    yield Finding("ignored: an unexpected field", same, "" if same else f"{answer.status}: {answer.body[:200]!r}")


def _refused(check: str, answer: Answer, status: int, members: Row) -> Finding:
    """Check that the answer is a problem document with this status and these members (RFC 9457)."""
    document = answer.json()
    if answer.status != status:
        return Finding(
            check, False, f"{answer.status} instead of {status}: {answer.body[:200].decode(errors='replace')}"
        )
    if answer.headers.get("content-type") != "application/problem+json" or not isinstance(document, dict):
        return Finding(check, False, "the body is not application/problem+json")
    wrong = {
        name: document.get(name)
        for name, value in ({"status": status} | members).items()
        if document.get(name) != value
    }
    return Finding(check, not wrong, f"the problem document has {wrong}, expected {members}" if wrong else "")


def _tokens(client: Client, good: Row) -> Iterator[Finding]:
    if not client.token:
        return
    anonymous = Client(client.parts.geturl(), None)
    for path in ("/health/live", "/health/ready"):
        yield Finding(f"{path} needs no token", anonymous.ask("GET", path).status == 200)
    yield _refused("refused: /version without a token", anonymous.ask("GET", "/version"), 401, {})
    yield _refused("refused: /predict without a token", anonymous.predict(good), 401, {})
    yield _refused("refused: a wrong token", client.predict(good, authorization="Bearer wrong"), 401, {})
