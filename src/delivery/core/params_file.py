"""Change values in params.yaml and leave every other byte as a person wrote it.

ruamel.yaml reports the position of each key and value, and new values are put there. Writing the whole file with it
would change line ends, indentation, flow lists and line breaks.
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

    Add a new key at the end of its section, and a new section at the end of the file. Raise `Failure` if the result
    would differ in anything else, as when an anchor shares a value.
    """
    before = tree(text) or {}
    if section in before and not values:
        return text
    current = before.get(section)
    expected = before | {section: (current if isinstance(current, dict) else {}) | dict(values)}
    try:
        out = text if values else _added(text, YAML().compose(text), section, " {}")
        for name, value in values.items():
            out = _with(out, section, name, value)
        result = tree(out)
    except (Failure, YAMLError):
        result = None
    if result != expected:
        lines = ", ".join(f"{name}: {_scalar(value)}" for name, value in values.items())
        raise Failure(f"params.yaml cannot be changed in place; set {lines} under {section}, and run this again")
    return out


def _with(text: str, section: str, name: str, value: Value) -> str:
    root = YAML().compose(text)
    key, mapping = _entry(root, section)
    if key is None:
        return _added(text, root, section, f"{_newline(text)}  {name}: {_scalar(value)}")
    if not isinstance(mapping, MappingNode):  # the section exists and is empty
        return _line_after(text, key.end_mark.index, f"{' ' * (key.start_mark.column + 2)}{name}: {_scalar(value)}")
    own, old = _entry(mapping, name)
    if own is None or old is None:
        return _added(text, mapping, name, f" {_scalar(value)}")
    return _replaced(text, own, old, value)


def _entry(mapping: Node | None, name: str) -> tuple[Node | None, Node | None]:
    pairs = mapping.value if isinstance(mapping, MappingNode) else []
    return next(((key, value) for key, value in pairs if key.value == name), (None, None))


def _replaced(text: str, key: Node, old: Node, value: Value) -> str:
    """Replace a value. A comment after it stays in its column if there is room."""
    start, end = _span(text, key, old)
    new = _scalar(value, getattr(old, "style", None))
    rest = text[end:]
    comment = rest.lstrip(" ")
    if comment.startswith("#"):
        rest = " " * max(len(rest) - len(comment) + end - start - len(new), 1) + comment
    return text[:start] + (new if text[start - 1] in " \t" else f" {new}") + rest


def _added(text: str, mapping: Node | None, name: str, value: str) -> str:
    """Add a key at the end of a mapping, or of the file if `mapping` is not one."""
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
    """Insert a line below the one that contains `index`."""
    newline = _newline(text)
    at = text.find("\n", index)
    if at >= 0:
        return f"{text[: at + 1]}{line}{newline}{text[at + 1 :]}"
    return f"{text}{line}{newline}" if not text or text.endswith("\n") else f"{text}{newline}{line}"


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _span(text: str, key: Node, value: Node) -> tuple[int, int]:
    """Return start and end of a value: a block without the blank lines after it, a missing value right after the colon."""
    start, end = value.start_mark.index, value.end_mark.index
    if start == end:
        after_colon = text.find(":", key.end_mark.index) + 1
        return after_colon, after_colon
    return start, start + len(text[start:end].rstrip())


def _end(text: str, key: Node, value: Node) -> int:
    """Return the end of an entry with everything nested in it, without comments that follow."""
    if isinstance(value, MappingNode) and not value.flow_style:
        return _end(text, *value.value[-1])
    if isinstance(value, SequenceNode) and not value.flow_style:
        return _end(text, key, value.value[-1])
    return _span(text, key, value)[1]


def _scalar(value: Value, style: str | None = None) -> str:
    """Return a value as YAML 1.1, where 1e-05 is text and 1.0e-05 a number, in the quotes of the value it replaces."""
    if not isinstance(value, str):
        return yaml.safe_dump(value).split("\n")[0]
    if style is None and value.isidentifier() and yaml.safe_load(value) == value:
        return value
    return yaml.safe_dump(value, default_style=style if style in {"'", '"'} else '"', width=10**6, allow_unicode=True)[
        :-1
    ]


def flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested mappings as one, with dotted keys such as `drift.min_gain`."""
    out: dict[str, object] = {}
    for name, value in tree.items():
        out |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return out
