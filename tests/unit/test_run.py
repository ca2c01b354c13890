"""The summary of `run`: what was found, where things are, how long each step took."""

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from sample import MONTHS

from delivery import run
from delivery.core import documents, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.data import tables
from delivery.registry import register
from delivery.stats.evaluation import Evaluation, Metric


def test_a_step_is_announced_and_timed(capsys) -> None:
    seconds: dict[str, float] = {}
    with run.step("data", seconds):
        pass
    assert capsys.readouterr().out == "\n== data\n"
    assert 0 <= seconds["data"] < 5


def test_the_summary_names_what_there_is_in_order(capsys) -> None:
    run.summary({"report": "reports/report.md", "verdict": "Better"}, {"data": 1.04, "pipeline": 10.0})
    assert capsys.readouterr().out.splitlines() == [
        "",
        "== summary",
        "verdict   Better",
        "report    reports/report.md",
        "seconds   data 1.0, pipeline 10.0; 11.0 in all",
    ]


def test_metrics_in_one_line(project: Path) -> None:
    document = documents.read(workspace.METRICS, Evaluation, "run")
    documents.write(workspace.METRICS, replace(document, metrics={"auc": Metric(0.75, 0.7, 0.8)}))
    assert run.metrics() == "auc 0.7500 [0.7000, 0.8000]"


def test_a_pipeline_that_stops_is_one_line(folder: Path) -> None:
    with pytest.raises(Failure, match="`dvc repro` stopped; fix what the line above says and run it again"):
        run.streamed("repro")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (f"{run.UP_TO_DATE}\n", "nothing had to be recomputed"),
        ("Running stage", "reproduced; see dvc.lock for its inputs"),
    ],
)
def test_whether_something_was_recomputed_is_said(said: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "streamed", lambda *_: said)
    assert run.pipeline() == expected


def test_data_that_are_not_there_are_fetched(
    repository: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(run.fetch, "into", lambda folder, until: asked.append((folder, until)))
    assert run.data(settings) == f"periods up to {MONTHS[1]}"
    assert asked == [(workspace.DATA, MONTHS[1])]


def test_data_that_are_there_are_not_fetched_again(
    data: Path, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run.store, "pull", lambda: "store: up to date")
    monkeypatch.setattr(run.fetch, "into", lambda *_: pytest.fail("fetched again"))
    assert tables.read(MONTHS[1])
    run.data(settings)


def test_what_is_not_committed_is_not_registered_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def refuse() -> dict:
        raise register.Uncommitted("changed since the last commit: params.yaml")

    monkeypatch.setattr(run.register, "run", refuse)
    assert run.registered() == ("", "not registered: changed since the last commit: params.yaml")


def test_a_failed_gate_registers_and_serves_nothing(
    project: Path, settings: Params, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    def made_up(*_: Any) -> SimpleNamespace:
        return SimpleNamespace(verdict="fail")

    monkeypatch.setattr(run.params, "load", lambda: settings)
    monkeypatch.setattr(run, "data", lambda _: f"periods up to {MONTHS[1]}")
    monkeypatch.setattr(run, "pipeline", lambda: "reproduced")
    monkeypatch.setattr(run.compare, "run", made_up)
    monkeypatch.setattr(run.gate, "run", made_up)
    monkeypatch.setattr(run.report, "run", lambda: "**❌ Worse.**\n")
    monkeypatch.setattr(run, "registered", lambda: pytest.fail("registered"))
    with pytest.raises(
        Failure, match=r"the gate failed, so nothing was registered or served; reports/report\.md says why"
    ):
        run.main(argparse.Namespace(base=None))
    assert "verdict   ❌ Worse." in capsys.readouterr().out
