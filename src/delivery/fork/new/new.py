"""Verb `new`: a problem from a file of rows, ready to run, each choice with its reason; asks nothing."""

import argparse
import shutil
import sys
from pathlib import Path

from delivery.core import files, programs, workspace
from delivery.core.errors import Failure
from delivery.fork.new import columns, rows, split, write

LARGE = 1_000_000  # bytes; more is not for git


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="CSV with a line of names, or parquet; one row for each example")
    parser.add_argument("--target", help="column to predict; without it the one of that name, or the last")
    parser.add_argument("--time", help="column of times; without it the first that holds nothing else")
    parser.add_argument("--key", help="column that names a row; without it one such as `id`, or the place in the file")
    parser.add_argument(
        "--segments", nargs="+", default=[], metavar="COLUMN", help="whose values are judged one by one"
    )
    parser.add_argument("--task", choices=("regression", "binary", "multiclass"), default="", help="instead of a guess")
    parser.add_argument(
        "--drop", nargs="+", default=[], metavar="COLUMN", help="not known when a prediction is asked for"
    )
    parser.add_argument("--keep", nargs="+", default=[], metavar="COLUMN", help="known, however much it tells")
    parser.add_argument(
        "--to", type=Path, default=workspace.CACHE / "new", metavar="DIR", help="where the problem's files go"
    )
    parser.add_argument("--force", action="store_true", help="over what is there")
    parser.add_argument("--adopt", action="store_true", help="and in place of the present problem, at once")


def main(options: argparse.Namespace) -> None:
    asked = {name: getattr(options, name) for name in ("segments", "drop", "keep")}
    asked |= {name: [value] if (value := getattr(options, name)) else [] for name in ("target", "time", "key")}
    print(run(options.file, options.to, asked, options.task, force=options.force))
    if options.adopt:
        from delivery.fork import adopt

        print(adopt.run(options.to))


def run(file: Path, to: Path, asked: dict[str, list[str]], task: str = "", *, force: bool = False) -> str:
    """Writes the problem's files, and the rows where git has them; says what was decided.

    Raises Failure before anything is written.
    """
    kept = workspace.SOURCE_FILES / file.name
    for there in (to, kept):
        if there.exists() and not force and there.resolve() != file.resolve():
            raise Failure(f"{there} is there already; --force writes over it, or name another with --to")
    frame, reading = rows.read(file)
    found = columns.columns(frame, reading, asked, task)
    names = {column.raw: column.name for column in found.columns}
    plan = split.proposal(found, [names[raw] for raw in asked["segments"]])
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
    """As `make check` wants it, where the formatter is there."""
    ruff = Path(sys.executable).with_name("ruff")
    if ruff.exists():
        modules = [str(path) for path in sorted(folder.glob("*.py"))]
        for words in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
            programs.run([ruff, *words, *modules])


def summary(found: columns.Found, plan: split.Proposal, to: Path, kept: Path) -> str:
    lines = [f"new: {to} is a {found.task} problem of {len(found.frame):,} rows"]
    lines += [f"  {column.role:9} {column.raw}: {column.why}" for column in found.columns]
    if not found.one("time"):
        lines.append(
            "  no column of times: the order of the file is taken for it, with made-up days from 2000-01-03 on"
        )
    tested = f"{plan.test_rows:,} to test: the newest {plan.test_periods} {plan.unit}(s) until {plan.until}"
    lines.append(f"  split     {plan.train_rows:,} rows to train on, {tested}")
    lines += [f"  floor     {name} {value}: {told}" for name, (value, told) in plan.floors.items()]
    lines.append(f"  segments  {', '.join(plan.segments) or 'none'}")
    if (size := kept.stat().st_size) > LARGE:
        where = f"put it where the workflows can read it, and that address into FILE in {to}/source.py"
        lines.append(f"  {kept} has {size / 1e6:.0f} MB, too large for git: {where}")
    lines.append(f"read {to}/schema.py and {to}/params.yaml; then `delivery adopt {to}`")
    return "\n".join(lines)
