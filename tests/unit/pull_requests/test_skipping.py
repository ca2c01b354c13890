"""Words in a commit's message that keep GitHub from starting workflows."""

import pytest

from delivery.pull_requests import skipping


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("Half a thought [skip ci]", "[skip ci]"),
        ("Words\n\n[CI SKIP] because it is late", "[ci skip]"),
        ("Words [no ci]", "[no ci]"),
        ("[skip actions] words", "[skip actions]"),
        ("[actions skip] words", "[actions skip]"),
        ("Words\n\n\nskip-checks: true", "skip-checks: true"),
        ("Words\n\n\nReviewed-by: ada\nskip-checks:true\n", "skip-checks:true"),
        ("Say when to skip ci", ""),
        ("Words about skip-checks: true and more", ""),
        ("", ""),
    ],
)
def test_a_mark_is_found_as_github_finds_it(message: str, found: str) -> None:
    assert skipping.mark(message) == found
