"""The gate: every rule refuses what it is there for, says why, and lets a good model pass."""

import json
from pathlib import Path
from typing import Any

import made
import pandas as pd
import pytest
from sample import MONTHS, change

from delivery.__main__ import main
from delivery.core import files, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params
from delivery.decision import gate
from delivery.stats import comparison
from problem import PRIMARY, SEGMENTS

ROWS = made.predictions()
IN_PART = made.inside(ROWS)


def against_champion(candidate: pd.DataFrame, settings: Params, champion: pd.DataFrame = ROWS) -> dict[str, gate.Rule]:
    found = comparison.compare(champion, candidate, settings.compare)
    return {rule.name: rule for rule in gate.versus_champion({"comparison": found}, settings)}


def test_a_model_that_is_no_worse_passes(settings: Params) -> None:
    rules = against_champion(made.worse(ROWS, -0.01), settings)
    assert {name: rule.verdict for name, rule in rules.items()} == {"champion": "pass", "segments": "pass"}
    assert "margin 0.005" in rules["champion"].evidence
    assert f"none of {3 * len(SEGMENTS)} clearly worse (Holm, 0.05)" in rules["segments"].evidence


def test_a_worse_model_fails_with_the_difference_and_its_interval(settings: Params) -> None:
    rule = against_champion(made.worse(ROWS, 0.2), settings)["champion"]
    assert rule.verdict == "fail"
    assert rule.evidence.startswith(f"{PRIMARY} -")
    assert "(positive is better) on 1,800 rows, 30 days" in rule.evidence


def test_worse_beyond_doubt_but_within_the_margin_is_a_warning(settings: Params) -> None:
    lenient = made.changed(settings, gate__margin=100.0)
    assert against_champion(made.worse(ROWS, 0.05), lenient)["champion"].verdict == "warn"


def test_a_difference_that_is_no_number_fails(settings: Params) -> None:
    found = comparison.compare(ROWS, ROWS, settings.compare)
    for row in found["metrics"]:
        row["low"] = row["high"] = float("nan")
    assert gate.not_inferior(found, settings.gate).verdict == "fail"


def test_a_model_that_is_bad_in_one_segment_only_fails_and_the_segment_is_named(settings: Params) -> None:
    rules = against_champion(made.worse(made.worse(ROWS, -0.03), 0.06, IN_PART), settings)
    assert rules["champion"].verdict == "pass"
    assert rules["segments"].verdict == "fail"
    assert rules["segments"].evidence.startswith(f"clearly worse: {made.PART} -")
    assert f"{IN_PART.sum():,} rows" in rules["segments"].evidence


def test_a_segment_that_is_too_small_cannot_fail_a_model(settings: Params) -> None:
    name = SEGMENTS[-1]
    tiny = ROWS.assign(**{name: ROWS[name].where(ROWS.index % 30 != 0, "few")})
    candidate = made.worse(made.worse(tiny, -0.03), 0.2, tiny[name] == "few")
    rule = against_champion(candidate, settings, champion=tiny)["segments"]
    assert rule.verdict == "pass"
    assert rule.evidence.endswith("1 too small to judge")


def test_many_segments_that_are_only_noisy_are_not_mistaken_for_worse(settings: Params) -> None:
    """Of twenty segments one is below 0.05 by luck; Holm knows that there are twenty."""
    segments = [
        {"segment": f"s={n}", "judged": True, "p_worse": 0.03 if n == 7 else 0.5, "rows": 900} for n in range(20)
    ]
    assert gate.segments({"segments": segments}, settings.gate, 1000).verdict == "pass"


def test_too_few_resamples_for_so_many_segments_is_a_warning_not_a_pass(settings: Params) -> None:
    segments = [{"segment": f"s={n}", "judged": True, "p_worse": 1 / 1001, "rows": 900} for n in range(300)]
    rule = gate.segments({"segments": segments}, settings.gate, 1000)
    assert (rule.verdict, rule.evidence) == (
        "warn",
        "300 segments need compare.resamples above 6,000 to be judged",
    )


def test_without_a_champion_the_floors_alone_decide(settings: Params) -> None:
    (rule,) = gate.versus_champion({"comparison": None, "reason": "there is no commit yet"}, settings)
    assert (rule.verdict, rule.evidence) == ("pass", "there is no commit yet; the floors alone decide")


@pytest.mark.parametrize(
    ("floors", "verdict", "evidence"),
    [
        ({"auc": 0.7}, "pass", "0.7200, must be at least 0.7"),
        ({"auc": 0.73}, "fail", "0.7200, must be at least 0.73"),
        ({"log_loss": 0.6}, "pass", "0.5000, must be at most 0.6"),
        ({"log_loss": 0.4}, "fail", "0.5000, must be at most 0.4"),
        ({"recall": 0.4}, "fail", "gate.floors names recall; the metrics are auc, log_loss"),
    ],
)
def test_floors(
    floors: dict[str, float], verdict: str, evidence: str, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "HIGHER_IS_BETTER", {"auc": True, "log_loss": False})
    measured = {"auc": {"value": 0.72}, "log_loss": {"value": 0.5}}
    (rule,) = gate.floors(measured, made.changed(settings, gate__floors=floors).gate)
    assert (rule.verdict, rule.evidence) == (verdict, evidence)


