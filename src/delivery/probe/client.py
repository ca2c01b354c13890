"""Send requests to a running service, as its clients do."""

import http.client
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from delivery.core.errors import Failure

TIMEOUT = 30  # seconds for one answer
JSON = {"content-type": "application/json"}


class Answer(NamedTuple):
    """A service's answer to one request."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        """Return the body's value, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Client:
    """Send requests to one service, each on its own connection, because a refusal may close it."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Failure(f"{url} is not the address of a service; write it as http://host:port")
        self.parts, self.token = parts, token

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        """Send a request and return the answer, whatever its status. Raise `Failure` if there is none."""
        kind = http.client.HTTPSConnection if self.parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.parts.netloc, timeout=TIMEOUT)
        headers = ({"authorization": f"Bearer {self.token}"} if self.token else {}) | (headers or {})
        try:
            connection.request(method, self.parts.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"{self.parts.geturl()}{path} does not answer ({error}); is the service running?") from None
        finally:
            connection.close()

    def predict(self, content: Any, **headers: str) -> Answer:
        """Post the content to /predict as JSON, bytes as they are. A header's name is written with underscores."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.ask("POST", "/predict", body, JSON | {k.replace("_", "-"): v for k, v in headers.items()})
