"""The OpenAPI page says what the service does: its examples work, and schemathesis finds nothing between the two."""

import asyncio
import contextlib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import hypothesis.strategies as st
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from live import Service, ask, call
from schemathesis import GenerationMode

from delivery.service import openapi
from delivery.service.access import Tokens
from delivery.service.app import About, App
from delivery.service.predict import Limits
from problem import Request

schemathesis.openapi.format(
    "date-time-local", st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat())
)


@pytest.fixture(scope="session")
def api(exported: Path) -> App:
    return App(exported, About(), Limits(max_rows=5, max_bytes=20_000), Tokens())


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(
    ("token", "unknown_fields"),
    [("", "refuse"), ("secret", "refuse"), ("", "warn")],
    ids=["open", "guarded", "tolerant"],
)
def test_schemathesis_finds_nothing(exported: Path, token: str, unknown_fields: Any, mode: GenerationMode) -> None:
    """Each operation with data that the document allows, and with data that it forbids."""
    app = App(exported, About(), Limits(5, 20_000, unknown_fields), Tokens(token))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    asked = 0
    for result in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]

        @settings(
            max_examples=30, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(headers=headers)

        with contextlib.suppress(Unsatisfiable):  # an operation without inputs has none that are forbidden
            check()
    assert asked >= 30


class Moments(msgspec.Struct):
    local: Annotated[datetime, msgspec.Meta(tz=False, examples=["2024-01-31T17:05:00"])]
    zoned: Annotated[datetime, msgspec.Meta(tz=True)]
    name: str
    later: Annotated[datetime, msgspec.Meta(tz=False)] | None = None


def test_a_moment_without_zone_has_its_form_and_nothing_else_is_changed() -> None:
    properties = openapi.described(Moments)["Moments"]["properties"]
    assert properties["local"] == {"type": "string", "format": "date-time-local", "examples": ["2024-01-31T17:05:00"]}
    assert {"type": "string", "format": "date-time-local"} in properties["later"]["anyOf"]
    assert properties["zoned"] == {"type": "string", "format": "date-time"}
    assert properties["name"] == {"type": "string"}


def test_the_schema_of_a_row_is_the_one_in_problem(api: App) -> None:
    document = api.api.openapi()
    assert document["components"]["schemas"]["Request"] == openapi.described(Request)["Request"]
    body = document["paths"]["/predict"]["post"]["requestBody"]
    assert body["x-max-bytes"] == 20_000
    assert body["content"]["application/json"]["schema"]["anyOf"][1]["maxItems"] == 5


def test_its_examples_are_answered(api: App) -> None:
    content = api.api.openapi()["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert len(content["examples"]) == 2
    for example in content["examples"].values():
        assert asyncio.run(call(api, example["value"])).status == 200


def test_the_page_is_there(service: Service) -> None:
    assert b"swagger" in ask(f"{service.url}/docs").body
