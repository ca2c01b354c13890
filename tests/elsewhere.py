"""`pytest --skipped-in=FOLDER`: only the tests that the last run in another checkout skipped.

A machine that lacks a program skips the tests that need it. Where the program is there, only these are left to run.
"""

import json
import re
from pathlib import Path

import pytest

RECORD = "delivery/skipped"  # in pytest's cache: the tests whose last run was a skip
GROUP = re.compile(r"@\w+$")  # that pytest-xdist adds to the id of a test


class Skips:
    """Keeps the record, in the process that sees the reports of all workers."""

    def __init__(self, config: pytest.Config) -> None:
        assert config.cache is not None
        self.cache = config.cache
        self.skipped = set(config.cache.get(RECORD, []))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skip in any phase; a test that is called, or fails before that, is none any more."""
        name = GROUP.sub("", report.nodeid)
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.add(name)
        elif report.when == "call" or report.failed:
            self.skipped.discard(name)

    def pytest_sessionfinish(self) -> None:
        """Write the record."""
        self.cache.set(RECORD, sorted(self.skipped))


def add_option(parser: pytest.Parser) -> None:
    """Declare the option. Its value follows `=`: before this file is read, pytest takes a word alone for a folder of tests."""
    about = "run only the tests that the last run in the checkout FOLDER skipped"
    parser.addoption("--skipped-in", type=Path, metavar="FOLDER", help=about)


def configure(config: pytest.Config) -> None:
    """Keep the record of this checkout, unless this is a worker or pytest's cache is off.

    Raise `UsageError` if no tests ran in the checkout that the option names.
    """
    if config.option.skipped_in and not _record(config).exists():
        raise pytest.UsageError(
            f"--skipped-in={config.option.skipped_in}: no tests ran there; {_record(config)} is missing"
        )
    if not hasattr(config, "workerinput") and hasattr(config, "cache") and not config.option.collectonly:
        config.pluginmanager.register(Skips(config), "skips")


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave only what was skipped there, if the option asks for it."""
    if config.option.skipped_in:
        skipped = set(json.loads(_record(config).read_text()))
        chosen = [GROUP.sub("", item.nodeid) in skipped for item in items]
        config.hook.pytest_deselected(items=[item for item, kept in zip(items, chosen, strict=True) if not kept])
        items[:] = [item for item, kept in zip(items, chosen, strict=True) if kept]


def _record(config: pytest.Config) -> Path:
    folder: Path = config.option.skipped_in
    return folder / ".pytest_cache" / "v" / RECORD
