"""The pages name what is there. Links between the pages of docs/ are checked by the site's own build (`make docs`)."""

import re
import tomllib
from pathlib import Path

import made
import pytest

PAGES = [*made.ROOT.glob("*.md"), *made.ROOT.glob("docs/*.md"), *made.ROOT.glob("tests/**/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(made.ROOT).as_posix())
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'<(?:img|a)[^>]* (?:src|href)="([^"#]+)"', text)
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_every_page_is_in_the_site_and_its_menu() -> None:
    menu = tomllib.loads((made.ROOT / "zensical.toml").read_text())["project"]["nav"]
    listed = {name for entry in menu for name in entry.values()}
    assert listed == {path.name for path in made.ROOT.glob("docs/*.md")}
