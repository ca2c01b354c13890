"""Verb `new`: write a problem for a file of rows, ready to run, each choice with its reason; ask nothing."""

import argparse
import shutil
import sys
from pathlib import Path

from delivery.core import files, programs, workspace
from delivery.core.errors import Failure
from delivery.fork.new import columns, rows, split, write

LARGE = 1_000_000  # bytes; more is not for git


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the verb."""
    parser.add_argument("file", type=Path, help="CSV with a header, or parquet; one row per example")
    parser.add_argument("--target", help="column to predict; default: a column with such a name, or the last one")
    parser.add_argument("--time", help="column of times; default: the first that holds only times")
    parser.add_argument(
        "--key", help="column that identifies a row; default: one such as `id`, or the position in the file"
    )
    parser.add_argument(
        "--segments", nargs="+", default=[], metavar="COLUMN", help="columns whose values are compared one by one"
    )
    parser.add_argument(
        "--task",
        choices=("regression", "binary", "multiclass"),
        default="",
        help="task; default: derived from the column to predict",
    )
    parser.add_argument(
        "--drop",
        nargs="+",
        default=[],
        metavar="COLUMN",
        help="columns that are not known when a prediction is requested",
    )
    parser.add_argument(
        "--keep", nargs="+", default=[], metavar="COLUMN", help="keep these columns even if they look like leaks"
    )
    parser.add_argument(
        "--to", type=Path, default=workspace.CACHE / "new", metavar="DIR", help="folder for the problem's files"
    )
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    parser.add_argument("--adopt", action="store_true", help="adopt the problem at once")


def main(options: argparse.Namespace) -> None:
    """Write the problem, adopt it if asked to, and print what was decided."""
    asked = {name: getattr(options, name) for name in ("segments", "drop", "keep")}
    asked |= {name: [value] if (value := getattr(options, name)) else [] for name in ("target", "time", "key")}
    print(run(options.file, options.to, asked, options.task, force=options.force))
    if options.adopt:
        from delivery.fork import adopt

        print(adopt.run(options.to))


def run(file: Path, to: Path, asked: dict[str, list[str]], task: str = "", *, force: bool = False) -> str:
    """Write the problem's files, copy the rows to where git has them, and return what was decided.

    Raise `Failure` before anything is written.
    """
    kept = workspace.SOURCE_FILES / file.name
    for path in (to, kept):
        if path.exists() and not force and path.resolve() != file.resolve():
            raise Failure(f"{path} exists already; overwrite it with --force, or name another folder with --to")
    frame, reading = rows.read(file)
    found = columns.classify(frame, reading, asked, task)
    names = {column.raw: column.name for column in found.columns}
    plan = split.propose(found, [names[raw] for raw in asked["segments"]])
    content = write.files(found, plan, kept.as_posix())
    with files.replacing(to) as scratch:
        scratch.mkdir()
        for name, text in content.items():
            (scratch / name).write_text(text, encoding="utf-8")
    formatted(to)
    if kept.resolve() != file.resolve():
        workspace.SOURCE_FILES.mkdir(exist_ok=True)
        shutil.copyfile(file, kept)
    return summary(found, plan, to, kept)


def formatted(folder: Path) -> None:
    """Format the modules of a folder as `make check` wants them, if ruff is installed."""
    ruff = Path(sys.executable).with_name("ruff")
    if ruff.exists():
        modules = [str(path) for path in sorted(folder.glob("*.py"))]
        for words in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
            programs.run([ruff, *words, *modules])


def summary(found: columns.Found, plan: split.Proposal, to: Path, kept: Path) -> str:
    """Return what was decided, and what to do next."""
    lines = [f"new: {to} is a {found.task} problem of {len(found.frame):,} rows"]
    lines += [f"  {column.role:9} {column.raw}: {column.why}" for column in found.columns]
    if not found.one("time"):
        lines.append("  no column of times: the order of the file stands for it, with made-up days from 2000-01-03 on")
    tested = f"{plan.test_rows:,} to test: the newest {plan.test_periods} {plan.unit}(s) until {plan.until}"
    lines.append(f"  split     {plan.train_rows:,} rows to train on, {tested}")
    lines += [f"  floor     {name} {value}: {reason}" for name, (value, reason) in plan.floors.items()]
    lines.append(f"  segments  {', '.join(plan.segments) or 'none'}")
    if (size := kept.stat().st_size) > LARGE:
        fix = f"put it where the workflows can read it, and its address into FILE in {to}/source.py"
        lines.append(f"  {kept} has {size / 1e6:.0f} MB, too large for git: {fix}")
    lines.append(f"read {to}/schema.py and {to}/params.yaml; then `delivery adopt {to}`")
    return "\n".join(lines)
