"""The pages name what exists. Links between the pages of docs/ are checked by the site's own build (`make docs`)."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made
import pytest

from delivery.__main__ import parser
from delivery.core import programs

DOCS = made.ROOT / "docs"
SITE = sorted(DOCS.rglob("*.md"))
SOURCES = [
    made.ROOT / path
    for path in programs.run(["git", "ls-files"], cwd=made.ROOT).stdout.split()
    if Path(path).suffix in (".py", ".yml", ".yaml", ".toml", ".sh", "") and not path.startswith("requirements/")
]
FAKES = {"docs/a.md", "docs/a/b.md", "docs/page.md"}  # pages of a test's own repository
PAGES = [*made.ROOT.glob("*.md"), *SITE, *made.ROOT.glob("tests/**/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(made.ROOT).as_posix())
def test_links_lead_to_existing_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'<(?:img|a)[^>]* (?:src|href)="([^"#]+)"', text)
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_every_page_is_in_the_menu_of_the_site() -> None:
    menu = tomllib.loads((made.ROOT / "zensical.toml").read_text())["project"]["nav"]
    assert sorted(listed(menu)) == [path.relative_to(DOCS).as_posix() for path in SITE]


def listed(menu: list[dict[str, Any]]) -> Iterator[str]:
    for entry in menu:
        for value in entry.values():
            yield from listed(value) if isinstance(value, list) else [value]


def test_pages_that_code_and_workflows_name_exist() -> None:
    named = {(path, page) for path in SOURCES for page in re.findall(r"\bdocs/[\w./-]+\.md\b", path.read_text())}
    assert len(named) > 20
    assert not [(path.name, page) for path, page in named if page not in FAKES and not (made.ROOT / page).exists()]


def test_verbs_that_pages_code_and_workflows_name_exist() -> None:
    """In a code span, or at the start of a command."""
    command = re.compile(
        r"(?:`|^\s*(?:run: |- run: |\$ |@\$\(BIN\)/)?)delivery ([a-z]+)\b(?! [a-z]+ [a-z]+ [a-z]+)", re.MULTILINE
    )
    named = {(path, verb) for path in [*PAGES, *SOURCES] for verb in command.findall(path.read_text())}
    assert len(named) > 50
    assert not [(path.name, verb) for path, verb in named if verb not in verbs()]


def verbs() -> list[str]:
    (choices,) = (action.choices for action in parser([])._actions if action.dest == "verb")
    return [str(choice) for choice in choices or ()]


def test_the_reference_lists_every_verb() -> None:
    assert verbs()
    page = (DOCS / "reference" / "verbs.md").read_text()
    stages = page.partition("`delivery validate`")[2].partition("\n")[0]
    assert not [verb for verb in verbs() if f"`delivery {verb}" not in page and f"`{verb}`" not in stages]


def test_every_decision_has_a_date() -> None:
    entries = (DOCS / "explanation" / "decisions.md").read_text().split("\n### ")[1:]
    assert entries
    assert not [entry for entry in entries if not re.match(r"[^\n]+\n\*20\d\d-\d\d-\d\d\.\* ", entry)]
