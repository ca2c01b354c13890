"""One folder of tests/ and its outcome: the exit code, and what the summary of the run shows."""

from pathlib import Path

import pytest

from delivery.__main__ import main
from delivery.ci import suite


@pytest.fixture
def summary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The summary of the run, in a folder with three suites."""
    tests = {
        "good": "def test_one(): ...\n",
        "bad": "def test_one(): ...\n\ndef test_two():\n    assert 1 == 2, 'of `no` use'\n",
        "none": "",
    }
    for name, text in tests.items():
        (folder / "tests" / name).mkdir(parents=True)
        (folder / "tests" / name / f"test_{name}.py").write_text(text)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return folder / "summary.md"


def test_a_suite_that_passes_is_counted(summary: Path) -> None:
    assert main(["suite", "good"]) == 0
    assert summary.read_text().startswith("**✅ good**: 1 tests, 0 failed, 0 skipped, ")


def test_a_suite_that_fails_names_the_tests_and_why(summary: Path) -> None:
    assert main(["suite", "bad"]) == 1
    first, *failures = summary.read_text().strip().splitlines()
    assert first.startswith("**❌ bad**: 2 tests, 1 failed, 0 skipped, ")
    assert failures == ["- `tests.bad.test_bad::test_two`: `AssertionError: of 'no' use assert 1 == 2`"]


def test_a_suite_without_tests_fails(summary: Path) -> None:
    assert main(["suite", "none"]) == 1


def test_a_suite_that_does_not_exist_is_refused_with_those_that_do(
    summary: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["suite", "godo"]) == 1
    assert capsys.readouterr().err.startswith("error: tests/godo is missing; ")


def test_a_summary_lists_the_first_failures_only() -> None:
    cases = "".join(f"<testcase name='{number}'><failure message='no'/></testcase>" for number in range(100))
    page = suite.markdown("unit", suite.ElementTree.fromstring(f"<testsuite failures='100'>{cases}</testsuite>"))
    assert page.count("\n") == suite.SHOWN
