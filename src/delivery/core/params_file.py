"""params.yaml with other values, its comments and all else as a person wrote it."""

import json
import re
from collections.abc import Mapping
from functools import partial

import yaml

from delivery.core.errors import Failure
from delivery.core.params import Once


def edited(text: str, section: str, values: Mapping[str, int | float | str | bool]) -> str:
    """The text with other values for keys of a section.

    Raises Failure where a key has no line of its own.
    """
    blocks = re.split(r"(?m)^(?=\w+:)", text)
    at = next(number for number, block in enumerate(blocks) if block.startswith(f"{section}:"))
    for name, value in values.items():
        line = re.compile(rf"""(?m)^(  {re.escape(name)}: +)("[^"\n]*"|'[^'\n]*'|[^\s"'#][^#\n]*?)( *)(#.*)?$""")
        blocks[at] = line.sub(partial(_line, value=_scalar(value)), blocks[at], count=1)
    out = "".join(blocks)
    there = yaml.load(out, Once).get(section, {})  # noqa: S506  a safe loader, and stricter
    if lacking := [name for name, value in values.items() if there.get(name) != value]:
        raise Failure(f"params.yaml has no line `  {lacking[0]}: ...` under {section}; write one, and run this again")
    return out


def _line(found: re.Match[str], *, value: str) -> str:
    """The comment stays in its column where there is room."""
    key, old, gap, comment = found.groups()
    room = max(len(old) + len(gap) - len(value), 1)
    return key + value + (" " * room + comment if comment else "")


def _scalar(value: int | float | str | bool) -> str:
    """As YAML reads it back: to it 1e-05 is text, and 1.0e-05 a number."""
    written = json.dumps(value)
    if isinstance(value, str) and re.fullmatch("[a-z_]{6,}", value):  # longer than yes, off, null and false
        return value
    return written.replace("e", ".0e") if isinstance(value, float) and re.fullmatch(r"-?\d+e.*", written) else written


def flat(tree: dict, prefix: str = "") -> dict[str, object]:
    out: dict[str, object] = {}
    for name, value in tree.items():
        out |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return out
