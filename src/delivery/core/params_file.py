"""Change values in params.yaml and leave every other byte as a person wrote it.

ruamel.yaml says where each key and value stands, and new values are put there. Writing the whole file with it would
also write line ends, indentation, flow lists and broken lines its own way.
"""

from collections.abc import Mapping

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from delivery.core.errors import Failure
from delivery.core.params import tree

Value = int | float | str | bool


def edited(text: str, section: str, values: Mapping[str, Value]) -> str:
    """Return the text with these values in a section, which may be empty.

    A key that has no line yet is added at the section's end, a section at the file's. Raise Failure if the result would
    not say exactly that, as where a value is shared by an anchor.
    """
    before = tree(text) or {}
    if section in before and not values:
        return text
    given = before.get(section)
    wanted = before | {section: (given if isinstance(given, dict) else {}) | dict(values)}
    try:
        out = text if values else _added(text, YAML().compose(text), section, " {}")
        for name, value in values.items():
            out = _with(out, section, name, value)
        done = tree(out)
    except (Failure, YAMLError):
        done = None
    if done != wanted:
        said = ", ".join(f"{name}: {_scalar(value)}" for name, value in values.items())
        raise Failure(f"params.yaml cannot be changed in place; set {said} under {section}, and run this again")
    return out


def _with(text: str, section: str, name: str, value: Value) -> str:
    root = YAML().compose(text)
    key, mapping = _entry(root, section)
    if key is None:
        return _added(text, root, section, f"{_newline(text)}  {name}: {_scalar(value)}")
    if not isinstance(mapping, MappingNode):  # the section is there and empty
        return _line_after(text, key.end_mark.index, f"{' ' * (key.start_mark.column + 2)}{name}: {_scalar(value)}")
    own, old = _entry(mapping, name)
    if own is None or old is None:
        return _added(text, mapping, name, f" {_scalar(value)}")
    return _replaced(text, own, old, value)


def _entry(mapping: Node | None, name: str) -> tuple[Node | None, Node | None]:
    pairs = mapping.value if isinstance(mapping, MappingNode) else []
    return next(((key, value) for key, value in pairs if key.value == name), (None, None))


def _replaced(text: str, key: Node, old: Node, value: Value) -> str:
    """Put a value in another one's place. A comment behind it stays in its column while there is room."""
    start, end = _span(text, key, old)
    new = _scalar(value, getattr(old, "style", None))
    rest = text[end:]
    behind = rest.lstrip(" ")
    if behind.startswith("#"):
        rest = " " * max(len(rest) - len(behind) + end - start - len(new), 1) + behind
    return text[:start] + (new if text[start - 1] in " \t" else f" {new}") + rest


def _added(text: str, mapping: Node | None, name: str, value: str) -> str:
    """Add a key at the end of a mapping; of the file itself if that is None or has no keys."""
    if not isinstance(mapping, MappingNode):
        return _line_after(text, len(text), f"{name}:{value}")
    if not mapping.value:
        at = mapping.end_mark.index - 1
        return f"{text[:at]}{name}:{value}{text[at:]}"
    end = _end(text, *mapping.value[-1])
    if mapping.flow_style:
        return f"{text[:end]}, {name}:{value}{text[end:]}"
    return _line_after(text, end, f"{' ' * mapping.value[0][0].start_mark.column}{name}:{value}")


def _line_after(text: str, index: int, line: str) -> str:
    """Put a line below the one that `index` is in."""
    newline = _newline(text)
    at = text.find("\n", index)
    if at >= 0:
        return f"{text[: at + 1]}{line}{newline}{text[at + 1 :]}"
    return f"{text}{line}{newline}" if not text or text.endswith("\n") else f"{text}{newline}{line}"


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _span(text: str, key: Node, value: Node) -> tuple[int, int]:
    """Where a value begins and ends; a block ends before the blank lines that follow it, nothing behind the colon."""
    start, end = value.start_mark.index, value.end_mark.index
    if start == end:
        behind_colon = text.find(":", key.end_mark.index) + 1
        return behind_colon, behind_colon
    return start, start + len(text[start:end].rstrip())


def _end(text: str, key: Node, value: Node) -> int:
    """Where an entry ends, with all that is nested in it; what follows may be comments."""
    if isinstance(value, MappingNode) and not value.flow_style:
        return _end(text, *value.value[-1])
    if isinstance(value, SequenceNode) and not value.flow_style:
        return _end(text, key, value.value[-1])
    return _span(text, key, value)[1]


def _scalar(value: Value, style: str | None = None) -> str:
    """As the parameters are read, by which 1e-05 is text and 1.0e-05 a number; in the quotes that were there."""
    if not isinstance(value, str):
        return yaml.safe_dump(value).split("\n")[0]
    if style is None and value.isidentifier() and yaml.safe_load(value) == value:
        return value
    return yaml.safe_dump(value, default_style=style if style in {"'", '"'} else '"', width=10**6, allow_unicode=True)[
        :-1
    ]


def flat(tree: dict, prefix: str = "") -> dict[str, object]:
    out: dict[str, object] = {}
    for name, value in tree.items():
        out |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return out
