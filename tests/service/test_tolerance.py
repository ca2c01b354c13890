"""Fields that the schema does not know: refused, ignored and counted, or named in the answer as well."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from exposed import parse, samples
from live import Answer, ask, call, configured, serving
from msgspec import Struct

from delivery.service import predict as endpoint
from delivery.service import tolerance
from delivery.service.access import Tokens
from delivery.service.app import About, App
from delivery.service.log import read
from delivery.service.predict import Limits


class Row(Struct, forbid_unknown_fields=True, frozen=True, rename={"kind": "type"}):
    """A row."""

    kind: str
    size: int = 1


def tolerant(exported: Path, unknown_fields: Any, log: Path | None = None) -> App:
    return App(exported, About(), Limits(50, 200_000, unknown_fields), Tokens(), log)


def predict(app: App, body: Any) -> Answer:
    return asyncio.run(call(app, body))


def test_the_tolerant_reader_differs_in_unknown_fields_alone() -> None:
    assert tolerance.reader(Row, "refuse") is Row
    kind: Any = tolerance.reader(Row, "ignore")
    row = msgspec.json.decode(b'{"type": "a", "other": 1}', type=kind)
    assert isinstance(row, Row)
    assert (row.kind, row.size) == ("a", 1)
    for wrong in (b'{"other": 1}', b'{"type": 1}', b'{"kind": "a"}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(wrong, type=kind)
    (strict,), (other,) = (msgspec.json.schema_components([one])[1].values() for one in (Row, kind))
    assert strict.pop("additionalProperties") is False
    assert other == strict


def test_unknown_names_are_found_in_each_row() -> None:
    fields = tolerance.known(Row)
    assert fields == {"type", "size"}
    assert tolerance.unknown(b'{"type": "a"}', fields) == []
    assert tolerance.unknown(b'{"type": "a", "kind": {"deep": [1]}}', fields) == ["kind"]
    assert sorted(tolerance.unknown(b'[{"a": 1}, {"a": 1, "b": 2}]', fields)) == ["a", "a", "b"]


def test_a_client_cannot_make_up_any_number_of_names() -> None:
    counts = Counter[str]()
    tolerance.count(counts, [f"name {number}" for number in range(1000)] * 2 + ["x" * 1000])
    assert len(counts) == tolerance.NAMES + 1
    assert counts["name 0"] == 2
    assert counts[tolerance.OTHER] == 2 * (1000 - tolerance.NAMES) + 1


def test_names_are_safe_in_a_header() -> None:
    assert tolerance.header(["b", "a", "b"]) == b"a, b"
    assert tolerance.header(["a,b\r\nx: y", "ä"]) == b"a%2Cb%0D%0Ax%3A%20y, %C3%A4"
    many = tolerance.header([f"{number:02d}" for number in range(99)])
    assert many == b"00, 01, 02, 03, 04, 05, 06, 07, 08, 09, ..."
    assert len(tolerance.header(["\N{SNOWMAN}" * 100_000])) < 2000


def test_they_are_refused_by_default(app: App, good: dict) -> None:
    answer = predict(app, good | {"surplus": 1})
    assert (answer.status, answer.json["field"]) == (422, "surplus")
    assert not [name for name, _ in samples(app) if "unknown_fields" in name]


@pytest.mark.parametrize("unknown_fields", ["ignore", "warn"])
def test_they_change_no_prediction_and_are_counted(
    exported: Path, good: dict, tmp_path: Path, unknown_fields: str
) -> None:
    app = tolerant(exported, unknown_fields, tmp_path)
    plain, extra = predict(app, good), predict(app, good | {"surplus": [1]})
    assert (extra.status, extra.json) == (200, plain.json)
    many = predict(app, [good, good | {"surplus": 1, "other": None}])
    assert many.json["predictions"] == pytest.approx([plain.json["prediction"]] * 2, abs=1e-9)
    named = unknown_fields == "warn"
    assert [answer.headers.get("x-ignored-fields") for answer in (plain, extra, many)] == (
        [None, "surplus", "other, surplus"] if named else [None, None, None]
    )
    seen = samples(app)
    assert seen["request_unknown_fields_total", "surplus"] == 2
    assert seen["request_unknown_fields_total", "other"] == 1
    assert list(read(tmp_path))[1].rows == [good | {"surplus": [1]}]  # the log keeps what was sent


def test_only_a_body_with_unknown_fields_is_decoded_again(
    exported: Path, good: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, found = tolerant(exported, "ignore"), tolerance.unknown
    again: list[bytes] = []

    def noted(body: bytes, fields: frozenset[str]) -> list[str]:
        again.append(body)
        return found(body, fields)

    monkeypatch.setattr(tolerance, "unknown", noted)
    for body in (good, [good, good]):
        assert predict(app, body).status == 200
    assert again == []
    for body in (good | {"surplus": 1}, [good, good | {"surplus": 1}]):
        assert predict(app, body).status == 200
        assert json.loads(again.pop()) == body
    assert samples(app)["request_unknown_fields_total", "surplus"] == 2


def test_a_request_that_does_not_forbid_unknown_fields_has_them_counted_too(
    exported: Path, good: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "Request", tolerance.reader(endpoint.Request, "ignore"))
    app = tolerant(exported, "ignore")
    assert predict(app, good | {"surplus": 1}).status == 200
    assert samples(app)["request_unknown_fields_total", "surplus"] == 1


@pytest.mark.parametrize("unknown_fields", ["ignore", "warn"])
def test_a_field_that_is_wrong_is_still_refused(exported: Path, good: dict, unknown_fields: str) -> None:
    app = tolerant(exported, unknown_fields)
    name = next(iter(good))
    for body in (good | {name: [1], "surplus": 1}, [good, {"surplus": 1}], []):
        assert predict(app, body).status == 422


@pytest.mark.parametrize("value", [b'"\xff"', b"1e999", b"9" * 5000, b"[" * 5000 + b"]" * 5000, b"NaN"])
def test_what_could_not_be_read_back_from_the_log_is_refused(
    exported: Path, good: dict, tmp_path: Path, value: bytes
) -> None:
    app = tolerant(exported, "ignore", tmp_path)
    body = json.dumps(good).encode()[:-1] + b', "surplus": ' + value + b"}"
    answer = predict(app, body)
    assert answer.status in (400, 422)
    assert len(answer.body) < 1500
    assert predict(app, body.replace(value, b"1")).status == 200
    app.recorder.flush()
    assert len(list(read(tmp_path))) == 1


def test_warn_logs_a_name_once(exported: Path, good: dict, caplog: pytest.LogCaptureFixture) -> None:
    app = tolerant(exported, "warn")
    for _ in range(3):
        predict(app, good | {"surplus": 1})
    predict(app, [good | {f"name {number}": 1 for number in range(200)}])
    lines = [record.getMessage() for record in caplog.records if "is unknown and ignored" in record.getMessage()]
    assert sum("surplus" in line for line in lines) == 1
    assert len(lines) == tolerance.NAMES


def test_the_parameter_decides(exported: Path, good: dict, tmp_path: Path) -> None:
    folder = configured(tmp_path, unknown_fields="ignore")
    with serving(exported, folder=folder, SERVE_TOKENS="web:secret") as service:
        token = {"authorization": "Bearer secret"}
        assert ask(f"{service.url}/predict", good | {"surplus": 1}, **token).status == 200
        request = json.loads(ask(f"{service.url}/openapi.json").body)["components"]["schemas"]["Request"]
        assert request.get("additionalProperties", True) is not False
        whole = parse(ask(f"{service.url}/metrics", **token).body.decode())
        assert whole["request_unknown_fields_total", "surplus"] == 1
        public = ask(f"{service.url}/metrics").body.decode()  # the count without the name
        assert parse(public)["request_unknown_fields_total", ""] == 1
        assert "surplus" not in public
