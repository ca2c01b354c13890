"""Who owns which file: the fork, the template, or both. Patterns are git's, relative to the repository's root."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

# The five modules of a problem: `new` writes them and `adopt` replaces them.
PROBLEM_FOLDER = "src/problem"
PROBLEM_MODULES = ("source.py", "schema.py", "features.py", "model.py", "metrics.py")
PARAMS = "params.yaml"

# Files of the fork: `upgrade` never changes them. .gitattributes and .github/CODEOWNERS list the same.
FORK = (
    *(f"{PROBLEM_FOLDER}/{name}" for name in sorted(PROBLEM_MODULES)),
    "data.dvc",
    "dvc.lock",
    "reports/**",
    "tests/problem/**",
    "tests/*/problem/**",
)
# Those of the fork that hold no code: data, and results.
RECORDS = ("data.dvc", "dvc.lock", "reports/**")
# A file of both: `upgrade` merges it line by line; if both changed a line, the fork's stays.
SHARED = PARAMS

# Files of the template that a stage depends on. `make lay` copies them, among others, next to a problem in another repository.
MACHINERY = ("src/delivery", "src/problem/__init__.py", "requirements")
# Files of the template in a repository of several models: a change here affects all of them.
ALL_MODELS = (".github", "src/delivery", "requirements", "pyproject.toml", "Makefile", "Dockerfile")

# What judges a pull request: a change here is named in the first lines of its comment. Code owners review it.
JUDGES = (
    ".github",
    "src/delivery",
    "requirements",
    "Makefile",
    "tests",
    "pyproject.toml",  # the tests' settings
    ".pre-commit-config.yaml",
    ".dvc/config",  # where the results come from that a report believes
    "dvc.yaml",
    "data.dvc",  # the test rows are the newest of these
    *(f"{PROBLEM_FOLDER}/{name}" for name in ("source.py", "schema.py", "metrics.py")),
)
# Sections of params.yaml that say which rows a model is judged on, how, and by which limits.
JUDGING_SECTIONS = ("fetch", "validate", "prepare", "evaluate", "compare", "gate", "reproduce")

# Code that a report lists as changed.
CODE = ("src", "dvc.yaml", "requirements")
# Must be committed before a model is registered, because records name the commit that ran.
RECORDED = (*CODE, PARAMS, "dvc.lock", "data.dvc")

# Files that nothing but readers depends on: documentation, except where workflows or tests read it.
DOCUMENTATION = (".md", ".png")
NOT_DOCUMENTATION = (".github", ".prose", "src", "tests", "reports", "docs/reference", "docs/callers")


def is_documentation(path: str) -> bool:
    """Return whether a file only informs readers, so that a change to it cannot change a model, a test or a delivery."""
    pure = PurePosixPath(path)
    if any(pure.is_relative_to(folder) for folder in NOT_DOCUMENTATION):
        return False
    return path == "LICENSE" or pure.suffix == ".md" or (pure.suffix in DOCUMENTATION and pure.is_relative_to("docs"))


def is_parameters(path: str) -> bool:
    """Return whether a file holds parameters, data or results, and no code."""
    return path == SHARED or _matches(path, RECORDS)


def is_problem(path: str) -> bool:
    """Return whether a file belongs to the problem: the fork's own, or the parameters."""
    return path == SHARED or _matches(path, FORK)


def _matches(path: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(_expression(pattern), path) for pattern in patterns)


def _expression(pattern: str) -> str:
    """Return git's pattern as a regular expression: `**` matches any path, `*` part of one name."""
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"**": ".+", "*": "[^/]+"}.get(part, re.escape(part)) for part in parts)
