"""Verb `contract`: does a running service keep what it promises, for this model?"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from delivery.core.errors import Failure
from delivery.core.files import read_json
from delivery.probe.client import Answer, Client


class Finding(NamedTuple):
    check: str
    ok: bool
    detail: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000", help="address of the service")
    parser.add_argument("--model", type=Path, default=Path("artifacts/export"), help="the model it should serve")
    parser.add_argument("--version", help="the version it should say it is")


def main(options: argparse.Namespace) -> None:
    refuse(options.url, options.model, options.version)


def refuse(url: str, model: Path, version: str | None = None) -> None:
    """Prints every check, and raises Failure when one does not hold."""
    findings = check(url, model, os.environ.get("SERVE_TOKEN"), version)
    for finding in findings:
        print(f"{'pass' if finding.ok else 'FAIL'}  {finding.check}{': ' if finding.detail else ''}{finding.detail}")
    broken = [finding.check for finding in findings if not finding.ok]
    print(f"contract: {len(findings) - len(broken)} of {len(findings)} checks hold at {url}")
    if broken:
        raise Failure(f"{url} breaks its contract: {'; '.join(broken)}")


def check(url: str, model: Path, token: str | None = None, version: str | None = None) -> list[Finding]:
    """Every check with its finding. Raises Failure when there is no service or no model to compare with."""
    client = Client(url, token)
    manifest = read_json(model / "manifest.json", "export")
    examples = read_json(model / "examples.json", "export")
    good = max((example["request"] for example in examples), key=len)
    return [
        *_health(client),
        *_identity(client, manifest, version),
        *_known_rows(client, examples, manifest.get("tolerance", 1e-6)),
        *_refusals(client, good, _promised(client)),
        *_tokens(client, good),
    ]


def _health(client: Client) -> Iterator[Finding]:
    for path in ("/health/live", "/health/ready", "/openapi.json", "/docs"):
        answer = client.ask("GET", path)
        yield Finding(f"{path} answers", answer.status == 200, "" if answer.status == 200 else f"{answer.status}")
    answer = client.ask("GET", "/metrics")
    yield Finding("/metrics has model_info", answer.status == 200 and b"model_info{" in answer.body)


def _identity(client: Client, manifest: dict, version: str | None) -> Iterator[Finding]:
    about = client.ask("GET", "/version").json() or {}
    served = about.get("model_sha256")
    detail = "" if served == manifest["sha256"] else f"{served} is served, {manifest['sha256']} expected"
    yield Finding("the model is the expected one", not detail, detail)
    if version:
        said = about.get("version")
        yield Finding("the version is the expected one", said == version, f"says {said}, expected {version}")


def _known_rows(client: Client, examples: list[dict], tolerance: float) -> Iterator[Finding]:
    expected = [example["prediction"] for example in examples]
    answers = [client.predict(example["request"]) for example in examples]
    got = [(answer.json() or {}).get("prediction") for answer in answers]
    yield _close(f"{len(examples)} known rows, one by one", got, expected, tolerance)
    answer = client.predict([example["request"] for example in examples])
    yield _close(
        f"{len(examples)} known rows at once", (answer.json() or {}).get("predictions") or [], expected, tolerance
    )
    wanted = {"x-request-id", "x-model-version", "server-timing"}
    absent = ", ".join(sorted(wanted - set(answer.headers)))
    yield Finding("headers name request, version and timing", not absent, f"{absent} absent" if absent else "")
    named = client.predict(examples[0]["request"], x_request_id="contract-1").headers.get("x-request-id")
    yield Finding("the client's request id comes back", named == "contract-1", f"{named}")


def _close(check: str, got: list, expected: list, tolerance: float) -> Finding:
    if len(got) != len(expected):
        return Finding(check, False, f"{len(got)} predictions came back")
    wrong = [place for place, pair in enumerate(zip(got, expected, strict=True)) if not close(*pair, tolerance)]
    if not wrong:
        return Finding(check, True)
    first = wrong[0]
    return Finding(check, False, f"{len(wrong)} differ; row {first} gives {got[first]}, expected {expected[first]}")


def close(one: Any, other: float | list[float], tolerance: float) -> bool:
    """Whether a prediction, or that of each class, is the other one."""
    if isinstance(other, list):
        return isinstance(one, list) and len(one) == len(other) and all(map(close, one, other, [tolerance] * len(one)))
    return isinstance(one, float | int) and abs(one - other) <= tolerance


class Promised(NamedTuple):
    """What the OpenAPI document says of a request."""

    rows: int  # at most
    size: int  # bytes at most
    required: list[str]
    bounded: list[str]  # the fields that have a greatest value


def _promised(client: Client) -> Promised:
    try:
        document = client.ask("GET", "/openapi.json").json()
        body = document["paths"]["/predict"]["post"]["requestBody"]
        rows = next(
            kind["maxItems"] for kind in body["content"]["application/json"]["schema"]["anyOf"] if "maxItems" in kind
        )
        row = document["components"]["schemas"]["Request"]
        kinds = {name: [field, *field.get("anyOf", [])] for name, field in row["properties"].items()}
        bounded = [
            name for name, of in kinds.items() if any(one.keys() & {"maximum", "exclusiveMaximum"} for one in of)
        ]
        return Promised(rows, body["x-max-bytes"], row.get("required", []), bounded)
    except (KeyError, TypeError, StopIteration):
        raise Failure("/openapi.json does not describe /predict and its limits; is this another service?") from None


def _refusals(client: Client, good: dict, promised: Promised) -> Iterator[Finding]:
    """Each kind of bad input is refused with its status, and the refusal names row and field."""
    rows, size = promised.rows, promised.size
    text = json.dumps(good).encode()
    number = next(name for name, value in good.items() if isinstance(value, float | int))
    deep = b"[" * 100_000
    cases: list[tuple[str, Any, int, dict]] = [
        ("cut off", text[:-1], 400, {}),
        ("empty", b"", 400, {}),
        ("not UTF-8", text.replace(b'"', b'"\xff', 1), 400, {}),
        ("NaN", json.dumps(good | {number: float("nan")}).encode(), 400, {}),
        ("Infinity", json.dumps(good | {number: float("inf")}).encode(), 400, {}),
        ("nested deeply", deep, 422, {}),
        ("no row", [], 422, {}),
        ("a number for a row", [1], 422, {"row": 0}),
        ("a field too many", good | {"surplus": 1}, 422, {"field": "surplus"}),
        ("a wrong type in row 1", [good, good | {number: "many"}], 422, {"row": 1, "field": number}),
        ("too many rows", [good] * (rows + 1), 422 if len(text) * (rows + 1) < size else 413, {}),
        ("too many bytes", b" " * (size + 1), 413, {}),
    ]
    for field in promised.required[:1]:
        without = {name: value for name, value in good.items() if name != field}
        cases.append(("a field missing", without, 422, {"field": field}))
    for field in promised.bounded[:1]:
        cases.append(("out of range", good | {field: 1e300}, 422, {"field": field}))
    for name, content, status, members in cases:
        yield _refused(f"refused: {name}", client.predict(content), status, members)
    yield _refused("refused: GET /predict", client.ask("GET", "/predict"), 405, {})
    yield _refused(
        "refused: not JSON by its type", client.ask("POST", "/predict", text, {"content-type": "text/csv"}), 415, {}
    )
    yield _refused("refused: an unknown path", client.ask("GET", "/nowhere"), 404, {})


def _refused(check: str, answer: Answer, status: int, members: dict) -> Finding:
    document = answer.json()
    if answer.status != status:
        return Finding(
            check, False, f"{answer.status} instead of {status}: {answer.body[:200].decode(errors='replace')}"
        )
    if answer.headers.get("content-type") != "application/problem+json" or not isinstance(document, dict):
        return Finding(check, False, "not in the form of problem+json")
    wrong = {
        name: document.get(name)
        for name, value in ({"status": status} | members).items()
        if document.get(name) != value
    }
    return Finding(check, not wrong, f"the refusal says {wrong}, expected {members}" if wrong else "")


def _tokens(client: Client, good: dict) -> Iterator[Finding]:
    if not client.token:
        return
    stranger = Client(client.parts.geturl(), None)
    for path in ("/health/live", "/health/ready"):
        yield Finding(f"{path} needs no token", stranger.ask("GET", path).status == 200)
    yield _refused("refused: /version without a token", stranger.ask("GET", "/version"), 401, {})
    yield _refused("refused: /predict without a token", stranger.predict(good), 401, {})
    yield _refused("refused: a wrong token", client.predict(good, authorization="Bearer wrong"), 401, {})