@pytest.mark.parametrize("name", ["auc", "log_loss"])
def test_a_metric_that_is_no_number_reaches_no_floor(
    name: str, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "HIGHER_IS_BETTER", {"auc": True, "log_loss": False})
    strict = made.changed(settings, gate__floors={name: 0.5})
    assert gate.floors({name: {"value": float("nan")}}, strict.gate)[0].verdict == "fail"


@pytest.mark.parametrize(("gap", "verdict"), [(0.09, "pass"), (-0.11, "fail"), (0.11, "fail"), (float("nan"), "fail")])
def test_calibration(gap: float, verdict: str, settings: Params) -> None:
    rule = gate.calibrated(gap, made.changed(settings, gate__calibration_gap=0.1).gate)
    assert rule.verdict == verdict
    assert "limit ±0.1" in rule.evidence


@pytest.mark.parametrize(("used", "verdict"), [(900, "pass"), (1100, "fail"), (float("nan"), "fail")])
def test_latency(used: float, verdict: str, settings: Params) -> None:
    rule = gate.latency(used, made.changed(settings, gate__latency_us=1000).gate)
    assert rule.verdict == verdict
    assert rule.evidence.endswith("µs per prediction, budget 1000 µs")


def test_size(folder: Path, settings: Params) -> None:
    (folder / "model.onnx").write_bytes(b"0" * 2_000_000)
    assert gate.size(folder, made.changed(settings, gate__model_mb=2).gate).verdict == "pass"
    rule = gate.size(folder, made.changed(settings, gate__model_mb=1.9).gate)
    assert (rule.verdict, rule.evidence) == ("fail", "2.0 MB, budget 1.9 MB")


def validated(settings: Params, **changes: Any) -> dict:
    return {"until": settings.fetch.until, "rows": {"flights": 1200}, "skew": {}} | changes


@pytest.mark.parametrize(
    ("changes", "verdict", "evidence"),
    [
        ({}, "pass", "schema valid, 1,200 rows"),
        ({"until": "2012-12"}, "fail", "validated until 2012-12, fetch.until is {until}; run `dvc repro`"),
        (
            {"skew": {"flights": [{"column": "distance", "alarm": True}, {"column": "day", "alarm": False}]}},
            "warn",
            "schema valid; shifted in the newest month: flights.distance",
        ),
    ],
    ids=["valid", "of other data", "shifted"],
)
def test_data(changes: dict, verdict: str, evidence: str, settings: Params) -> None:
    rule = gate.data_is_valid(validated(settings, **changes), settings)
    assert (rule.verdict, rule.evidence) == (verdict, evidence.replace("{until}", settings.fetch.until))


def test_a_model_file_that_export_did_not_prove_fails(project: Path, settings: Params) -> None:
    manifest = json.loads((workspace.EXPORT / "manifest.json").read_text())
    assert gate.parity(manifest).verdict == "pass"
    with (workspace.EXPORT / manifest["model"]).open("ab") as file:
        file.write(b"!")
    rule = gate.parity(manifest)
    assert (rule.verdict, rule.evidence) == ("fail", "model.onnx is not the file that export checked; run `dvc repro`")


def test_parity_beyond_the_tolerance_fails(project: Path, settings: Params) -> None:
    manifest = json.loads((workspace.EXPORT / "manifest.json").read_text()) | {"parity": 0.01}
    assert gate.parity(manifest).verdict == "fail"


def test_the_worst_rule_decides() -> None:
    rules = [gate.Rule("a", verdict, "") for verdict in ("pass", "warn", "pass")]
    assert gate.worst(rules) == "warn"
    assert gate.worst([*rules, gate.Rule("b", "fail", "")]) == "fail"
    assert gate.worst(rules[:1]) == "pass"


def test_evidence_cannot_break_the_table() -> None:
    assert "a / b" in gate.markdown([gate.Rule("data", "warn", "a | b")])


def test_all_rules_are_judged_and_written(project: Path, settings: Params) -> None:
    result = gate.run(settings)
    assert result["verdict"] in {"pass", "warn"}
    names = {rule["name"] for rule in result["rules"]}
    assert names == {"data", f"floor {PRIMARY}", "calibration", "champion", "parity", "size", "latency"}
    assert result["model"] == files.digest(workspace.EXPORT)
    assert json.loads(workspace.GATE.read_text()) == result
    assert workspace.GATE_PAGE.read_text().count("\n| ") == len(result["rules"])


def test_the_verb_exits_with_1_on_a_failure(project: Path, capsys) -> None:
    change(project, {"fetch.until": MONTHS[1], "gate.floors": {PRIMARY: 1e6}})
    metrics = json.loads(workspace.METRICS.read_text())
    metrics["metrics"][PRIMARY]["value"] = 2e6
    files.write_json(workspace.METRICS, metrics)
    assert main(["gate"]) == 1
    assert f"❌ fail | floor {PRIMARY} | 2000000.0000, must be at most" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "command"), [(workspace.COMPARISON, "compare"), (workspace.METRICS, "run"), (workspace.VALIDATION, "run")]
)
def test_what_is_missing_is_named_with_the_verb_that_makes_it(
    path: Path, command: str, project: Path, settings: Params
) -> None:
    path.unlink()
    with pytest.raises(Failure, match=f"{path.name} is missing; run `python -m delivery {command}` first"):
        gate.run(settings)
