"""One page: the verdict first, in plain words; what changed; short enough for GitHub; readable in a terminal."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import made
import msgspec
import pandas as pd
import pytest

from delivery.__main__ import main
from delivery.core import documents, files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.core.params_file import edited
from delivery.decision import gate, report
from delivery.registry import register
from delivery.render import page
from delivery.render.markdown import escaped
from delivery.render.review import Graph
from delivery.render.terms import problem_terms
from delivery.stats import comparison, task
from delivery.stats.evaluation import Evaluation
from delivery.stats.verdicts import ComparisonResult
from problem import BLOCK, PRIMARY, SEGMENTS


@pytest.fixture(autouse=True)
def no_graph(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """DVC takes seconds to draw."""
    if "graph" not in request.node.name:
        monkeypatch.setattr(report, "graph", lambda: Graph(("train",), ()))


def against(candidate: pd.DataFrame, settings: Params, champion: pd.DataFrame) -> str:
    """The page when the model on disk predicted `candidate` and the one before `champion`."""
    found = comparison.compare(champion, candidate, settings.compare)
    documents.write(workspace.COMPARISON, ComparisonResult("version 3", None, "", found))
    gate.run(settings)
    return report.run()


def shown(base: str) -> list[str]:
    """What the page says of the changes since a commit."""
    return page.changes(report.changes(base)).splitlines()


def noisy(rows: pd.DataFrame) -> pd.DataFrame:
    return made.worse(rows, 0.003 * (pd.factorize(rows[BLOCK])[0] % 2 * 2 - 1))


@pytest.mark.parametrize(
    ("by", "first_line"),
    [
        (-0.03, r"\*\*✅ Better by 0\.\d{4} \[\+.*\] [a-z ]+ on the same .* as version 3; no segment clearly worse; "),
        (0.03, r"\*\*❌ Worse by 0\.\d{4} \[-.*a segment is clearly worse; .*; do not merge\.\*\*"),
        (0.0, r"\*\*✅ Within noise: [+-]0\.\d{4} \[.*; no segment clearly worse; .*; safe to merge\.\*\*"),
    ],
    ids=["better", "worse", "noise"],
)
def test_the_first_line_says_what_was_found(by: float, first_line: str, project: Path, settings: Params) -> None:
    champion = made.predictions()
    candidate = made.worse(champion, by) if by else noisy(champion)
    text = against(candidate, made.changed(settings, gate__margin=0.02), champion)
    assert re.match(first_line, text.splitlines()[0])


def test_the_first_run_has_nothing_to_compare_with(project: Path) -> None:
    first, *_ = (text := report.run()).splitlines()
    assert first.startswith("**✅ Nothing to compare with: there is no commit yet; ")
    assert first.endswith("µs per prediction; safe to merge.**")
    assert "## What changed\n\nNothing to compare with." in text
    assert "- compared with nothing" in text
    assert workspace.REPORT.read_text() == text


def test_the_rules_that_did_not_pass_follow_the_verdict(project: Path, settings: Params) -> None:
    metrics = json.loads(workspace.METRICS.read_text())
    metrics["metrics"][PRIMARY]["value"] = 2e6
    files.write_json(workspace.METRICS, metrics)
    gate.run(settings)
    lines = report.run().splitlines()
    assert lines[0].endswith(f"; failed: floor {PRIMARY}; do not merge.**")
    assert lines[2] == f"- **floor {PRIMARY}** fail: {escaped('2000000.0000, must be at most 1000000.0')}"


def test_the_page_shows_every_metric_segment_plot_and_digest(project: Path, settings: Params) -> None:
    champion = made.predictions()
    text = against(made.worse(champion, -0.03), settings, champion)
    assert f"| {PRIMARY} (leads) | " in text
    assert f" {BLOCK}s resampled, 95% intervals." in text
    assert text.count("<img ") == 3 + len(task.TASK.pictures)
    assert all(
        f'src="plots/{name}.png"' in text for name in (*task.TASK.pictures, "loss_curve", "segments", "importance")
    )
    assert f"| {SEGMENTS[0]}=" in text
    assert "- artifacts/train `1000" in text
    assert text.count("<details>") == text.count("</details>") == 4


def many_segments(count: int, metrics: dict) -> None:
    row = metrics["segments"][0]
    metrics["segments"] = [row | {"segment": f"route=EWR-A{number:03d}"} for number in range(count)]
    files.write_json(workspace.METRICS, metrics)


def test_300_segments_fit_into_a_comment(project: Path, settings: Params) -> None:
    many_segments(300, json.loads(workspace.METRICS.read_text()))
    assert len(report.run()) < report.LIMIT < 65_536


def test_a_page_that_is_too_long_is_refused_in_words(project: Path) -> None:
    many_segments(3000, json.loads(workspace.METRICS.read_text()))
    with pytest.raises(Failure, match=r"the report has \d+,\d+ characters, GitHub takes 65,000; fewer segments"):
        report.run()


def test_a_segment_s_name_cannot_break_the_table(project: Path) -> None:
    metrics = json.loads(workspace.METRICS.read_text())
    metrics["segments"][0]["segment"] = "route=A|B"
    evaluation = msgspec.convert(metrics, Evaluation)
    assert "| route=A/B |" in page.segment_table(evaluation, None, problem_terms(evaluation.level))


def test_in_a_terminal_there_is_no_markup(project: Path, capsys) -> None:
    assert main(["report"]) == 0
    said = capsys.readouterr().out
    assert not re.search(r"</?\w+>|<img|\*\*|```", said)
    assert "## Segments" in said
    assert "✅ Nothing to compare with" in said
    assert "\n\n\n" not in said


def test_quiet_names_the_file_only(project: Path, capsys) -> None:
    assert main(["report", "--quiet"]) == 0
    assert capsys.readouterr().out == "report: reports/report.md\n"


def test_changes_name_parameters_data_and_code(project: Path) -> None:
    Path("src/old name").mkdir(parents=True)
    Path("src/old name/features.py").write_text("a = 1\n")
    base = made.commit()
    repeats = params.load().evaluate.importance_repeats
    text = edited(Path("params.yaml").read_text(), "evaluate", {"importance_repeats": 17})
    Path("params.yaml").write_text(edited(text, "serve", {"max_rows": 1000, "most": 5}))  # the default, and no key
    Path("data.dvc").write_text("outs:\n- md5: 22222222222222222222222222222222.dir\n  path: data\n")
    Path("src/old name/features.py").write_text("a = 2\n")
    Path("src/added.py").write_text("b = 1\n")
    said = shown(base)
    assert said[:4] == [
        f"Against `{base[:8]}`:",
        f"- parameter `evaluate.importance_repeats`: {repeats} → 17",
        "- parameter `serve.most`: absent → 5",
        "- data: 11111111 → 22222222",
    ]
    assert "- code: `src/old name/features.py` +1 −1" in said
    assert "- code: `src/added.py` new" in said, "what git does not know yet is a change too"


def test_no_change_is_said(project: Path) -> None:
    head = made.git("rev-parse", "HEAD")
    assert shown(head)[1:] == ["- data: the same", "- code: the same"]


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_a_base_without_parameters_is_no_obstacle(text: str, project: Path) -> None:
    now = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text)
    base = made.commit()
    Path("params.yaml").write_text(now)
    assert f"- parameter `fetch.until`: absent → {params.load().fetch.until}" in shown(base)


def test_a_base_without_data(project: Path) -> None:
    now = Path("data.dvc").read_text()
    Path("data.dvc").unlink()
    base = made.commit()
    Path("data.dvc").write_text(now)
    assert "- data: none → 11111111" in shown(base)


def test_what_a_promotion_would_change_of_what_serves_is_said(ready: Path) -> None:
    assert report.released() == "", "nothing serves yet"
    register.run("staging")
    assert report.released() == "since version 1: nothing"
    Path("Dockerfile").write_text("FROM another\n")
    assert report.released() == "since version 1: model unchanged; Dockerfile"
    assert "What a promotion changes since version 1: model unchanged; Dockerfile." in report.run()


def test_lineage_says_whether_all_is_committed(project: Path) -> None:
    head = made.git("rev-parse", "HEAD")
    assert page.lineage(report.lineage(), None).splitlines()[0] == f"- commit `{head}`"
    Path("params.yaml").write_text("changed: 1\n")
    assert page.lineage(report.lineage(), None).splitlines()[0] == f"- commit `{head}` with uncommitted changes"


def test_without_records_the_times_are_the_cache_s(folder: Path) -> None:
    assert page.times(report.times()) == "Every stage came from DVC's cache."


def test_a_graph_that_cannot_be_drawn_is_no_obstacle(folder: Path) -> None:
    assert page.graph(report.graph()) == "The pipeline cannot be drawn."


def test_without_plots_the_page_says_so(folder: Path) -> None:
    assert page.plots(report.plots(), {}) == "None."


def test_the_graph_has_names_that_a_report_may_hold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage of a matrix, a file in a folder with an accent, and one far from here."""
    names = ["train@big", "daten für 2013/data.dvc", "../" * 40 + "data.dvc"]
    drawn = "flowchart TD\n" + "".join(f'\tnode{at}["{name}"]\n' for at, name in enumerate(names, start=1))
    drawn += "\tnode2-->node1\n"
    monkeypatch.setattr(report.programs, "run", lambda *_, **__: SimpleNamespace(returncode=0, stdout=drawn))
    graph = report.graph()
    assert graph == Graph(("train@big", "daten_f_r_2013/data.dvc", ("../" * 40 + "data.dvc")[-80:]), ((1, 0),))
    assert msgspec.json.decode(msgspec.json.encode(graph), type=Graph) == graph
