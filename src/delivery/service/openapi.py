"""Describe /predict for the OpenAPI page, from the one definition of a request in `problem`."""

from typing import Any

import msgspec
from msgspec import Struct

from delivery.service import tolerance
from delivery.service.predict import Limits
from problem import CLASSES, Request

REFERENCE = "#/components/schemas/{name}"


class ProblemDocument(Struct):
    """A refusal, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    row: int = 0
    field: str = ""


PROBLEM = {
    "description": "refused; `detail` says why, `row` and `field` where",
    "content": {"application/problem+json": {"schema": {"$ref": REFERENCE.format(name="ProblemDocument")}}},
}
HEADERS = {name: {"schema": {"type": "string"}} for name in ("X-Request-Id", "X-Model-Version", "Server-Timing")}
IGNORED = {"X-Ignored-Fields": {"schema": {"type": "string"}, "description": "fields that the schema does not know"}}
REFUSALS = {"400", "401", "408", "413", "415", "422", "500", "503"}


def with_predict(document: dict[str, Any], limits: Limits, guarded: bool) -> dict[str, Any]:
    """Return FastAPI's document with the description of /predict added."""
    schemas = described(tolerance.reader(Request, limits.unknown_fields), ProblemDocument)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    document["paths"]["/predict"] = {"post": _predict(schemas, limits, guarded)}
    return document


def described(*structs: type[Struct]) -> dict[str, Any]:
    """Return msgspec's schemas of the structs, with the format of times without a zone, which msgspec leaves out."""
    from msgspec import inspect  # only when the page is asked for

    def local(kind: Any) -> bool:
        if isinstance(kind, inspect.UnionType):
            return any(map(local, kind.types))
        if isinstance(kind, inspect.Metadata):
            return local(kind.type)
        return isinstance(kind, inspect.DateTimeType) and kind.tz is False

    _, schemas = msgspec.json.schema_components(structs, ref_template=REFERENCE)
    for struct in structs:
        info: Any = inspect.type_info(struct)
        for field in (field for field in info.fields if local(field.type)):
            schema = schemas[struct.__name__]["properties"][field.encode_name]
            for choice in [schema, *schema.get("anyOf", [])]:
                if choice.get("type") == "string":
                    choice.setdefault("format", "date-time-local")
    return schemas


def example() -> dict[str, Any]:
    """Return a request of the examples in `problem.schema`, without the fields that have no example."""
    out = {}
    for name, schema in described(Request)["Request"]["properties"].items():
        choices = [schema, *schema.get("anyOf", [])]
        values = [choice["examples"][0] for choice in choices if choice.get("examples")]
        if values:
            out[name] = values[0]
    return out


def prediction() -> tuple[dict[str, Any], Any]:
    """Return the schema of one prediction, and an example."""
    classes = {
        "x-classes": list(CLASSES)
    }  # compared with those of other versions; their order decides what a number means
    if len(CLASSES) > 2:
        text = f"the probability of each of {', '.join(CLASSES)}, in this order"
        size = {"minItems": len(CLASSES), "maxItems": len(CLASSES)}
        array = {"type": "array", "items": {"type": "number"}, "description": text} | size | classes
        return array, [round(1 / len(CLASSES), 2)] * len(CLASSES)
    text = f"the probability of: {CLASSES[1]}" if CLASSES else "the predicted number"
    return {"type": "number", "description": text} | classes, 0.25


def _predict(schemas: dict[str, Any], limits: Limits, guarded: bool) -> dict[str, Any]:
    headers = HEADERS | (IGNORED if limits.unknown_fields == "warn" else {})
    return {
        "summary": "Predict one row or many",
        "description": f"An object gives one prediction, an array (at most {limits.max_rows} rows, "
        f"{limits.max_bytes} bytes) as many, in the same order. {schemas['Request'].get('description', '')}",
        "operationId": "predict",
        "tags": ["model"],
        **({"security": [{"HTTPBearer": []}]} if guarded else {}),
        "requestBody": {"required": True, "x-max-bytes": limits.max_bytes, "content": _rows(limits)},
        "responses": {
            "200": {"description": "the predictions", "headers": headers, "content": _predictions()},
            **dict.fromkeys(sorted(REFUSALS if guarded else REFUSALS - {"401"}), PROBLEM),
        },
    }


def _rows(limits: Limits) -> dict[str, Any]:
    row = {"$ref": REFERENCE.format(name="Request")}
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": limits.max_rows}
    return _json(row, rows, example(), [example(), example()])


def _predictions() -> dict[str, Any]:
    number, value = prediction()
    one, many = _object("prediction", number), _object("predictions", {"type": "array", "items": number})
    return _json(one, many, {"prediction": value}, {"predictions": [value, value]})


def _json(one: dict[str, Any], many: dict[str, Any], of_one: Any, of_many: Any) -> dict[str, Any]:
    """Return the description of a body for one row or many, with an example of each."""
    examples = {"one row": {"value": of_one}, "many rows": {"value": of_many}}
    return {"application/json": {"schema": {"anyOf": [one, many]}, "examples": examples}}


def _object(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}
