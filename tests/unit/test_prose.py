"""The prose check finds phrases wherever people read them, and leaves code alone."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import made
import pytest

SCRIPT = made.ROOT / ".prose" / "check.py"


@pytest.fixture(scope="module")
def prose() -> ModuleType:
    spec = importlib.util.spec_from_file_location("prose_check", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def findings(prose: ModuleType, path: Path, text: str) -> list[str]:
    path.write_text(text)
    return [finding.removeprefix(f"{path}:") for finding in prose.check(path)]


def test_a_phrase_is_found_with_its_line_and_what_to_write(prose: ModuleType, tmp_path: Path) -> None:
    assert findings(prose, tmp_path / "page.md", "One.\n\nPlease mend the file.\n") == ["3: 'mend': write \"fix\""]


def test_a_phrase_is_found_across_a_line_break(prose: ModuleType, tmp_path: Path) -> None:
    (found,) = findings(prose, tmp_path / "page.md", "A check that cries no\nwolf.\n")
    assert found.startswith("1: 'cries no wolf'")


@pytest.mark.parametrize(
    "text",
    ["Run `make lay INTO=there`.", "```\nmake lay\n```\n", "See [the page](lay/mend.md).", "The layer amends it."],
)
def test_code_and_longer_words_are_left_alone(prose: ModuleType, tmp_path: Path, text: str) -> None:
    assert not findings(prose, tmp_path / "page.md", text)


def test_proselint_reads_markdown_as_well(prose: ModuleType, tmp_path: Path) -> None:
    assert any("clich" in found for found in findings(prose, tmp_path / "page.md", "At the end of the day it works.\n"))


def test_of_a_module_comments_docstrings_and_messages_are_read(prose: ModuleType, tmp_path: Path) -> None:
    text = (
        '"""Lay the table."""\n\n'
        "def mend(lay):  # beside it\n"
        "    beside = lay\n"
        '    raise ValueError(f"{lay} has to be fixed; mend it")\n'
    )
    lines = [found.split(":")[0] for found in findings(prose, tmp_path / "module.py", text)]
    assert lines == ["1", "3", "5"]


def test_the_exit_code_says_whether_anything_was_found(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.md", tmp_path / "bad.md"
    good.write_text("Fix it.\n")
    bad.write_text("Mend it.\n")
    for path, code in ((good, 0), (bad, 1)):
        run = subprocess.run([sys.executable, SCRIPT, path], capture_output=True, text=True, check=False)
        assert (run.returncode, bool(run.stdout)) == (code, bool(code)), run.stderr
