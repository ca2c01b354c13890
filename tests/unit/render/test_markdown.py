"""Unreviewed text shows its characters and has no other effect."""

import html
import re

import hostile
import pytest

from delivery.render import markdown


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_a_hostile_text_has_no_live_markup(text: str) -> None:
    shown = markdown.escaped(text)
    assert not [live for live in hostile.LIVE if live in shown]
    assert "\n" not in shown
    assert "|" not in shown
    assert "<" not in shown
    assert not re.search(r"(?<!\\)[`*~]", shown.replace("\\\\", "")), "markup that is not escaped"
    assert not re.search(r"(?<![\\A-Za-z0-9])_", shown)
    assert "$" not in shown
    assert not re.search(r"\][(\[:]", shown)


@pytest.mark.parametrize(
    "text", ["log_loss", "origin=EWR", "src/old name/features.py", "0.5", "µs ± 3 %", "a, b; c: d", "route=A (x)"]
)
def test_a_harmless_text_is_unchanged(text: str) -> None:
    assert markdown.escaped(text) == text


def test_an_escaped_text_reads_the_same() -> None:
    text = "a*b [1] <c> & `d` $e$ __f__ \\g"
    assert markdown.terminal_text(markdown.escaped(text)) == text


def test_white_space_becomes_one_space_and_a_bar_a_slash() -> None:
    assert markdown.escaped("a\r\n\t b|c\u2028d") == "a b/c d"


def test_code_is_for_text_that_needs_no_escape() -> None:
    assert markdown.code("train.learning_rate") == "`train.learning_rate`"
    assert markdown.code("a`b") == "a\\`b"
    assert markdown.code(" @ada") == f" @{markdown.BREAK}ada"
    assert markdown.code("") == ""


@pytest.mark.parametrize("number", ["1234567", "deadbee", "a" * 40])
def test_a_possible_commit_does_not_become_a_link(number: str) -> None:
    shown = markdown.escaped(f"see {number}.")
    assert number not in shown
    assert html.unescape(shown).replace(markdown.BREAK, "") == f"see {number}."
    assert "f" * 41 in markdown.escaped("f" * 41)
    assert "123456 abcdef" in markdown.escaped("123456 abcdef")
