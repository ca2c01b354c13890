"""The endpoint: what it answers, what it refuses and how it says so."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from live import call

from delivery.service.access import Tokens
from delivery.service.app import About, App
from delivery.service.predict import Limits


def predict(app: App, body: Any, **headers: str) -> Any:
    return asyncio.run(call(app, body, **headers))


def test_one_row_gives_one_prediction(app: App, examples: list[dict]) -> None:
    for example in examples:
        answer = predict(app, example["request"])
        assert answer.status == 200
        assert answer.json == {"prediction": pytest.approx(example["prediction"], abs=1e-9)}


def test_many_rows_give_as_many_in_order(app: App, examples: list[dict]) -> None:
    answer = predict(app, [example["request"] for example in examples])
    assert answer.json == {"predictions": pytest.approx([example["prediction"] for example in examples], abs=1e-9)}


def test_headers_name_request_version_and_timing(app: App, good: dict) -> None:
    first, second = predict(app, good), predict(app, good)
    assert first.headers["x-model-version"] == "v7"
    assert first.headers["server-timing"].startswith("app;dur=")
    assert first.headers["content-length"] == str(len(first.body))
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert predict(app, good, x_request_id="mine-1").headers["x-request-id"] == "mine-1"


@pytest.mark.parametrize("given", ['a"b', "a\\b", "a b", "x" * 129, "ä"])
def test_a_request_id_that_could_harm_a_log_or_a_header_is_replaced(app: App, good: dict, given: str) -> None:
    assert predict(app, good, x_request_id=given).headers["x-request-id"] != given


REFUSED = {
    "nothing": (b"", 400, {}),
    "cut off": (b'{"a"', 400, {}),
    "not UTF-8 in a name": (b'{"\xff":1}', 400, {}),
    "not UTF-8 in a value": (b'{"scheduled":"\xff"}', 422, {"field": "scheduled"}),
    "NaN": (b'{"distance":NaN}', 400, {}),
    "Infinity": (b"[Infinity]", 400, {}),
    "two documents": (b"{}{}", 422, {}),
    "text": (b'"text"', 422, {}),
    "null": (b"null", 422, {}),
    "deep array": (b"[" * 19_000, 422, {"row": 0}),
    "deep object": (b'{"scheduled":' * 1_500, 422, {"field": "scheduled"}),
    "no row": (b"[]", 422, {}),
    "no object": (b"[1]", 422, {"row": 0}),
    "empty object": (b"{}", 422, {"field": "scheduled"}),
    "too large": (b" " * 20_001, 413, {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_broken_bodies_are_refused(app: App, name: str) -> None:
    body, status, members = REFUSED[name]
    assert isinstance(members, dict)
    refused(predict(app, body, content_length=str(len(body))), status, members)


def without(row: dict, name: str) -> dict:
    return {key: value for key, value in row.items() if key != name}


FIELDS = {
    "missing": (lambda row: without(row, "carrier"), "carrier"),
    "extra": (lambda row: row | {"arr_delay": 3}, "arr_delay"),
    "null where a value is needed": (lambda row: row | {"origin": None}, "origin"),
    "wrong type": (lambda row: row | {"distance": "far"}, "distance"),
    "true for a number": (lambda row: row | {"distance": True}, "distance"),
    "below": (lambda row: row | {"distance": 0}, "distance"),
    "above": (lambda row: row | {"humid": 101}, "humid"),
    "not finite": (lambda row: row | {"humid": 1e300}, "humid"),
    "month 13": (lambda row: row | {"scheduled": "2013-13-01T10:00:00"}, "scheduled"),
    "a time zone": (lambda row: row | {"scheduled": "2013-06-14T17:05:00Z"}, "scheduled"),
    "a closed category": (lambda row: row | {"origin": "SFO"}, "origin"),
    "not of the pattern": (lambda row: row | {"carrier": "ua"}, "carrier"),
    "a line break after the pattern": (lambda row: row | {"carrier": "UA\n"}, "carrier"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_wrong_field_is_named_with_its_row(app: App, good: dict, name: str) -> None:
    spoil, field = FIELDS[name]
    refused(predict(app, spoil(good)), 422, {"field": field})
    answer = predict(app, [good, good, spoil(good)])
    refused(answer, 422, {"row": 2, "field": field})
    assert f"row 2, field {field}" in answer.json["detail"]


def test_limits_of_rows_hold_to_the_row(app: App, examples: list[dict]) -> None:
    small = without(without(examples[0]["request"], "temp"), "dewp")
    assert predict(app, [small] * 50).status == 200
    refused(predict(app, [small] * 51), 422, {})


def test_an_unknown_category_is_answered(app: App, good: dict) -> None:
    assert predict(app, good | {"carrier": "ZZ"}).status == 200


def test_other_methods_and_types_are_refused(app: App, good: dict) -> None:
    answer = asyncio.run(call(app, method="GET"))
    refused(answer, 405, {})
    assert answer.headers["allow"] == "POST"
    refused(predict(app, good, content_type="application/x-www-form-urlencoded"), 415, {})
    assert predict(app, good, content_type="Application/JSON; charset=utf-8").status == 200


def test_a_body_in_parts_is_put_together(app: App, good: dict) -> None:
    text = json.dumps(good).encode()
    assert asyncio.run(call(app, parts=stream(text[:10], text[10:20], text[20:]))).status == 200


def test_a_body_in_parts_is_stopped_at_the_limit(app: App) -> None:
    refused(asyncio.run(call(app, parts=stream(*[b" " * 5000] * 100))), 413, {})


def test_a_body_that_never_ends_is_given_up(exported: Path, good: dict) -> None:
    app = App(exported, About(), Limits(body_seconds=0.01), Tokens())
    refused(asyncio.run(call(app, parts=stream(b"{", stuck=True))), 408, {})
    assert app.predict.waiting == 0


def test_slow_bodies_are_bounded_in_number(exported: Path, good: dict) -> None:
    app = App(exported, About(), Limits(max_waiting=3, body_seconds=0.5), Tokens())

    async def crowd() -> list[Any]:
        slow = [asyncio.create_task(call(app, parts=stream(b"{", stuck=True))) for _ in range(5)]
        done, _ = await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
        quick = await call(app, good)  # whoever brings the whole body at once is not held up
        return [*[task.result() for task in done], quick, *await asyncio.gather(*slow)]

    answers = asyncio.run(crowd())
    quick = answers.pop(2)
    assert quick.status == 200
    assert [answer.status for answer in answers[:2]] == [503, 503]
    assert answers[0].headers["retry-after"] == "1"


def test_requests_that_would_wait_too_long_are_sent_away(exported: Path, good: dict) -> None:
    app = App(exported, About(), Limits(max_turn=0.0), Tokens())

    async def crowd() -> list[Any]:
        together = await asyncio.gather(*[call(app, [good]) for _ in range(4)])
        await asyncio.sleep(0)
        return [*together, await call(app, good)]

    answers = asyncio.run(crowd())
    assert [answer.status for answer in answers] == [200, 503, 503, 503, 200]
    assert answers[1].headers["retry-after"] == "1"
    assert app.recorder.metrics.refused == {503: 3}


def test_a_score_that_is_no_number_is_an_error_not_an_answer(app: App, good: dict, caplog: Any) -> None:
    app.predict.batch.model = app.predict.model._replace(one=lambda row: (float("nan"), b""))
    refused(predict(app, good, x_request_id="bad-1"), 500, {"request_id": "bad-1"})
    assert "no number" in caplog.text


def test_requests_of_one_turn_are_scored_together_and_each_gets_its_own(app: App, examples: list[dict]) -> None:
    calls: list[int] = []
    model = app.predict.model

    def many(rows: Any) -> Any:
        calls.append(len(rows))
        return model.many(rows)

    app.predict.batch.model = model._replace(many=many)

    async def crowd() -> list[Any]:
        return await asyncio.gather(*[call(app, example["request"]) for example in examples])

    for answer, example in zip(asyncio.run(crowd()), examples, strict=True):
        assert answer.json == {"prediction": pytest.approx(example["prediction"], abs=1e-9)}
    assert calls == [len(examples)]


def test_a_batch_that_fails_fails_its_requests_and_no_others(app: App, good: dict) -> None:
    model = app.predict.model

    def broken(rows: Any) -> Any:
        raise RuntimeError("out of memory")

    async def crowd() -> list[Any]:
        app.predict.batch.model = model._replace(many=broken)
        together = await asyncio.gather(call(app, good), call(app, good))
        app.predict.batch.model = model
        return [*together, await call(app, good)]

    assert [answer.status for answer in asyncio.run(crowd())] == [500, 500, 200]


def test_while_it_drains_each_answer_closes_its_connection(app: App, good: dict) -> None:
    assert "connection" not in predict(app, good).headers
    app.predict.draining = True
    assert predict(app, good).headers["connection"] == "close"


def refused(answer: Any, status: int, members: dict) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    assert {"type", "title", "detail"} <= document.keys()
    assert members.items() <= document.items(), document


def stream(*parts: bytes, stuck: bool = False) -> Any:
    """An ASGI receive that hands out the parts, and then nothing, for ever if `stuck`."""
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting) or stuck}

    return receive
