"""Verb `report`: one page that says whether the model is better, how that is known, and where it came from."""

import argparse
import re

import yaml

from delivery.adapters import dvc, git, provenance
from delivery.compatibility.results import CompatibilityResult
from delivery.core import documents, files, ownership, params, programs, workspace
from delivery.core.errors import Failure
from delivery.core.params_file import flat
from delivery.pipeline import records
from delivery.registry import register, registry, release
from delivery.render.markdown import terminal_text
from delivery.render.page import CAPTIONS, report_page
from delivery.render.review import Changes, FileChange, Graph, Lineage, ParameterChange, Report, StageTime
from delivery.render.terms import problem_terms
from delivery.stats.evaluation import Evaluation
from delivery.stats.verdicts import ComparisonResult, GateResult

LIMIT = 65_000  # GitHub's is 65,536 characters, and a comment adds a line of its own


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--quiet", action="store_true", help="write the page without printing it")


def main(options: argparse.Namespace) -> None:
    """Write the page and print it."""
    page = run()
    print(f"report: {workspace.REPORT}" if options.quiet else terminal_text(page))


def run() -> str:
    """Write reports/report.md from what the pipeline, `compare` and `gate` have left, and return it."""
    return write(collect())


def collect() -> Report:
    """Return everything that the page shows."""
    evaluation = documents.read(workspace.METRICS, Evaluation, "run")
    compared = documents.read(workspace.COMPARISON, ComparisonResult, "compare")
    return Report(
        terms=problem_terms(evaluation.level),
        confidence=params.load().compare.confidence,
        evaluation=evaluation,
        compared=compared,
        gate=documents.read(workspace.GATE, GateResult, "gate"),
        compatibility=documents.read(workspace.COMPATIBILITY, CompatibilityResult, "gate"),
        changes=changes(compared.commit),
        plots=plots(),
        graph=graph(),
        times=times(),
        lineage=lineage(),
        release=released(),
    )


def write(report: Report) -> str:
    """Write the page and return it. Raise Failure if GitHub would not take it."""
    page = report_page(report, {name: f"plots/{name}.png" for name in report.plots})
    if len(page) > LIMIT:
        raise Failure(
            f"the report has {len(page):,} characters, GitHub takes {LIMIT:,}; fewer segments make it shorter"
        )
    files.write(workspace.REPORT, page)
    return page


def changes(base: str | None) -> Changes | None:
    """Return parameters, data and code that differ from the commit `base`."""
    if base is None:
        return None
    # A key that moves between the file and its default has changed nothing; a changed default is changed code.
    texts = (git.show(base, str(workspace.PARAMS)) or "", params.read())
    old, new = (flat(params.effective(yaml.safe_load(text) or {})) for text in texts)
    names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    data_file = git.show(base, str(workspace.DATA_FILE))
    return Changes(
        # A shallow checkout does not hold the champion's commit; its name is full already.
        base=git.git("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}", check=False) or base,
        parameters=tuple(
            ParameterChange(name, str(old.get(name, "absent")), str(new.get(name, "absent"))) for name in names
        ),
        data_before=dvc.data_digest(data_file) if data_file else "none",
        data_now=dvc.data_digest(),
        code=tuple(code_changes(base)),
    )


def code_changes(base: str) -> list[FileChange]:
    """Return the files of the code that differ from the commit, and those that git does not know yet."""
    rows = git.git("diff", "--numstat", "-z", "--no-renames", base, "--", *ownership.CODE, check=False).split("\0")
    counted = [row.strip().split("\t") for row in rows if row.strip()]
    changed = [
        FileChange(path, None, None) if added == "-" else FileChange(path, int(added), int(removed))
        for added, removed, path in counted
    ]
    unknown = git.git("ls-files", "-z", "--others", "--exclude-standard", "--", *ownership.CODE).split("\0")
    return changed + [FileChange(path, None, None, new=True) for path in unknown if path]


def plots() -> tuple[str, ...]:
    """Return the names of the plots on disk, in the order of the page."""
    return tuple(name for name in CAPTIONS if (workspace.PLOTS / f"{name}.png").exists())


def graph() -> Graph | None:
    """Return the pipeline as DVC sees it, None where it cannot say."""
    drawn = programs.run(dvc.command("dag", "--mermaid"), env=dvc.path_first())
    if drawn.returncode:
        return None
    nodes = dict(re.findall(r'^\s*(node\d+)\["(.+)"\]$', drawn.stdout, re.MULTILINE))
    at = {node: position for position, node in enumerate(nodes)}
    arrows = re.findall(r"^\s*(node\d+)-->(node\d+)$", drawn.stdout, re.MULTILINE)
    # A file in a folder with a space or an accent, or far from here: review.json takes no such name.
    names = (re.sub(r"[^A-Za-z0-9_./@-]", "_", name)[-80:] for name in nodes.values())
    return Graph(tuple(names), tuple((at[start], at[end]) for start, end in arrows))


def times() -> tuple[StageTime, ...]:
    """Return the last run of each stage on this machine, in the order of their starts."""
    rows = (StageTime(row.stage, row.seconds, row.started, row.executor) for row in records.read().values())
    return tuple(sorted(rows, key=lambda row: row.started))


def released() -> str:
    """Return what a promotion would change of the version that serves; empty if none does or its files are not at hand."""
    serving = registry.champion() if registry.exists() else None
    if serving is None:
        return ""
    with release.made() as candidate:
        return register.changes_since(serving, candidate)


def lineage() -> Lineage:
    """Return what this model is made of, by digest."""
    return Lineage(
        commit=git.head(),
        uncommitted=bool(git.changed()),
        data=dvc.data_digest(),
        outputs=dvc.outputs(workspace.DVC_LOCK.read_text()),
        executor=provenance.executor(),
    )
