"""Reckon how many minutes GitHub bills for a pull request, from its opening to its promotion.

    .venv/bin/python benchmarks/minutes.py

Which jobs and steps run is taken from runs of the real workflows in the stand-in for GitHub (tests/workflows). What a step
takes comes from two tables below: MEASURED on the project itself, with the command, and GITHUB, which is assumed for what
only GitHub's machines can show. Each job is rounded up to a minute, as GitHub does.

The artifacts that the runs leave are priced as well: the size of the project's own files, compressed (`make run` makes them),
for as long as their step keeps them. GitHub counts a private repository's by the hour.
"""

import io
import json
import math
import re
import sys
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "workflows"), str(ROOT / "tests")]

import conftest  # noqa: E402
import edits  # noqa: E402
import warm  # noqa: E402
from harness import rules, template  # noqa: E402
from harness.runner import HERE, Machine, Run  # noqa: E402
from harness.world import World  # noqa: E402

# Seconds on two shared cores while other work ran, each of one run: what is reckoned with them is rather too much.
MEASURED = (
    (r"delivery review", 18.5),  # of a changed learning rate, with every stage made again
    (r"delivery reproduce", 2.6),  # with the results in DVC's cache
    (r"delivery promote measure", 18.5),  # as the review: the same stages and comparisons
    (r"delivery promote apply", 14.9 + 5),  # `delivery rehearse` with its load test; the records are assumed
    (r"delivery rehearse", 1.9 + 3),  # `delivery rehearse --contract`; the container's start is assumed
    (r"delivery scan", 30.0),  # assumed: Grype first downloads and unpacks its list of vulnerabilities
    (r"make check BASE", 11.2),  # `pre-commit run --files README.md`; of params.yaml 1.0
    (r"make check", 46.8),  # all files, without a cache of mypy
    (r"delivery ", 2.0),  # any other verb: the import of its libraries and some requests
)
# `delivery suite NAME`. Those of the machinery from docs/benchmarks.md, summed over two workers there and so halved here;
# `scale` and `service/problem` were not measured, so that the sums are too small where they run.
SUITES = {
    "artifacts": 34.2, "convergence": 15.2, "unit/problem": 55.1, "workflows": 310.0, "integration": 118.0, "unit": 70.0,
    "deploy": 43.0, "service": 30.0, "scale": 0.0, "service/problem": 0.0, "problem": 0.0,
}  # fmt: skip
# The environment of a set as `tar | zstd -3`, in MB, and the seconds to unpack it: `dev` measured, `pipeline` by the ratio of
# their sizes on disk (docs/benchmarks.md).
ENVIRONMENTS = {"": (0.0, 0.0), "dev": (390.0, 4.2), "pipeline": (250.0, 2.7), "dev scale": (500.0, 5.4)}
# Assumed for GitHub's machines.
RATE = 100.0  # MB a second from the cache
START = 8.0  # "Set up job", which downloads the actions, and "Complete job"
GITHUB = (
    (r"checkout@", 2.0),
    (r"upload-artifact@|download-artifact@", 2.0),
    (r"setup-buildx-action@", 8.0),
    (r"build-push-action@", 50.0),  # no layers are cached: the libraries come from PyPI
    (r"sbom-action@", 15.0),
    (r"download-grype@", 5.0),
    (r"attest-build-provenance@", 5.0),
    (r"create-github-app-token@|login-action@", 1.0),
    (r"actions/cml@|actions/runner@|actions/models@", 2.0),
)
PYTHON, HISTORY, STORE = 1.0, 2.0, 4.0  # seconds of a set-up: setup-python, every branch, the store and DVC's cache
# What is in each artifact of a model, by the first word of its name.
CONTENTS = {
    "review": ("reports",),
    "results": ("artifacts",),
    "model": ("artifacts",),
    "measured": ("artifacts", "reports"),
}
FREE = 0.5 * 730  # GB hours a month that GitHub Free includes
README = edits.appended("README.md", "\nA sentence.\n")


def main() -> None:
    """Print the jobs of each event, and the sums."""
    with tempfile.TemporaryDirectory() as scratch:
        table = events(Path(scratch))
    for title, (runs, kept) in table.items():
        bill = billed(runs)
        print(f"\n### {title}: {len(bill)} jobs, {sum(bill.values())} minutes\n\n| job | minutes |\n|---|---:|")
        print("\n".join(f"| {name} | {minutes} |" for name, minutes in bill.items()))
        hours = sum(map(stored, kept))
        print(f"\nArtifacts: {', '.join(kept) or 'none'}; {hours:.2f} GB hours of Free's {FREE:.0f} a month")


def stored(name: str) -> float:
    """Return the GB hours of an artifact until GitHub deletes it."""
    (days,) = {
        step["with"]["retention-days"]
        for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
        for job in rules.load(path.read_text())["jobs"].values()
        for step in job.get("steps", [])
        if "/upload-artifact@" in step.get("uses", "") and step["with"]["name"].partition("$")[0] == name
    }
    return compressed(*CONTENTS[name]) / 1e9 * days * 24


