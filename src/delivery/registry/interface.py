"""What clients see of a release: the service's OpenAPI document, kept in the bundle of each version."""

from pathlib import Path
from typing import Any

from delivery.core import params
from delivery.service.access import Tokens
from delivery.service.app import About, App
from delivery.service.predict import Limits


def describe(exported: Path, serve: params.Serve) -> dict[str, Any]:
    """Return the OpenAPI document of the service with this exported model. Raise `Failure` if the model does not load."""
    return service(exported, serve).api.openapi()


def service(exported: Path, serve: params.Serve) -> App:
    """Return the service with this exported model, as its clients see it. Raise `Failure` if the model does not load."""
    return App(exported, About(), Limits(serve.max_rows, serve.max_bytes, serve.unknown_fields), Tokens())
