"""Other problems take the sample's place by the documented steps, and nothing else is touched.

What runs in each fork is a slice; EXAMPLES=whole runs the machinery's suites whole (two minutes of processor each).
"""

import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest
import sample
import yaml

from delivery.core import ownership
from delivery.core.ownership import PROBLEM_MODULES

EXAMPLES = sorted(path.name for path in (sample.ROOT / "examples").iterdir() if path.is_dir())
MOST_FILES, MOST_LINES = 6, 250
SHARED_MACHINE = {
    "gate.latency_us": 100_000, "loadtest.users": 2, "loadtest.seconds": 1, "loadtest.max_p95_ms": 5000,
    "loadtest.min_rps": 1, "compare.resamples": 400, "compare.score_resamples": 50,
}  # fmt: skip
SLICE = [
    "tests/unit/stats/test_task.py",
    "tests/unit/decision/test_compare.py",
    "tests/unit/decision/test_gate.py",
    "tests/unit/decision/test_report.py",
    "tests/unit/pipeline/test_export.py",
    "tests/unit/pipeline/test_train.py",
    "tests/convergence/test_behaviour.py",
]
SLICE += ["tests/artifacts/test_schemas.py", "tests/service/test_contract.py"]
WHOLE = ["tests/unit", "tests/convergence", "tests/artifacts", "tests/service"]

pytestmark = pytest.mark.xdist_group("examples")


def fork(name: str, to: Path) -> Path:
    """docs/how-to/new-problem.md word by word, until the first model is committed."""
    for file in sample.git(sample.ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (sample.ROOT / file).is_file():
            (to / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(sample.ROOT / file, to / file)
    sample.git(to, "init", "--quiet", "--initial-branch", "main")
    sample.commit(to, "The template")
    sample.git(to, "tag", "template")
    sample.run(to, "adopt", f"examples/{name}")
    sample.commit(to, "Our problem")
    sample.git(to, "tag", "swapped")
    sample.change(to, SHARED_MACHINE)
    sample.repro(to)
    sample.commit(to, "The first model")
    return to


@pytest.fixture(scope="module", params=EXAMPLES)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fork(request.param, tmp_path_factory.mktemp(request.param) / "fork")


def owned(path: str) -> bool:
    return path == ownership.SHARED or any(fnmatch(path, pattern) for pattern in ownership.FORK)


def test_a_swap_touches_few_files_and_no_machinery(project: Path, capsys: pytest.CaptureFixture) -> None:
    table = [
        line.split("\t")
        for line in sample.git(project, "diff", "--numstat", "--no-renames", "template", "swapped").splitlines()
    ]
    schedules = {".github/workflows/batch.yml", ".github/workflows/drift.yml"}  # fitted to the problem's periods
    assert all(added == "1" for added, _, path in table if path in schedules)
    table = [row for row in table if row[2] not in schedules]
    assert all(owned(path) for _, _, path in table)
    written = {path: int(added) for added, _, path in table if added != "0" and path != "data.dvc"}
    with capsys.disabled():
        print(f"\n{project.parent.name[:-1]}: {len(written)} files, {sum(written.values())} lines written")
    assert set(written) == {*(f"src/problem/{name}" for name in PROBLEM_MODULES), "params.yaml"}
    assert len(written) <= MOST_FILES
    assert sum(written.values()) <= MOST_LINES
    whole = sum(len((project / path).read_text().splitlines()) for path in written if path != "params.yaml")
    assert whole <= MOST_LINES


def test_the_whole_loop_runs(project: Path) -> None:
    """Report, gate, registry, service with contract and load, and the drift check."""
    said = sample.run(project, "run").stdout
    assert "register: version 1 (new)" in said
    assert "checks hold at" in said
    assert "== summary" in said
    assert (project / "reports" / "report.md").read_text().startswith("**")
    assert (project / "reports" / "drift.md").exists()
    assert sample.git(project, "status", "--porcelain") == ""


def test_the_machinery_s_tests_pass_as_they_are(project: Path) -> None:
    suites = WHOLE if os.environ.get("EXAMPLES") == "whole" else SLICE
    words = ["-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", *suites]
    done = sample.python(project, *words, code=None, cold=True)  # what they start they also kill
    assert not done.returncode, done.stdout[-6000:]
    assert " passed" in done.stdout


def test_a_fork_takes_the_template_s_later_changes(project: Path, tmp_path: Path) -> None:
    """The template changes machinery, a parameter, the sample, its results and its tests; the fork merges and runs."""
    template = tmp_path / "template"
    sample.git(tmp_path, "clone", "--quiet", str(project), str(template))
    sample.git(template, "checkout", "--quiet", "-B", "main", "template")
    for name in ("src/problem/model.py", "src/problem/schema.py", "src/delivery/pipeline/validate.py"):
        (template / name).write_text((template / name).read_text() + "\n# a later thought\n")
    lock = template / "dvc.lock"
    lock.write_text(lock.read_text().replace("md5: ", "md5: f", 1))
    (template / "tests" / "unit" / "problem" / "test_new.py").write_text(
        "from problem import schema\n\nschema.Flight\n"
    )
    sample.change(template, {"gate.model_mb": 21})
    later = sample.commit(template, "Later")
    before = {name: (project / "src" / "problem" / name).read_text() for name in PROBLEM_MODULES}
    said = sample.run(project, "upgrade", "--source", str(template)).stdout
    assert f"upgrade: merged {later[:8]}" in said
    assert {name: (project / "src" / "problem" / name).read_text() for name in PROBLEM_MODULES} == before
    assert not list((project / "tests").rglob("problem"))
    assert (project / "src" / "delivery" / "pipeline" / "validate.py").read_text().endswith("# a later thought\n")
    assert yaml.safe_load((project / "params.yaml").read_text())["fetch"]["until"].startswith("2024")
    sample.repro(project)
    sample.commit(project, "Upgraded")
    sample.run(project, "compare")
    assert "pass" in sample.run(project, "gate").stdout
    assert sample.run(project, "upgrade", "--source", str(template)).stdout == "upgrade: nothing new\n"
