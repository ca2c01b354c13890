"""OpenAPI documents of made-up requests, described by the service's own code."""

from typing import Any
from unittest.mock import patch

import msgspec

from delivery.service import openapi
from delivery.service.predict import Limits


def document(fields: list[Any], *, strict: bool = True, classes: tuple[str, ...] = (), **limits: Any) -> dict[str, Any]:
    """The document of a service whose request has these fields, as `msgspec.defstruct` takes them."""
    return of_struct(struct(fields, strict=strict), classes=classes, **limits)


def struct(fields: list[Any], *, strict: bool = True) -> type[msgspec.Struct]:
    return msgspec.defstruct("Request", fields, forbid_unknown_fields=strict, kw_only=True)


def of_struct(request: type[msgspec.Struct], *, classes: tuple[str, ...] = (), **limits: Any) -> dict[str, Any]:
    with patch.object(openapi, "Request", request), patch.object(openapi, "CLASSES", classes):
        content = openapi.with_predict({"paths": {"/version": {"get": {}}}}, Limits(**limits), guarded=False)
    return msgspec.json.decode(msgspec.json.encode(content))
