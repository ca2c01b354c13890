"""GitHub's expressions, as far as the conditions of jobs and the names of queues use them.

docs.github.com: actions/reference/workflows-and-actions/expressions
"""

import json
import re
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(\d+(?:\.\d+)?)|([A-Za-z_][\w-]*)|(==|!=|&&|\|\||[!().,*\[\]]))")
PLACE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
CONSTANTS = {"true": True, "false": False, "null": None}


def filled(text: Any, contexts: Json) -> Any:
    """The text with the values of its expressions; the value itself where the text is one expression."""
    if not isinstance(text, str):
        return text
    if (whole := PLACE.fullmatch(text.strip())) and "${{" not in whole[1]:
        return value(whole[1], contexts)
    return PLACE.sub(lambda found: string(value(found[1], contexts)), text)


def true(condition: Any, contexts: Json) -> bool:
    """Whether a condition holds, with or without `${{ }}` around it."""
    found = filled(condition, contexts)
    return bool(value(found, contexts) if found == condition and isinstance(found, str) else found)


def value(text: str, contexts: Json) -> Any:
    """The value of an expression; what a context lacks is null."""
    parser = Parser(text, contexts)
    found = parser.either()
    assert parser.token() == "", f"cannot read {text!r} from {parser.token()!r} on"
    return found


def string(found: Any) -> str:
    if found is None or isinstance(found, bool):
        return "" if found is None else str(found).lower()
    return f"{found:g}" if isinstance(found, float) else str(found)


def same(left: Any, right: Any) -> bool:
    """Texts are equal whatever their case; null, booleans and texts are compared as numbers where types differ."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    return left == right if type(left) is type(right) else number(left) == number(right)


def number(found: Any) -> float:
    try:
        return float(found or 0)
    except (TypeError, ValueError):
        return float("nan")


def contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(same(item, what) for item in where)
    return string(what).lower() in string(where).lower()


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": contains,
    "format": lambda text, *values: re.sub(r"\{(\d+)\}", lambda found: string(values[int(found[1])]), text),
    "startswith": lambda text, start: string(text).lower().startswith(string(start).lower()),
    "fromjson": json.loads,
    "tojson": lambda found: json.dumps(found, indent=2),
    "always": lambda: True,
    "cancelled": lambda: False,
    "success": lambda: True,
    "failure": lambda: False,
}


class Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str, contexts: Json) -> None:
        self.contexts = contexts
        self.tokens: list[str] = []
        at = 0
        while text[at:].strip():
            found = TOKEN.match(text, at)
            assert found, f"cannot read {text!r} from {text[at:]!r} on"
            self.tokens.append(found[0].strip())
            at = found.end()

    def token(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, *wanted: str) -> str:
        """The next token if it is one of these, or any."""
        return self.tokens.pop(0) if not wanted or self.token() in wanted else ""

    def either(self) -> Any:
        found = self.both()
        while self.take("||"):
            other = self.both()
            found = found or other
        return found

    def both(self) -> Any:
        found = self.compared()
        while self.take("&&"):
            other = self.compared()
            found = found and other
        return found

    def compared(self) -> Any:
        found = self.negated()
        while sign := self.take("==", "!="):
            found = same(found, self.negated()) is (sign == "==")
        return found

    def negated(self) -> Any:
        return not self.negated() if self.take("!") else self.path()

    def path(self) -> Any:
        found = self.primary()
        while sign := self.take(".", "["):
            if sign == "[":
                key = self.either()
                assert self.take("]")
                found = _entry(found, key)
            elif self.take("*"):
                found = list(found.values()) if isinstance(found, dict) else found or []
                if self.take("."):
                    key = self.take()
                    found = [_entry(item, key) for item in found]
            else:
                found = _entry(found, self.take())
        return found

    def primary(self) -> Any:
        word = self.take()
        if word == "(":
            found = self.either()
            assert self.take(")")
            return found
        if word.startswith("'"):
            return word[1:-1].replace("''", "'")
        if word[:1].isdigit():
            return float(word) if "." in word else int(word)
        if self.token() == "(":
            return FUNCTIONS[word.lower()](*self.arguments())
        return CONSTANTS[word] if word in CONSTANTS else self.contexts.get(word)

    def arguments(self) -> list[Any]:
        self.take()
        found: list[Any] = []
        while not self.take(")"):
            found.append(self.either())
            self.take(",")
        return found


def _entry(found: Any, key: Any) -> Any:
    if isinstance(found, list) and isinstance(key, int):
        return found[key] if key < len(found) else None
    return found.get(key) if isinstance(found, dict) else None
