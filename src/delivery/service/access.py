"""Check bearer tokens, from the environment and from a file that is read again when it changes."""

import hashlib
import hmac
import ipaddress
import logging
import re
import time
from pathlib import Path

from delivery.core.errors import Failure

AGAIN = 1.0  # seconds between two checks of the token file for changes
NAMED = re.compile(r"([A-Za-z][A-Za-z0-9._-]{0,63}):(.*)")  # a bearer token has no colon (RFC 6750)
logger = logging.getLogger(__name__)


Known = tuple[bytes, str]  # digest and name


class Tokens:
    """The accepted tokens, as digests with the client's name. Without any, every request is allowed."""

    def __init__(self, given: str = "", file: Path | None = None):
        """Read the tokens.

        `given` holds entries separated by commas or whitespace; `file` holds one per line, and `#` starts a comment. Each
        entry is either `token` or `name:token`. Raise `Failure` if the file holds no token, or if an entry has a name but no
        token.
        """
        self.fixed = _digests(given.replace(",", " ").split())
        self.file, self.stamp, self.looked = file, (0, 0, 0), 0.0
        self.filed: list[Known] = []
        if file:
            self._reload()
            if not self.filed:
                raise Failure(f"{file} holds no token; write one per line, or do not give the file")

    def __bool__(self) -> bool:
        return bool(self.fixed or self.filed)

    def allow(self, authorization: bytes | None) -> bool:
        """Return whether the header carries an accepted token, or no token is needed."""
        return self.client(authorization) is not None

    def client(self, authorization: bytes | None) -> str | None:
        """Return the name of the token in the header, or None if a token is needed and this is none.

        The name is empty for a token without a name, and if no token is needed.
        """
        if self.file and time.monotonic() - self.looked > AGAIN:
            self._reload()
        if not self:
            return ""
        scheme, _, token = (authorization or b"").partition(b" ")
        presented = hashlib.sha256(token.strip()).digest()
        # Compare every digest, so that the time does not reveal which one matched.
        matches = [name for digest, name in (*self.fixed, *self.filed) if hmac.compare_digest(presented, digest)]
        return matches[0] if matches and scheme.lower() == b"bearer" else None

    def _reload(self) -> None:
        """Read the file if it changed. Keep the old tokens if it is unreadable or empty: rotation never opens the service."""
        assert self.file
        self.looked = time.monotonic()
        try:
            status = self.file.stat()
            stamp = (status.st_mtime_ns, status.st_ino, status.st_size)
            if stamp == self.stamp:
                return
            lines = self.file.read_text().splitlines()
        except OSError as error:
            if not self.filed:
                raise Failure(f"{self.file}: {error.strerror}; it must hold the tokens, one per line") from None
            logger.warning("token file cannot be read, the old tokens stay: %s", error)
            return
        try:
            digests = _digests([word for line in lines if (word := line.partition("#")[0].strip())])
        except Failure as failure:
            if not self.filed:
                raise
            logger.warning("token file is wrong, the old tokens stay: %s", failure)
            return
        if digests:
            self.filed, self.stamp = digests, stamp
        elif self.filed:
            logger.warning("token file is empty, the old tokens stay")


def refuse_open(tokens: Tokens, host: str, declared_open: bool) -> None:
    """Raise `Failure` if the service could be reached from outside and needs no token, unless declared open."""
    if tokens or declared_open or _is_loopback(host):
        return
    raise Failure(
        f"refusing to answer anybody who reaches {host}: set SERVE_TOKENS or SERVE_TOKENS_FILE, "
        "or say SERVE_OPEN=yes (--open) if that is meant"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _digests(entries: list[str]) -> list[Known]:
    """Return digest and name of each entry. Raise `Failure` if there is a name without a token."""
    known = []
    for entry in entries:
        named = NAMED.fullmatch(entry)
        name, token = (named[1], named[2].strip()) if named else ("", entry)
        if not token:
            raise Failure(f"the token of {name} is empty; write name:token without blanks")
        known.append((hashlib.sha256(token.encode()).digest(), name))
    return known
