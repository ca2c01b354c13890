"""Run mutation testing (mutmut) on the modules that decide, each against its own unit tests.

Everything happens in a temporary copy of the working tree. Exit 1 if the tests of a module find fewer than FOUND of its
mutants, or if a mutant survives that survivors.toml does not explain.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from time import monotonic
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
FOUND = 0.9
KILLED = ("killed", "timeout", "segfault")
# Help texts: a mutant of one is a typing error, not a wrong decision. Messages that state a decision are mutated.
TEXTS = (r"\.add_argument\(", r"^\s+\"--", r"\bhelp=", r"\bmetavar=")


class Mutant(NamedTuple):
    """What a mutant changes, without the place where its function is."""

    function: str
    line: str
    mutant: str


def modules() -> dict[str, list[str]]:
    """Return the test files of each module, from modules.toml."""
    return tomllib.loads((HERE / "modules.toml").read_text())["modules"]


def left_out() -> list[str]:
    """Return the tests that take no part, from modules.toml."""
    return tomllib.loads((HERE / "modules.toml").read_text())["left_out"]


def source(module: str) -> Path:
    """Return the module's file, relative to the repository."""
    return Path("src", *module.split(".")).with_suffix(".py")


def explained() -> dict[Mutant, str]:
    """Return the reason for each survivor of survivors.toml."""
    entries = tomllib.loads((HERE / "survivors.toml").read_text()).get("survivors", [])
    return {
        Mutant(each["function"], each["line"], text): each["reason"] for each in entries for text in each["mutants"]
    }


def chosen(name: str) -> list[str]:
    """Return the modules whose dotted name ends in `name`, or all of them if it is empty."""
    found = [module for module in modules() if not name or f".{module}".endswith(f".{name}")]
    if not found:
        raise SystemExit(f"error: no module {name}; modules.toml has {', '.join(modules())}")
    return found


def copy(to: Path) -> None:
    """Copy the working tree without what git ignores, but with the downloaded source data."""
    listed = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    if (ROOT / ".cache" / "source").is_dir():
        shutil.copytree(ROOT / ".cache" / "source", to / "mutants" / ".cache" / "source")


def configure(folder: Path, module: str) -> None:
    """Write mutmut's configuration for one module into the copy."""
    settings = {
        "source_paths": ["src/"],
        "only_mutate": [str(source(module))],
        "do_not_mutate_patterns": list(TEXTS),
        "also_copy": sorted({path.name for path in folder.iterdir()} - {"src", "mutants", "setup.cfg"}),
        "pytest_add_cli_args": [
            "-o",
            "addopts=",
            "-p",
            "no:cacheprovider",
            *(f"--deselect={test}" for test in left_out()),
        ],
        "pytest_add_cli_args_test_selection": modules()[module],
    }
    lines = [f"{name}=\n" + "".join(f"    {value}\n" for value in values) for name, values in settings.items()]
    (folder / "setup.cfg").write_text("[mutmut]\n" + "".join(lines))


def environment(scratch: Path) -> dict[str, str]:
    """Return the environment of the tests.

    Each mutant gets a pytest session of its own. tests/sample.py shares what is slow to make between the workers of
    pytest-xdist; the first session, of unchanged code, makes it for the sessions of all mutants.
    """
    return os.environ | {"PYTEST_DEBUG_TEMPROOT": str(scratch), "PYTEST_XDIST_WORKER": "mutants"}


def mutmut(folder: Path, *words: str) -> str:
    """Run mutmut in the copy; return its output, or stop with it."""
    with subprocess.Popen(
        [MUTMUT, *words],
        cwd=folder,
        env=environment(folder.parent),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            process.communicate()  # Ctrl-C reaches mutmut and its tests too; the copy goes when they have ended
            raise
    if process.returncode:
        raise SystemExit(f"error: mutmut {words[0]} failed\n{output}")
    return output


def results(folder: Path) -> dict[str, str]:
    """Return the status of each mutant."""
    lines = mutmut(folder, "results", "--all", "true").splitlines()
    return dict(line.strip().rsplit(": ", 1) for line in lines if "__mutmut_" in line)


def described(folder: Path, name: str) -> Mutant:
    """Return what a mutant changes, from the difference that mutmut shows."""
    difference = [line for line in mutmut(folder, "show", name).splitlines() if line[:3] not in {"---", "+++"}]
    before, after = (" ".join(line[1:].strip() for line in difference if line[:1] == sign) for sign in "-+")
    return Mutant(name.split("x_", 1)[1].partition("__mutmut_")[0], before, after)


def tested(module: str) -> tuple[Counter[str], dict[Mutant, str]]:
    """Test the mutants of one module; return how many have each status, and the survivors with theirs."""
    # An interrupted test may still write while the copy is removed.
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch) / "copy"
        copy(folder)
        configure(folder, module)
        mutmut(folder, "run", "--max-children", str(len(os.sched_getaffinity(0))))
        statuses = results(folder)
        survivors = {described(folder, name): status for name, status in statuses.items() if status not in KILLED}
    return Counter(statuses.values()), survivors


def literal(text: str) -> str:
    """Return a TOML string."""
    return f"'{text}'" if "'" not in text else f"'''{text}'''"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", default="", help="one module of modules.toml, such as `gate`; without it all")
    parser.add_argument("--all", action="store_true", help="print the explained survivors as well")
    options = parser.parse_args()
    reasons, seen, good = explained(), set(), True
    for module in chosen(options.module):
        start = monotonic()
        count, survivors = tested(module)
        found, total = sum(count[status] for status in KILLED), count.total()
        seen |= set(survivors)
        new = {mutant: status for mutant, status in survivors.items() if mutant not in reasons}
        print(
            f"{module}: {found} of {total} mutants found ({found / max(total, 1):.0%}), {len(survivors)} survive, "
            f"{len(new)} unexplained, {monotonic() - start:.0f} s",
            flush=True,
        )
        for mutant, status in (survivors if options.all else new).items():
            print(f"[[survivors]]\nfunction = {literal(mutant.function)}\nline = {literal(mutant.line)}")
            print(f"mutants = [{literal(mutant.mutant)}]\nreason = {literal(reasons.get(mutant, ''))}  # {status}\n")
        good &= found >= FOUND * total > 0 and not new
    stale = set(reasons) - seen if not options.module else set()
    for mutant in stale:
        print(f"survivors.toml explains what does not survive: {mutant.function}: {mutant.line} -> {mutant.mutant}")
    return 0 if good and not stale else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; the mutants were in a copy, which is removed")