def compressed(*folders: str) -> int:
    """Return the bytes of the project's folders as the zip file that GitHub keeps."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as file:
        for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.is_file()):
            file.write(path, path.relative_to(ROOT))
    return len(packed.getvalue())


def events(folder: Path) -> dict[str, tuple[list[Run], list[str]]]:
    """Return the runs that a change of the README sets off, one of a parameter, and the merge of that, with their artifacts."""
    machine = prepared(folder)
    source, program = folder / "sample", machine.venv / "bin" / "python"
    source.mkdir()
    template.sample(source)
    origin = template.build(made(folder / "fresh"), source / "spring", program)
    conftest.settle(made(folder / "settled"), origin, machine, None)
    found = {}
    for name, edit in (("A change of README.md", README), ("A change of a parameter", edits.BETTER)):
        with conftest.copied(folder / "settled" / "origin.git", made(folder / name[-6:]), machine, None) as there:
            number = there.propose("change", edit)
            found[f"{name}, until the comment"] = with_artifacts(there, there.settle())
            found[f"{name}, merge and promotion"] = with_artifacts(there, merged(there, number))
    return found


def with_artifacts(there: World, runs: list[Run]) -> tuple[list[Run], list[str]]:
    """Return the runs with the names of the artifacts that they left."""
    folders = [there.hub.folder / "artifacts" / str(run.id) for run in runs]
    return runs, [path.name for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]


def merged(there: World, number: int) -> list[Run]:
    """Merge the pull request and return the runs that follow."""
    there.merge(number)
    return there.settle()


def made(folder: Path) -> Path:
    """Return the folder, which is new."""
    folder.mkdir(parents=True)
    return folder


def prepared(folder: Path) -> Machine:
    """Return the machine of the scenarios."""
    import os

    path = os.pathsep.join(map(str, [HERE / "bin", "/usr/local/bin", "/usr/bin", "/bin"]))
    variables = {
        "PATH": path, "PYTHONPATH": "src", "MPLCONFIGDIR": str(made(folder / "mpl")), "GIT_PAGER": "cat",
        "GIT_CONFIG_NOSYSTEM": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(folder / "uv")),
    }  # fmt: skip
    return Machine(warm.environment(), HERE / "cml", made(folder / "runs"), variables)


def billed(runs: list[Run]) -> dict[str, int]:
    """Return the minutes of each job, each rounded up."""
    seconds: dict[str, float] = defaultdict(lambda: START)
    for run in runs:
        for job, matrix, step in run.steps:
            values = json.loads(matrix)
            suite = f" ({', '.join(map(str, values.values()))})" if values else ""
            seconds[f"{run.workflow} {run.id} on {run.event}: {job}{suite}"] += of(step, definition(job), values)
    return {re.sub(r" \d+ on", " on", name) + repeat(name): math.ceil(value / 60) for name, value in seconds.items()}


def repeat(name: str) -> str:
    """Return the id of the run, by which two runs of a workflow are told apart."""
    return f" [{re.findall(r' ([0-9]+) on', name)[0]}]"


def definition(job: str) -> dict[str, Any]:
    """Return what the workflow files say about a job; called ones first, because a caller has the same name."""
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"), key=lambda path: not path.name.startswith("_")):
        about = rules.load(path.read_text())["jobs"].get(job, {})
        if "steps" in about:
            return dict(about)
    raise KeyError(job)


def of(step: str, job: dict[str, Any], matrix: dict[str, str]) -> float:
    """Return the seconds of a step."""
    if "/actions/setup@" in step:
        (given,) = [step.get("with", {}) for step in job["steps"] if step.get("uses", "").endswith("/actions/setup")]
        return set_up(given, matrix)
    if "delivery suite" in step:
        return suites(job, matrix)
    if step.strip().startswith("make check") and "BASE" not in step:
        return 46.8
    return next((seconds for pattern, seconds in (*MEASURED, *GITHUB) if re.search(pattern, step)), 0.0)


def set_up(given: dict[str, Any], matrix: dict[str, str]) -> float:
    """Return the seconds of the action that begins a job."""
    requirements = given.get("requirements", "pipeline")
    if "matrix" in requirements:
        requirements = "dev scale" if matrix.get("suite") == "scale" else "dev"
    megabytes, unpacking = ENVIRONMENTS[requirements]
    environment = PYTHON + megabytes / RATE + unpacking if requirements else 0.0
    store = STORE if requirements and given.get("store") != "false" else 0.0
    return 2.0 + (HISTORY if str(given.get("fetch-depth")) == "0" else 0.0) + environment + store


def suites(job: dict[str, Any], matrix: dict[str, str]) -> float:
    """Return the seconds of the test folders that a job runs; in a job without a matrix, those of a changed parameter."""
    if suite := matrix.get("suite"):
        return SUITES[suite]
    return SUITES["convergence"] + SUITES["artifacts"]


if __name__ == "__main__":
    main()
