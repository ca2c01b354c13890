"""The tokens that an environment of this host asks of its clients: part of its state, so that no omission changes them.

They are kept in the environment's folder, readable by its owner alone, with one more token for the host's own checks. So
a version that is started again asks for the same, whoever starts it, and nobody has to know a token to roll back.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from delivery.core.errors import Failure
from delivery.deploy.targets import loopback

FILE, BEFORE = "access.json", "access.before.json"
OPEN = {"1", "yes", "true", "on"}


class Access(Struct, frozen=True):
    """Who may ask: bearer tokens, or a file of them. Without either, everybody who reaches the address."""

    tokens: str = ""
    """As SERVE_TOKENS has them."""
    file: str = ""
    """As SERVE_TOKENS_FILE names it."""
    own: str = ""
    """The host's own token, for its checks."""

    @property
    def name(self) -> str:
        """A short digest by which a slot remembers what it was started with; empty if everybody may ask."""
        return hashlib.sha256(f"{self.tokens} {self.file}".encode()).hexdigest()[:12] if self.own else ""

    def environment(self) -> Mapping[str, str]:
        """Return the service's environment variables."""
        if not self.own:
            return {}
        variables = {"SERVE_TOKENS": ",".join(filter(None, (self.tokens, self.own))), "SERVE_TOKENS_FILE": self.file}
        return {name: value for name, value in variables.items() if value}


def read(folder: Path) -> Access:
    """Return who may ask the environment. Raise `Failure` if the file is damaged: it must not open the service."""
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Access)
    except FileNotFoundError:
        return Access()
    except (OSError, msgspec.MsgspecError) as error:
        raise Failure(f"{path} cannot be read ({error}); set SERVE_TOKENS and remove it, then deploy again") from None


def settled(folder: Path, serving: str) -> Access:
    """Return who may ask the next version, and remember it: what this command's variables say, else as before.

    `final` keeps it and `restore` takes it back: a version that is refused must not change who may ask the one that serves.
    SERVE_TOKENS or SERVE_TOKENS_FILE set tokens, SERVE_OPEN=yes removes them. `serving` is the address of the version that
    serves, or empty. Raise `Failure` if that wants a token which is not on record and none is given.
    """
    given = Access(os.environ.get("SERVE_TOKENS", ""), os.environ.get("SERVE_TOKENS_FILE", ""))
    if given.tokens or given.file:
        return _write(folder, Access(given.tokens, given.file, read(folder).own or secrets.token_urlsafe(32)))
    if os.environ.get("SERVE_OPEN", "").lower() in OPEN:
        return _write(folder, Access())
    before = read(folder)
    if not before.own and serving and _asks(serving):
        raise Failure(
            f"{folder.name} asks its clients for a token, and neither SERVE_TOKENS nor SERVE_TOKENS_FILE is set here; set "
            "it, or SERVE_OPEN=yes if everybody may ask from now on"
        )
    return before


def final(folder: Path) -> None:
    """Keep the access that `settled` has remembered: the version that was started with it serves."""
    (folder / BEFORE).unlink(missing_ok=True)


def restore(folder: Path) -> None:
    """Return to the access before `settled`: its version was not final. Do nothing if nothing was remembered since."""
    if (folder / BEFORE).exists():
        access = msgspec.json.decode((folder / BEFORE).read_bytes(), type=Access)
        _replace(folder / FILE, access if access.own else None)
        final(folder)


def settle(folder: Path, started_with: str) -> None:
    """Keep or take back what a killed command has remembered; `started_with` names the access of the version that serves."""
    if (folder / BEFORE).exists():
        (final if read(folder).name == started_with else restore)(folder)


def _write(folder: Path, access: Access) -> Access:
    if not (folder / BEFORE).exists():
        _replace(folder / BEFORE, read(folder))
    _replace(folder / FILE, access if access.own else None)
    return access


def _replace(path: Path, access: Access | None) -> None:
    if access is None:
        path.unlink(missing_ok=True)
        return
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(access))
    os.replace(new, path)


def _asks(address: str) -> bool:
    """Return whether a service refuses to describe itself without a token."""
    return loopback.status(f"{address}/version") == 401
