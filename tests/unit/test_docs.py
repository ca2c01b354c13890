"""The pages name what exists. Links between the pages of docs/ are checked by the site's own build (`make docs`)."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import made
import pytest

from delivery.__main__ import parser

DOCS = made.ROOT / "docs"
SITE = sorted(DOCS.rglob("*.md"))
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


def test_the_reference_lists_every_verb() -> None:
    verbs = next(action.choices for action in parser([])._actions if action.dest == "verb")
    assert verbs
    page = (DOCS / "reference" / "verbs.md").read_text()
    stages = page.partition("`delivery validate`")[2].partition("\n")[0]
    assert not [verb for verb in verbs if f"`delivery {verb}" not in page and f"`{verb}`" not in stages]


def test_every_decision_has_a_date() -> None:
    entries = (DOCS / "explanation" / "decisions.md").read_text().split("\n### ")[1:]
    assert entries
    assert not [entry for entry in entries if not re.match(r"[^\n]+\n\*20\d\d-\d\d-\d\d\.\* ", entry)]
