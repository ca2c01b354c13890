"""The repository of a scenario: this one, made small. Real months with a sample of the flights, a small model, few tests."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml
from msgspec import Struct
from msgspec.structs import fields

from delivery.core.params import Params
from delivery.core.params_file import edited
from harness.gitserver import environment, git

ROOT = Path(__file__).parents[3]
MONTHS = [f"2013-{month:02d}" for month in range(1, 8)]
SPRING = 4  # of the months are there for all scenarios but those of a drifting summer
SHARE = 0.05  # of the flights
# Tests of the scenario's repository: the suites are there, each with next to nothing in it.
SUITES = ("unit", "convergence", "service", "workflows", "artifacts", "integration", "deploy", "scale", "simulation",
          "unit/problem", "service/problem")  # fmt: skip
SMALL = {
    "until": '"2013-02"', "max_iter": "20", "min_samples_leaf": "10", "resamples": "200", "score_resamples": "50",
    "importance_rows": "200", "importance_repeats": "1", "users": "2", "seconds": "0.5", "min_rows": "100",
    "segment_rows": "5000", "auc": "0.4", "log_loss": "3.0",
    "learning_rate": "0.5", "max_p95_ms": "5000", "min_rps": "1", "latency_us": "100000",
    "missing_jump": "1.0", "calibration_gap": "0.4", "margin": "0.3",
}  # fmt: skip
# A champion of January to April that does well enough in June, and not in July.
SUMMER = SMALL | {"until": '"2013-05"', "learning_rate": "0.1", "max_iter": "30", "min_samples_leaf": "20"}
# Installing is: the environment that runs the tests, and a line where the hub's owner can count them.
MAKEFILE = """setup:
\t@[ -e .venv ] || { ln -sfn "$$HUB_VENV" .venv && echo "$$GITHUB_JOB" >> "$$HUB_FOLDER/installed"; }
check:
\t@python3 -m compileall -q src
{lay}
docs:
\t@mkdir site && echo A page > site/index.html
"""
# The one recipe that is the project's own.
LAY = re.compile(r"(?m)^LAID := (?:.*\\\n)*.*\n\nlay:.*\n(?:\t.*\n)+")
# What a team replaces: where the data come from.
SOURCE = '''"""The source of the scenario: a folder of this machine."""

import shutil
from pathlib import Path

ARCHIVE = Path({folder!r})


def periods():
    return sorted(path.stem for path in (ARCHIVE / "flights").glob("*.parquet"))


def fetch(folder, until, cache):
    shutil.copytree(ARCHIVE, folder, dirs_exist_ok=True)
    for path in sorted(folder.glob("*/*.parquet")):
        if path.stem > until:
            path.unlink()
'''


def sample(folder: Path) -> None:
    """A few months of the real data with one flight in twenty, in the form of data/: `summer`, and its first, `spring`."""
    import pandas as pd

    real = ROOT / "data"
    if not (real / "flights" / f"{MONTHS[-1]}.parquet").exists():
        command = [sys.executable, "-m", "delivery", "fetch", "--until", MONTHS[-1], "--to", str(folder / "real")]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        real = folder / "real"
    summer, spring = folder / "summer", folder / "spring"
    for table in ("flights", "weather"):
        (summer / table).mkdir(parents=True)
        for month in MONTHS:
            rows = pd.read_parquet(real / table / f"{month}.parquet")
            if table == "flights":
                rows = rows.sample(frac=SHARE, random_state=7).sort_index().reset_index(drop=True)
            rows.to_parquet(summer / table / f"{month}.parquet", index=False)
    shutil.copy(real / "planes.parquet", summer / "planes.parquet")
    shutil.copytree(summer, spring, ignore=shutil.ignore_patterns(*(f"{month}*" for month in MONTHS[SPRING:])))


def build(folder: Path, source: Path, program: Path, settings: Mapping[str, str] = SMALL) -> Path:
    """A bare repository with one commit on main: the small project, reproduced. There is no store yet."""
    work = folder / "work"
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "benchmarks/")):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, work / name)
    shutil.copytree(ROOT / "tests" / "load", work / "tests" / "load", ignore=shutil.ignore_patterns("__pycache__"))
    for suite in SUITES:
        (work / "tests" / suite).mkdir()
        (work / "tests" / suite / f"test_{suite.replace('/', '_')}.py").write_text(
            "def test_something():\n    assert True\n"
        )
    (lay,) = LAY.findall((ROOT / "Makefile").read_text())
    (work / "Makefile").write_text(MAKEFILE.replace("{lay}", lay))
    (work / "benchmarks").mkdir()
    project = (work / "pyproject.toml").read_text()
    (work / "pyproject.toml").write_text(
        re.sub(r"(?m)^addopts = .*$", "", project)
    )  # one worker is enough for one test
    (work / "Dockerfile").write_text("FROM scratch\n")
    (work / "src" / "problem" / "source.py").write_text(SOURCE.format(folder=str(source)))
    text = (work / "params.yaml").read_text()
    for name, value in settings.items():
        text = numbered(text, name, value)
    (work / "params.yaml").write_text(text)
    for stale in ("dvc.lock", "data.dvc"):
        (work / stale).unlink(missing_ok=True)
    git(work, "init", "--quiet", "--initial-branch=main")
    python(program, work, "-m", "delivery", "fetch")
    python(program, work, "-m", "dvc", "add", "--quiet", "data")
    python(program, work, "-m", "dvc", "repro", "--quiet")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "A small project")
    return packed(work, folder / "origin.git")


def packed(source: Path, origin: Path) -> Path:
    """A bare copy in one pack, from which every checkout of every job is quickly served."""
    git(source, "clone", "--quiet", "--bare", source, origin)
    git(origin, "repack", "--quiet", "-a", "-d")
    return origin


def numbered(text: str, name: str, value: str) -> str:
    """params.yaml with another number: in the line that the key has, or where it only had its default in one of its own."""
    text, found = re.subn(rf"(?m)^( +{name}:) +[^ #\n{{[]+", rf"\1 {value}", text)
    if found:
        return text
    sections = [
        one.name
        for one in fields(Params)
        if isinstance(one.type, type) and issubclass(one.type, Struct) and name in one.type.__struct_fields__
    ]
    assert sections, f"params.yaml has no {name}, and no section has such a key"
    for section in sections:
        text = edited(text, section, {name: yaml.safe_load(value)})
    return text


def python(program: Path, work: Path, *words: str, **more: str) -> str:
    """The project's own command line in a folder, with nothing of the person's environment but the variables given."""
    paths = {"PYTHONPATH": str(work / "src"), "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    variables = environment() | {"HOME": str(work.parent), "MPLCONFIGDIR": str(work.parent / "mpl")} | paths | more
    done = subprocess.run([program, *words], cwd=work, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout


def make(folder: Path, *words: str) -> None:
    subprocess.run(["make", "--silent", *words], cwd=folder, env=environment(), check=True)


def copy(source: Path, target: Path) -> None:
    """A file or a folder, without bytecode."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def committed(work: Path, origin: Path) -> None:
    """The folder as the one commit of a new bare repository."""
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "A problem and its callers")
    packed(work, origin)
