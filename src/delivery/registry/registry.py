"""The registry as other rooms see it: versions and runs as structs, and what can be asked and changed."""

from delivery.registry.client import EXPERIMENT, MODEL, address, connection, exists, refuse_absent, sqlite
from delivery.registry.reading import (
    ENVIRONMENTS,
    Run,
    champion,
    download,
    download_unverified,
    find,
    metrics,
    runs,
    versions,
)
from delivery.registry.writing import (
    DESCRIPTION,
    add,
    add_copy,
    add_gap,
    add_run,
    delete,
    describe,
    point,
    record_image,
    tag,
    unpoint,
)

__all__ = [
    "DESCRIPTION", "ENVIRONMENTS", "EXPERIMENT", "MODEL", "Run", "add", "add_copy", "add_gap", "add_run", "address",
    "champion", "connection", "delete", "describe", "download", "download_unverified", "exists", "find", "metrics", "point",
    "record_image", "refuse_absent", "runs", "sqlite", "tag", "unpoint", "versions",
]  # fmt: skip
