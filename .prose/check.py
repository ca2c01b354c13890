"""Check prose: `python .prose/check.py FILE...` reports phrases this project does not use, and what proselint finds.

Reads Markdown without its code, and the comments, docstrings and messages of Python files. The phrases, each with what to
write instead, are in phrases.tsv. Exits with 1 if it has found anything.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from proselint import checks
from proselint.config import DEFAULT
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

PHRASES = Path(__file__).parent / "phrases.tsv"
# What people write as code, and where links lead to. `_` stands for it, so that the words around it stay apart.
CODE = re.compile(r"^[ \t]*```.*?^[ \t]*```|`[^`]+`|\]\([^)]*\)|<!--.*?-->|<[^>\n]+>", re.DOTALL | re.MULTILINE)
# Quotes and dashes are plain ASCII here, a table repeats its cells, and "very" is a word.
OFF = {"typography": False, "lexical_illusions": False, "weasel_words": False}
PROSELINT = {"max_errors": 1000, "checks": DEFAULT["checks"] | OFF}
CheckRegistry().register_many(checks.__register__)


def phrases() -> list[tuple[re.Pattern[str], str]]:
    """Return each unwanted phrase as a pattern that also matches across line breaks, with what to write instead."""
    lines = [line for line in PHRASES.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [line.split("\t") for line in lines]
    spread = [(old.replace(" ", r"\s+"), new) for old, new in pairs]
    return [(re.compile(rf"(?<!\w)(?:{old})(?!\w)", re.IGNORECASE), new) for old, new in spread]


def blank(text: str) -> str:
    """Return the text with everything but line breaks replaced by `_`."""
    return re.sub(r"[^\n]", "_", text)


def markdown(text: str) -> str:
    """Return the text with everything that is not prose blanked out, at the same positions."""
    return CODE.sub(lambda match: blank(match.group()), text)


def python(text: str) -> str:
    """Return comments and strings of more than one word at their positions, and blanks elsewhere."""
    lines = [blank(line) for line in text.split("\n")]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        comment = token.type == tokenize.COMMENT
        if not comment and not (token.type == tokenize.STRING and " " in token.string):
            continue
        words = token.string if comment else re.sub(r"\{[^{}]*\}", lambda match: blank(match.group()), token.string)
        (row, column), parts = token.start, markdown(words).split("\n")
        for number, part in enumerate(parts, row - 1):
            start = column if number == row - 1 else 0
            lines[number] = lines[number][:start] + part + lines[number][start + len(part) :]
    return "\n".join(lines)


def check(path: Path) -> Iterator[str]:
    """Yield a line for each finding, in the form that editors open."""
    text = path.read_text(encoding="utf-8")
    prose = python(text) if path.suffix == ".py" else markdown(text)
    found = []
    for pattern, advice in phrases():
        for match in pattern.finditer(prose):
            words = " ".join(match.group().split())
            found.append((prose.count("\n", 0, match.start()) + 1, f"'{words}': {advice}"))
    if path.suffix != ".py":
        for result in LintFile(path, prose).lint(PROSELINT):
            found.append((result.pos[0], result.check_result.message))
    for line, message in sorted(found):
        yield f"{path}:{line}: {message}"


if __name__ == "__main__":
    findings = [finding for name in sys.argv[1:] for finding in check(Path(name))]
    if findings:
        print("\n".join(findings))
    sys.exit(bool(findings))
