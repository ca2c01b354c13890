"""Define review.json: what a job that runs a pull request's code hands over to the job that may write.

Nobody has reviewed the code that wrote it. Every text, table and number has a bound, so that what `read` returns can
be shown. The verb `comment` checks against GitHub which pull request and commit it belongs to.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from delivery.compatibility.results import CompatibilityResult
from delivery.core import documents
from delivery.core.bounds import ROWS, Count, Name, Number, Text
from delivery.core.errors import Failure
from delivery.render.markdown import escaped
from delivery.stats.evaluation import Evaluation
from delivery.stats.verdicts import ComparisonResult, GateResult, Verdict

BYTES = 2_000_000  # of the whole document
Digest = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,80}\Z")]
Commit = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}\Z")]
PlotName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,40}\Z")]
NodeName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_./@-]{1,80}\Z")]  # in quotes in a diagram
Suffix = Annotated[str, Meta(pattern=r"^(-[A-Za-z0-9_.-]{1,100})?\Z")]


class Terms(Struct, frozen=True):
    """The terms of the problem: its metrics and which way each is better, its blocks, its calibration."""

    primary: Name
    block: Name
    higher_is_better: Annotated[dict[Name, bool], Meta(max_length=ROWS)]
    calibration: Text


class ParameterChange(Struct, frozen=True):
    """The value of one key of params.yaml in the baseline's commit and now."""

    name: Name
    before: Text
    now: Text


class FileChange(Struct, frozen=True):
    """Lines added to and removed from a file; None if it is binary."""

    path: Text
    added: Count | None
    removed: Count | None
    new: bool = False


class Changes(Struct, frozen=True):
    """Differences in params, data and code from the baseline's commit."""

    base: Commit
    parameters: Annotated[tuple[ParameterChange, ...], Meta(max_length=ROWS)]
    data_before: Digest
    data_now: Digest
    code: Annotated[tuple[FileChange, ...], Meta(max_length=ROWS)]


class Graph(Struct, frozen=True):
    """The stages of the pipeline, and which of them reads what another one writes, as positions in `nodes`."""

    nodes: Annotated[tuple[NodeName, ...], Meta(max_length=200)]
    edges: Annotated[tuple[tuple[Count, Count], ...], Meta(max_length=1000)]


class StageTime(Struct, frozen=True):
    """The last run of a stage."""

    stage: Name
    seconds: Number
    started: Name
    executor: Name


class Lineage(Struct, frozen=True):
    """Commit, data and outputs of the model; `outputs` maps a path to its digest."""

    commit: Commit | None
    uncommitted: bool
    data: Digest
    outputs: Annotated[dict[Name, Digest], Meta(max_length=ROWS)]
    executor: Name


class Report(Struct, frozen=True):
    """Everything that the page of a report shows."""

    terms: Terms
    confidence: Number
    evaluation: Evaluation
    compared: ComparisonResult
    gate: GateResult
    changes: Changes | None
    plots: Annotated[tuple[PlotName, ...], Meta(max_length=50)]
    graph: Graph | None
    times: Annotated[tuple[StageTime, ...], Meta(max_length=200)]
    lineage: Lineage
    compatibility: CompatibilityResult | None = None
    release: Text = ""
    """What a promotion would change of the version that serves."""


class Review(Struct, frozen=True):
    """The claim (pull request, commit, model), and the report or the error that stopped the pipeline."""

    number: Annotated[int, Meta(ge=0, le=10**9)]
    sha: Commit
    suffix: Suffix = ""
    base: Text = ""
    """Revision that the model was compared with."""
    verdict: Verdict = "fail"
    stale: Annotated[tuple[Name, ...], Meta(max_length=50)] = ()
    refuted: Annotated[tuple[Name, ...], Meta(max_length=50)] = ()
    """Stages that, made again, gave another result than dvc.lock names."""
    unverified: Annotated[tuple[Name, ...], Meta(max_length=50)] = ()
    """Stages that take too long to be made again."""
    pushed: bool = False
    documentation_only: bool = False
    """Nothing was built or judged; `comment` asks GitHub whether that is so."""
    error: Text = ""
    report: Report | None = None


def write(path: Path, review: Review) -> None:
    """Write review.json. Raise `Failure` if `read` would refuse it, so that the error appears where it can be fixed."""
    documents.write(path, review)
    read(path)


def read(path: Path) -> Review:
    """Return the document. Raise `Failure` in one line if it does not have this form and size."""
    if path.is_symlink() or not path.is_file():
        raise Failure("the artifact has no review.json; nothing is posted")
    if path.stat().st_size > BYTES:
        raise Failure(f"review.json has {path.stat().st_size:,} bytes, more than {BYTES:,}; nothing is posted")
    try:
        review = msgspec.json.decode(path.read_bytes(), type=Review)
        refuse_inconsistent(review.report)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise Failure(f"review.json is refused ({escaped(str(error))[:300]}); nothing is posted") from None
    return review


def refuse_inconsistent(report: Report | None) -> None:
    """Raise `ValueError` if one part of the report names something that another part lacks."""
    if report is None:
        return
    comparison = report.compared.comparison
    if comparison and comparison.primary not in {row.metric for row in comparison.metrics}:
        raise ValueError("the comparison lacks its primary metric")
    if unknown := set(report.evaluation.metrics) - set(report.terms.higher_is_better):
        raise ValueError(f"terms do not say which way {len(unknown)} metrics are better")
    if report.graph and any(max(edge) >= len(report.graph.nodes) for edge in report.graph.edges):
        raise ValueError("an edge of the graph leads nowhere")
