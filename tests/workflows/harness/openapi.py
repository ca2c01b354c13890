"""The stand-in held against GitHub's own description of its API: what it takes and answers has those names and types.

The stand-in may leave fields out, never invent them; what the project sends must be complete.
"""

import functools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from harness import api, routes  # noqa: F401  the routes register themselves
from harness.hub import Json

PACKAGE = "@octokit/openapi@23.0.2"
FOLDER = Path(__file__).parents[3] / ".cache" / "openapi"
FILE = FOLDER / "package" / "generated" / "api.github.com.json"
TYPES: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def fetch() -> str:
    """Brings the description by npm once; returns why it cannot be had, or nothing."""
    if FILE.exists():
        return ""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            ["npm", "pack", "--silent", PACKAGE], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no npm: {error}"
    if done.returncode:
        return f"npm cannot bring {PACKAGE}: {done.stderr.strip()[-200:]}"
    archive = FOLDER / done.stdout.strip().splitlines()[-1]
    inside = "package/generated/api.github.com.json"
    subprocess.run(["tar", "-xzf", archive.name, inside], cwd=FOLDER, check=True)
    archive.unlink()
    return ""


@functools.cache
def description() -> Json:
    return json.loads(FILE.read_text())


def problems(method: str, path: str, request: Json, status: int, reply: Any) -> list[str]:
    """What of one call does not fit the description."""
    template = next(
        (t for m, t, _, _ in api.ROUTES if m == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", t), path)), ""
    )
    if not template or template.startswith("/hub/"):
        return []  # GitHub's 404, or a question of the stand-ins among themselves
    operation = description()["paths"].get(template, {}).get(method.lower())
    if operation is None:
        return [f"{method} {template}: GitHub has no such call"]
    found = []
    if "requestBody" in operation and status < 400:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        found += [f"{method} {template} request{line}" for line in differences(schema, request, complete=True)]
    answer = _resolved(operation["responses"].get(str(status), {}))
    if status < 400 and not answer:
        found.append(f"{method} {template}: GitHub never answers {status}")
    if content := answer.get("content", {}).get("application/json"):
        found += [f"{method} {template} reply{line}" for line in differences(content["schema"], reply, complete=False)]
    return found


def differences(schema: Json, value: Any, *, complete: bool, at: str = "") -> list[str]:
    schema = _resolved(schema)
    if value is None:
        return [] if schema.get("nullable") or "null" in str(schema.get("type")) or not schema else [f"{at} is null"]
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            options = [differences(option, value, complete=complete, at=at) for option in schema[choice]]
            return [] if [] in options else min(options, key=len)
    if "allOf" in schema:
        parts = [_resolved(part).get("properties", {}) for part in schema["allOf"]]
        schema = {"type": "object", "properties": {name: about for part in parts for name, about in part.items()}}
    wanted = schema.get("type")
    kind = wanted if isinstance(wanted, str) else next((one for one in wanted or [] if one != "null"), None)
    if kind and (not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool))):
        return [f"{at} is {value!r}, not {kind}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at} is {value!r}, not one of {schema['enum']}"]
    if kind == "array":
        return [
            line
            for n, item in enumerate(value)
            for line in differences(schema["items"], item, complete=complete, at=f"{at}[{n}]")
        ]
    return _members(schema, value, complete, at) if "properties" in schema else []


def _members(schema: Json, value: Json, complete: bool, at: str) -> list[str]:
    names = schema["properties"]
    found = [
        f"{at}.{name} is not GitHub's" for name in value if name not in names and not schema.get("additionalProperties")
    ]
    if complete:
        found += [f"{at}.{name} is missing" for name in schema.get("required", []) if name not in value]
    for name, item in value.items():
        if name in names:
            found += differences(names[name], item, complete=complete, at=f"{at}.{name}")
    return found


def _resolved(schema: Json) -> Json:
    while "$ref" in schema:
        found: Any = description()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema
