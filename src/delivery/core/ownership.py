"""Who owns which file: the fork, the template, or both. Patterns are git's, relative to the repository's root."""

# The five modules of a problem, which `new` writes and `adopt` replaces.
PROBLEM_FOLDER = "src/problem"
PROBLEM_MODULES = ("source.py", "schema.py", "features.py", "model.py", "metrics.py")
PARAMS = "params.yaml"

# The fork's: `upgrade` never touches them. .gitattributes and .github/CODEOWNERS name the same.
FORK = (
    *(f"{PROBLEM_FOLDER}/{name}" for name in sorted(PROBLEM_MODULES)),
    "data.dvc",
    "dvc.lock",
    "reports/**",
    "tests/problem/**",
    "tests/*/problem/**",
)
# Of both: `upgrade` merges it line by line, and where both changed a line the fork's stays.
SHARED = PARAMS

# The template's, as far as a stage depends on it. `make lay` puts it, with more, beside a problem in another repository.
MACHINERY = ("src/delivery", "src/problem/__init__.py", "requirements")
# The template's, in a repository of several models: a change here concerns all of them.
ALL_MODELS = (".github", "src/delivery", "requirements", "pyproject.toml", "Makefile", "Dockerfile")

# Code that a report lists as changed.
CODE = ("src", "dvc.yaml", "requirements")
# Must be committed before a model is registered: records name a commit, and that must be what ran.
RECORDED = (*CODE, PARAMS, "dvc.lock", "data.dvc")
