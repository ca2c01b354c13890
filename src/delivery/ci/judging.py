"""Say what a pull request changes of what judges it, before anybody reads its figures.

GitHub is asked: the pull request's own code could leave itself out. Names and values come from strangers, so they are
bounded and escaped.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import yaml

from delivery.adapters import github
from delivery.core import ownership
from delivery.core.errors import Failure, GitHubError
from delivery.render.markdown import code, escaped

LISTED = 3000  # files of a pull request that GitHub lists
SHOWN = 10  # parameters of a file that are named, and files of that name
MOST = 30  # parts that are named
LONGEST = 60  # characters of a name or a value
BYTES = 50_000  # of params.yaml
BRACKETS = 200  # that open in it: the time to read them grows with the square of their number
DEFAULT = "its default"


def notice(number: int) -> str:
    """Return a paragraph that names the machinery, the test rows and the limits that the pull request changes.

    Empty if it changes none of them. It never stops a comment: what GitHub does not answer is said.
    """
    try:
        names, complete = changed_files(number)
        parts = machinery(names)
        for path in sorted(name for name in names if PurePosixPath(name).name == ownership.PARAMS)[:SHOWN]:
            parts += limits(number, path)
    except Failure as failure:
        return f"**⚠️ Whether this pull request changes what judges it is not known:** {escaped(str(failure))}"
    if parts[MOST:]:
        parts = [*parts[:MOST], f"{len(parts) - MOST} more"]
    if not complete:
        parts.append(f"and it has more than {LISTED} files, of which GitHub lists no more")
    if not parts:
        return ""
    return (
        f"**⚠️ This pull request changes what judges it:** {', '.join(parts)}. "
        "Review that first: the figures below are no better than it is."
    )


def changed_files(number: int) -> tuple[set[str], bool]:
    """Return the paths that the pull request changes, old names included, and whether GitHub has listed all of them."""
    entries = github.pages(f"/pulls/{number}/files")
    names = {entry[key] for entry in entries for key in ("filename", "previous_filename") if entry.get(key)}
    return names, len(entries) < LISTED


def machinery(names: Iterable[str]) -> list[str]:
    """Return the parts of the machinery that these files belong to, with the number of files of a folder.

    A single file may also be that of one of several models, in a folder of its own.
    """
    found = []
    for part in ownership.JUDGES:
        if inside := sum(name.startswith(f"{part}/") for name in names):
            found.append(f"`{part}` ({inside} file{'s' * (inside > 1)})")
        elif any(f"/{name}".endswith(f"/{part}") for name in names):
            found.append(f"`{part}`")
    return found


def limits(number: int, path: str) -> list[str]:
    """Return the parameters of the gate, the comparison and the rows that differ from those of the base, with both values."""
    pull = github.ask("GET", f"/pulls/{number}")
    commits = github.ask("GET", f"/compare/{pull['base']['sha']}...{pull['head']['sha']}")
    before = _parameters(path, commits["merge_base_commit"]["sha"])
    now = _parameters(path, pull["head"]["sha"])
    if before is None or now is None:
        return [f"{code(path[:LONGEST])}, which cannot be compared"]
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    shown = [f"{_short(name)} {_short(before.get(name))} → {_short(now.get(name))}" for name in names[:SHOWN]]
    return [*shown, *([f"{len(names) - SHOWN} more parameters"] if names[SHOWN:] else [])]


def _parameters(path: str, commit: str) -> dict[str, str] | None:
    """Return the parameters that judge, as text by dotted name; empty if there is no such file, None if it cannot be read."""
    try:
        entry = github.ask("GET", f"/contents/{quote(path)}?ref={commit}")
    except GitHubError as error:
        if error.status == 404:
            return {}
        raise
    try:
        text = base64.b64decode(entry["content"]).decode()
        if entry["size"] > BYTES or text.count("[") + text.count("{") > BRACKETS:
            return None
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            return None  # an alias may make a small file enormous
        tree = yaml.safe_load(text) or {}
        return {
            name: value for section in ownership.JUDGING_SECTIONS for name, value in _flat(section, tree.get(section))
        }
    except (yaml.YAMLError, binascii.Error, UnicodeDecodeError, RecursionError, AttributeError):
        return None


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, entry in value.items() for pair in _flat(f"{name}.{key}", entry)]
    return [] if value is None else [(name, str(value))]


def _short(text: str | None) -> str:
    if text is None:
        return DEFAULT
    return code(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")
