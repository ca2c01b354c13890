"""Exceptions: vulnerabilities that may be delivered until a day, each with a reason."""

import tomllib
from datetime import date, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from delivery.adapters.grype import Vulnerability
from delivery.core.errors import Failure

LONGEST = timedelta(days=180)  # an exception is renewed by somebody who has looked again


class Excepted(Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the file."""

    id: str
    until: date
    reason: str
    package: str = ""
    """The one package that it is for; empty for every package with the vulnerability."""

    def covers(self, found: Vulnerability) -> bool:
        """Return whether this entry is for a vulnerability, whatever the day."""
        return self.id in (found.id, *found.aliases) and self.package in ("", found.package)


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    exception: tuple[Excepted, ...] = ()


def load(path: Path, today: date) -> tuple[Excepted, ...]:
    """Return the entries of the file; none where there is no file. Raise `Failure` for one without reason or real end."""
    if not path.exists():
        return ()
    try:
        entries = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).exception
    except (msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: {error}; an exception has `id`, `until`, `reason` and perhaps `package`") from None
    for entry in entries:
        if not entry.reason.strip():
            raise Failure(f"{path}: the exception for {entry.id} has no reason; say why it may be delivered")
        if entry.until > today + LONGEST:
            last = today + LONGEST
            raise Failure(f"{path}: the exception for {entry.id} lasts until {entry.until}; {last} is the latest day")
    return entries
