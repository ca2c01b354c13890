"""Markdown for people: tables, folded sections, a page for the terminal.

Text that code of a pull request may have chosen goes through `escaped`: GitHub renders images from anywhere,
mentions that send mail, references that appear on other pages and links that mislead.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import Protocol

from delivery.stats.verdicts import ComparisonResult, Rule

SAME = 1e-6  # of the primary metric: the last bits differ between two ways to compute it
SIGN = {"pass": "✅", "warn": "⚠️", "fail": "❌"}
BREAK = "\u200b"  # an invisible space, which ends a mention, a reference or an address
LIVE = (
    (re.compile(r"@"), "@" + BREAK),
    (re.compile(r"#(?=\d)"), "#" + BREAK),
    (re.compile(r"(?i)\bGH-(?=\d)"), "GH-" + BREAK),
    (re.compile(r"(?i):(?=//)|(?<=mailto):|(?<=xmpp):"), BREAK + ":"),
    (re.compile(r"(?i)(?<=www)\."), BREAK + "."),
    (
        re.compile(r"\](?=[(\[:])"),
        "]" + BREAK,
    ),  # links; a definition needs this as well, and brackets without one are text
)
COMMIT = re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{7,40}(?![0-9A-Za-z])")  # GitHub links seven digits or more
MARKUP = re.compile(r"[\\`*~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


class Bounded(Protocol):
    """Any row that has the ends of an interval."""

    @property
    def low(self) -> float:
        """Return the lower end."""
        ...

    @property
    def high(self) -> float:
        """Return the upper end."""
        ...


def escaped(text: str) -> str:
    """Return the text as one line of Markdown that shows its characters and has no other effect, also within a table.

    Remove control characters: those that are invisible or change the direction of the text.
    """
    text = " ".join(re.split(r"[\s\u2028\u2029]+", text)).replace("|", "/")
    text = "".join(character for character in text if not unicodedata.category(character).startswith("C"))
    for pattern, replacement in LIVE:
        text = pattern.sub(replacement, text)
    text = COMMIT.sub(lambda match: BREAK.join(re.findall(r".{1,6}", match[0])), text)
    return MARKUP.sub(r"\\\g<0>", html.escape(text, quote=False)).replace("$", "&#36;")  # formulas


def code(text: str) -> str:
    """Return the text as code if nothing in it needs to be escaped."""
    return f"`{text}`" if text and escaped(text) == text == text.strip() else escaped(text)


def interval(row: Bounded) -> str:
    """Return the interval of a value."""
    return f"[{row.low:.4f}, {row.high:.4f}]"


def signed_interval(row: Bounded) -> str:
    """Return the interval of a difference."""
    return f"[{row.low:+.4f}, {row.high:+.4f}]"


def sentence(result: ComparisonResult) -> str:
    """Return the outcome in plain words: the primary metric's difference, its interval, the rows."""
    comparison = result.comparison
    if comparison is None:
        return f"Nothing to compare with: {escaped(result.reason)}"
    row = comparison.primary_row()
    difference = f"{signed_interval(row)} {escaped(comparison.primary.replace('_', ' '))}"
    rows = f"on the same {comparison.rows:,} rows ({comparison.blocks} {escaped(comparison.block)}s)"
    rows += f" as {escaped(result.against or '')}"
    if max(abs(row.low), abs(row.high)) < SAME:
        return f"The same predictions {rows}"
    if row.verdict == "within noise":
        return f"Within noise: {row.difference:+.4f} {difference} {rows}"
    return f"{row.verdict.capitalize()} by {abs(row.difference):.4f} {difference} {rows}"


def rule_table(rules: Sequence[Rule]) -> str:
    """Return the rules of the gate, each with its verdict and evidence."""
    lines = [
        f"| {SIGN[rule.verdict]} {rule.verdict} | {escaped(rule.name)} | {escaped(rule.evidence)} |" for rule in rules
    ]
    return "\n".join(["| verdict | rule | evidence |", "|---|---|---|", *lines]) + "\n"


def folded(title: str, body: str) -> str:
    """Return a section that a click unfolds."""
    return f"<details><summary><b>{title}</b></summary>\n\n{body}\n\n</details>"


def terminal_text(page: str) -> str:
    """Return the page for a terminal: without HTML, images and escapes."""
    page = re.sub(r"```mermaid.*?```", "", page, flags=re.DOTALL)
    page = re.sub(r"</?details>|<img[^>]*>|</?b>|\*\*", "", page)
    page = re.sub(r"<summary>(.*?)</summary>", r"## \1", page)
    page = re.sub(r"\\([\\`*~_])", r"\1", page)
    page = html.unescape(page).replace(BREAK, "")
    return re.sub(r"\n{3,}", "\n\n", page).strip()
