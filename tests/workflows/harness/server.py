"""The hub over HTTP: the API under /api/v3, git under /owner/repo.git, both behind the same tokens."""

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from answering import answering

from harness import api, routes  # noqa: F401  the routes register themselves
from harness.gitserver import WRITE, Reply, body_of, refs, secret_of, serve
from harness.hub import Hub, Json, Token

API = "/api/v3"
GIT = re.compile(r"^/(?P<repo>[^/]+/[^/]+?)(?:\.git)?(?P<rest>/(?:info/refs|git-upload-pack|git-receive-pack))$")


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # all jobs of a run connect at once


@contextmanager
def running(hub: Hub, certificate: Path | None = None) -> Iterator[str]:
    """Serves the hub on a free port of the loopback address; with a certificate over TLS too (the real CML wants it).

    Yields the TLS address, or "" without a certificate; the plain one is hub.url.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            respond(hub, self)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing on stderr: what was asked is in hub.calls."""

    servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2 if certificate else 1)]
    hub.url = f"http://127.0.0.1:{servers[0].server_port}"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        servers[1].socket = context.wrap_socket(servers[1].socket, server_side=True)
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(answering(server))
        yield f"https://127.0.0.1:{servers[1].server_port}" if certificate else ""


def respond(hub: Hub, handler: BaseHTTPRequestHandler) -> None:
    address = urlsplit(handler.path)
    body = body_of(handler)
    token = hub.tokens.get(secret_of(handler.headers.get("Authorization")) or "")
    if found := GIT.match(address.path):
        status, headers, content = _git(hub, handler, found["repo"], found["rest"], address.query, body, token)
    else:
        path = address.path.removeprefix(API)
        status, headers, content = _api(hub, handler.command, path, dict(parse_qsl(address.query)), body, token)
    handler.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(content))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def _api(hub: Hub, method: str, path: str, query: Json, body: bytes, token: Token | None) -> Reply:
    request = json.loads(body or b"null") or {}
    with hub.lock:
        fault = next((f for f in hub.faults if f.times and f.method == method and re.search(f.path, path)), None)
        if fault:
            fault.times -= 1
            return fault.status, fault.headers, b'{"message": "planted fault"}'
        status, reply, headers = api.answer(hub, method, path, query, request, token)
        hub.calls.append((method, path, request, status, reply))
    content = b"" if status == 204 else json.dumps(reply).encode()
    return status, {"Content-Type": "application/json", **headers}, content


def _git(hub: Hub, handler, name: str, rest: str, query: str, body: bytes, token: Token | None) -> Reply:
    repo = hub.repos.get(name)
    writes = WRITE in rest or WRITE in query
    if repo is None or (token is None and (writes or repo.private)):
        return 401, {"WWW-Authenticate": 'Basic realm="hub"'}, b"authentication required"
    if token and (writes or repo.private) and not token.may(name, "contents", "write" if writes else "read"):
        return 403, {}, f"Permission to {name}.git denied to {token.login}.".encode()
    kind = token.kind if token else "nobody"
    if token is None or not rest.endswith(WRITE):
        return serve(handler, repo.path, rest, query, body, kind)
    with hub.lock:  # two pushes at once: git's own rules decide, one after the other
        before = refs(repo.path)
        reply = serve(handler, repo.path, rest, query, body, kind)
        hub.pushed(repo, before, token)  # before the answer, so that who pushed finds everything set off
    return reply
