"""The API as a table of routes: who may call what, one page of a list at a time."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from harness.hub import Hub, Json, Repo, Token

Answer = tuple[int, Any]


class Call(NamedTuple):
    hub: Hub
    repo: Repo
    token: Token
    names: dict[str, str]  # the parts of the path
    query: dict[str, str]
    body: Json


class Refused(Exception):
    """An answer that ends the request: status and message."""


ROUTES: list[tuple[str, str, str, Callable[[Call], Answer]]] = []


def route(method: str, template: str, permission: str):
    """`permission` is `scope:level`, several joined by `|` where any of them will do, or `metadata`."""

    def register(function: Callable[[Call], Answer]):
        ROUTES.append((method, template, permission, function))
        return function

    return register


def answer(hub: Hub, method: str, path: str, query: Json, body: Json, token: Token | None) -> tuple[int, Any, Json]:
    for verb, template, permission, function in ROUTES:
        found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template), path)
        if verb != method or not found:
            continue
        if token is None:
            return 401, {"message": "Bad credentials"}, {}
        names = found.groupdict()
        name = f"{names.get('owner', '')}/{names.get('repo', '')}"
        repo = hub.repos.get(name if "owner" in names else token.repo)
        if repo is None:
            return 404, {"message": "Not Found"}, {}
        if permission != "metadata" and not _may(token, repo, permission):
            return 403, {"message": "Resource not accessible by integration"}, {}
        try:
            status, reply = function(Call(hub, repo, token, names, query, body))
        except Refused as refusal:
            return refusal.args[0], {"message": refusal.args[1]}, {}
        return status, *_page(reply, path, query, hub)
    return 404, {"message": f"Not Found: {method} {path}"}, {}


def _may(token: Token, repo: Repo, permission: str) -> bool:
    return any(token.may(repo.name, *wanted.split(":")) for wanted in permission.split("|"))


def _page(reply: Any, path: str, query: Json, hub: Hub) -> tuple[Any, Json]:
    """Lists come 30 at a time unless asked otherwise, with the address of the next page."""
    if not isinstance(reply, list):
        return reply, {}
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    rest = len(reply) > size * page
    link = f'<{hub.url}/api/v3{path}?per_page={size}&page={page + 1}>; rel="next"'
    return reply[size * (page - 1) : size * page], {"Link": link} if rest else {}
