"""The gate: every rule refuses what it is there for, says why, and lets a good model pass."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import made
import pandas as pd
import pytest
from msgspec.structs import replace
from sample import MONTHS, change

from delivery.__main__ import main
from delivery.core import documents, files, workspace
from delivery.core.errors import Failure
from delivery.core.manifest import Manifest
from delivery.core.params import Params
from delivery.decision import gate
from delivery.render.markdown import rule_table
from delivery.stats import comparison, task
from delivery.stats.evaluation import Metric
from delivery.stats.shift import ShiftRow, Validation
from delivery.stats.verdicts import Comparison, ComparisonResult, Verdict
from problem import PRIMARY, SEGMENTS

ROWS = made.predictions()
IN_PART = made.inside(ROWS)


def result_of(found: Comparison) -> ComparisonResult:
    return ComparisonResult("version 3", None, "", found)


def against_champion(candidate: pd.DataFrame, settings: Params, champion: pd.DataFrame = ROWS) -> dict[str, gate.Rule]:
    found = comparison.compare(champion, candidate, settings.compare)
    return {rule.name: rule for rule in gate.versus_champion(result_of(found), settings)}


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
    unknown = tuple(replace(row, low=float("nan"), high=float("nan")) for row in found.metrics)
    assert gate.not_inferior(replace(found, metrics=unknown), settings.gate).verdict == "fail"


def compared(low: float, high: float) -> Comparison:
    """A comparison whose primary metric is not the first of the table."""
    others = [made.metric_row(name, 8.0, 10.0) for name in ("first", "last")]
    return made.comparison([others[0], made.metric_row(PRIMARY, low, high), others[1]])


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.25, 0.25, "pass"),  # the margin itself
        (-0.251, 0.25, "fail"),
        (-0.25, 0.0, "pass"),
        (-0.25, -0.001, "warn"),
        (-0.75, -0.5, "fail"),
    ],
)
def test_the_worse_end_of_the_primary_metrics_interval_decides(
    low: float, high: float, verdict: str, settings: Params
) -> None:
    rule = gate.not_inferior(compared(low, high), made.changed(settings, gate__margin=0.25).gate)
    assert (rule.name, rule.verdict) == ("champion", verdict)
    assert rule.evidence == (
        f"{PRIMARY} {(low + high) / 2:+.4f} [{low:+.4f}, {high:+.4f}] (positive is better) "
        "on 1,800 rows, 30 days; margin 0.25"
    )


def test_segments_that_are_worse_are_named_with_their_figures(settings: Params) -> None:
    rows = [
        made.segment_row("s=A", 0.01),
        made.segment_row("s=B", 0.5),
        made.segment_row("s=C", 0.001),
        made.segment_row("s=D", 0.0001, judged=False),
    ]
    rule = gate.segments(made.comparison(segments=rows), settings.gate, 1000)
    figures = "-0.2500 [-0.3750, -0.1250], p {}, 1,200 rows"
    assert rule == gate.Rule(
        "segments", "fail", f"clearly worse: s=A {figures.format('0.0200')}; s=C {figures.format('0.0030')}"
    )


def test_a_segment_is_worse_below_the_level_and_not_at_it(settings: Params) -> None:
    strict = made.changed(settings, gate__segment_alpha=0.25).gate
    passed = gate.Rule("segments", "pass", "none of 2 clearly worse (Holm, 0.25); 1 too small to judge")
    rows = [made.segment_row("s=A", 0.125), made.segment_row("s=B", 0.5), made.segment_row("s=C", 0.0, judged=False)]
    assert gate.segments(made.comparison(segments=rows), strict, 1000) == passed
    rows[0] = made.segment_row("s=A", 0.124)
    assert gate.segments(made.comparison(segments=rows), strict, 1000).verdict == "fail"


def test_as_many_resamples_as_the_segments_need_are_enough(settings: Params) -> None:
    rows = [made.segment_row(f"s={n}", 0.5) for n in range(3)]
    strict = made.changed(settings, gate__segment_alpha=0.25).gate
    passed = gate.Rule("segments", "pass", "none of 3 clearly worse (Holm, 0.25)")
    assert gate.segments(made.comparison(segments=rows), strict, 12) == passed
    rule = gate.segments(made.comparison(segments=rows), strict, 11)
    assert (rule.name, rule.verdict) == ("segments", "warn")
    assert rule.evidence == "3 segments need compare.resamples above 12 to be judged"
    never = made.changed(settings, gate__segment_alpha=0.0).gate
    assert gate.segments(made.comparison(segments=rows), never, 0).verdict == "pass", "no level, so nothing to reach"


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
    segments = [made.segment_row(f"s={n}", 0.03 if n == 7 else 0.5) for n in range(20)]
    assert gate.segments(made.comparison(segments=segments), settings.gate, 1000).verdict == "pass"


def test_too_few_resamples_for_so_many_segments_is_a_warning_not_a_pass(settings: Params) -> None:
    segments = [made.segment_row(f"s={n}", 1 / 1001) for n in range(300)]
    rule = gate.segments(made.comparison(segments=segments), settings.gate, 1000)
    assert (rule.verdict, rule.evidence) == (
        "warn",
        "300 segments need compare.resamples above 6,000 to be judged",
    )


def test_without_a_champion_the_floors_alone_decide(settings: Params) -> None:
    (rule,) = gate.versus_champion(ComparisonResult(None, None, "there is no commit yet", None), settings)
    assert rule == gate.Rule("champion", "pass", "there is no commit yet; the floors alone decide")


@pytest.mark.parametrize(
    ("floors", "verdict", "evidence"),
    [
        ({"auc": 0.7}, "pass", "0.7200, must be at least 0.7"),
        ({"auc": 0.72}, "pass", "0.7200, must be at least 0.72"),
        ({"auc": 0.73}, "fail", "0.7200, must be at least 0.73"),
        ({"log_loss": 0.5}, "pass", "0.5000, must be at most 0.5"),
        ({"log_loss": 0.6}, "pass", "0.5000, must be at most 0.6"),
        ({"log_loss": 0.4}, "fail", "0.5000, must be at most 0.4"),
        ({"recall": 0.4}, "fail", "gate.floors names recall; the metrics are auc, log_loss"),
    ],
)
def test_floors(
    floors: dict[str, float], verdict: Verdict, evidence: str, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "HIGHER_IS_BETTER", {"auc": True, "log_loss": False})
    measured = {"auc": Metric(0.72, 0.0, 1.0), "log_loss": Metric(0.5, 0.0, 1.0)}
    (rule,) = gate.floors(measured, made.changed(settings, gate__floors=floors).gate)
    assert rule == gate.Rule(f"floor {next(iter(floors))}", verdict, evidence)


def test_each_floor_is_judged_also_after_one_that_names_no_metric(
    settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "HIGHER_IS_BETTER", {"auc": True})
    floors = made.changed(settings, gate__floors={"recall": 0.4, "auc": 0.7}).gate
    assert [rule.verdict for rule in gate.floors({"auc": Metric(0.72, 0.0, 1.0)}, floors)] == ["fail", "pass"]


@pytest.mark.parametrize("name", ["auc", "log_loss"])
def test_a_metric_that_is_no_number_reaches_no_floor(
    name: str, settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "HIGHER_IS_BETTER", {"auc": True, "log_loss": False})
    strict = made.changed(settings, gate__floors={name: 0.5})
    assert gate.floors({name: Metric(float("nan"), 0.0, 1.0)}, strict.gate)[0].verdict == "fail"


@pytest.mark.parametrize(
    ("gap", "verdict"), [(0.1, "pass"), (-0.1, "pass"), (-0.11, "fail"), (0.11, "fail"), (float("nan"), "fail")]
)
def test_calibration(gap: float, verdict: Verdict, settings: Params) -> None:
    rule = gate.calibrated(gap, made.changed(settings, gate__calibration_gap=0.1).gate)
    assert rule == gate.Rule("calibration", verdict, f"{task.TASK.gap} {gap:+.4f}, limit ±0.1")


@pytest.mark.parametrize(("used", "verdict"), [(1000, "pass"), (1001, "fail"), (float("nan"), "fail")])
def test_latency(used: float, verdict: Verdict, settings: Params) -> None:
    rule = gate.latency(used, made.changed(settings, gate__latency_us=1000).gate)
    assert rule == gate.Rule("latency", verdict, f"{used:.0f} µs per prediction, budget 1000 µs")


def test_latency_is_the_median_call_over_the_examples_in_turn(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three calls take 2 ms and one takes 90 ms."""
    from delivery.model import runtime
    from problem import row

    exported = finished / workspace.EXPORT
    monkeypatch.setattr(gate.files, "read_json", reading := Reading())
    scored: list = []
    now = [0.0]

    def score(rows: list) -> None:
        scored.append(rows)
        now[0] += 0.090 if len(scored) % 3 == 0 else 0.002

    monkeypatch.setattr(runtime, "load", lambda folder: {exported: SimpleNamespace(score=score)}[folder])
    monkeypatch.setattr(gate, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    assert gate.latency_us(exported, calls=30) == pytest.approx(2000)
    assert reading.asked == [(exported / "examples.json", "run")]
    expected = [row(request) for request in reading.requests()]
    assert len(expected) == 12
    assert scored == [[expected[call % 12]] for call in range(30)]


def test_examples_of_another_schema_are_refused_in_words(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate.files, "read_json", lambda path, verb: [{"request": {"surplus": 1}}])
    with pytest.raises(
        Failure, match="the examples of the model are no requests of today's schema .*; run `dvc repro`"
    ):
        gate.latency_us(finished / workspace.EXPORT)


class Reading:
    """files.read_json, with what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, str]] = []
        self.read = files.read_json

    def __call__(self, path: Path, verb: str) -> Any:
        self.asked.append((path, verb))
        return self.read(path, verb)

    def requests(self) -> list:
        import msgspec

        from problem import Request

        path, verb = self.asked[0]
        return msgspec.convert([example["request"] for example in self.read(path, verb)], list[Request])


def test_size(folder: Path, settings: Params) -> None:
    (folder / "model.onnx").write_bytes(b"0" * 1_500_000)
    (folder / "manifest.json").write_bytes(b"0" * 500_000)
    assert gate.size(folder, made.changed(settings, gate__model_mb=2).gate).verdict == "pass"
    (folder / "manifest.json").write_bytes(b"0" * 500_001)
    assert gate.size(folder, made.changed(settings, gate__model_mb=2).gate).verdict == "fail"
    rule = gate.size(folder, made.changed(settings, gate__model_mb=1.9).gate)
    assert rule == gate.Rule("size", "fail", "2.0 MB, budget 1.9 MB")


def validated(settings: Params, **changes: Any) -> Validation:
    return replace(Validation(settings.fetch.until, {"flights": 1200}, {}), **changes)


def moved(column: str, alarm: bool = True) -> ShiftRow:
    return ShiftRow(column, 0.5, 0.5, 0.0, 0.0, False, alarm)


@pytest.mark.parametrize(
    ("changes", "verdict", "evidence"),
    [
        ({}, "pass", "schema valid, 1,200 rows"),
        ({"until": "2012-12"}, "fail", "validated until 2012-12, fetch.until is {until}; run `dvc repro`"),
        (
            {"skew": {"flights": (moved("distance"), moved("day", alarm=False))}},
            "warn",
            "schema valid; shifted in the newest period: flights.distance",
        ),
        (
            {"skew": {name: (moved("c"),) for name in "ab"}},
            "warn",
            "schema valid; shifted in the newest period: a.c, b.c",
        ),
        ({"rows": {"flights": 1200, "weather": 34}}, "pass", "schema valid, 1,234 rows"),
    ],
    ids=["valid", "of other data", "shifted", "two shifted", "two tables"],
)
def test_data(changes: dict, verdict: Verdict, evidence: str, settings: Params) -> None:
    rule = gate.data_is_valid(validated(settings, **changes), settings)
    assert rule == gate.Rule("data", verdict, evidence.replace("{until}", settings.fetch.until))


def test_a_model_file_that_export_did_not_prove_fails(project: Path, settings: Params) -> None:
    manifest = documents.read(workspace.EXPORT / "manifest.json", Manifest, "run")
    assert gate.parity(manifest).verdict == "pass"
    with (workspace.EXPORT / manifest.model).open("ab") as file:
        file.write(b"!")
    rule = gate.parity(manifest)
    said = "model.onnx is not the file that export checked; run `dvc repro`"
    assert rule == gate.Rule("parity", "fail", said)


def test_parity_beyond_the_tolerance_fails(project: Path, settings: Params) -> None:
    written = documents.read(workspace.EXPORT / "manifest.json", Manifest, "run")
    manifest = replace(written, parity=0.01, tolerance=0.01)
    said = "onnx differs from scikit-learn by at most 1.0e-02"
    assert gate.parity(manifest) == gate.Rule("parity", "pass", said)
    assert gate.parity(replace(manifest, tolerance=0.009)) == gate.Rule("parity", "fail", said)


def test_the_worst_rule_decides() -> None:
    rules = [gate.Rule("a", verdict, "") for verdict in ("pass", "warn", "pass")]
    assert gate.worst(rules) == "warn"
    assert gate.worst([*rules, gate.Rule("b", "fail", "")]) == "fail"
    assert gate.worst(rules[:1]) == "pass"


def test_evidence_cannot_break_the_table() -> None:
    rules = [gate.Rule("data", "warn", "a | b"), gate.Rule("size", "pass", "0.1 MB"), gate.Rule("parity", "fail", "")]
    assert rule_table(rules) == (
        "| verdict | rule | evidence |\n|---|---|---|\n"
        "| ⚠️ warn | data | a / b |\n| ✅ pass | size | 0.1 MB |\n| ❌ fail | parity |  |\n"
    )


def test_all_rules_are_judged_and_written(project: Path, settings: Params) -> None:
    result = gate.run(settings)
    assert result.verdict in {"pass", "warn"}
    names = [rule.name for rule in result.rules]
    assert names == [
        "data",
        f"floor {PRIMARY}",
        "calibration",
        "champion",
        "parity",
        "size",
        "latency",
        "compatibility",
    ]
    assert result.against is None
    evidence = {rule.name: rule.evidence for rule in result.rules}
    metrics = json.loads(workspace.METRICS.read_text())
    assert evidence["calibration"].startswith(f"{task.TASK.gap} {metrics['calibration']['gap']:+.4f}, ")
    assert evidence["champion"] == "there is no commit yet; the floors alone decide"
    assert evidence["size"].startswith(f"{sum(f.stat().st_size for f in workspace.EXPORT.iterdir()) / 1e6:.1f} MB")
    assert result.model == files.digest(workspace.EXPORT)
    assert json.loads(workspace.GATE.read_text()) == documents.as_builtins(result)
    assert evidence["latency"].startswith(f"{result.latency_us:.0f} µs per prediction, ")
    assert workspace.GATE_PAGE.read_text() == rule_table(result.rules)


def test_a_comparison_on_disk_is_judged(project: Path, settings: Params) -> None:
    found = comparison.compare(ROWS, made.worse(ROWS, 0.2), settings.compare)
    documents.write(workspace.COMPARISON, result_of(found))
    result = gate.run(settings)
    assert (result.verdict, result.against) == ("fail", "version 3")
    verdicts = {rule.name: rule.verdict for rule in result.rules}
    assert (verdicts["champion"], verdicts["segments"]) == ("fail", "fail")


def test_too_few_resamples_are_those_of_compare(settings: Params) -> None:
    found = result_of(replace(compared(0.0, 0.0), segments=(made.segment_row("s=A", 0.5),)))
    rules = gate.versus_champion(found, made.changed(settings, compare__resamples=19))
    assert [rule.verdict for rule in rules] == ["pass", "warn"]
    assert gate.versus_champion(found, made.changed(settings, compare__resamples=20))[1].verdict == "pass"


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("warn", 0), ("fail", 1)])
def test_the_verb_prints_the_table_or_json(
    verdict: str, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    workspace.GATE.parent.mkdir()
    workspace.GATE.write_text("json")
    workspace.GATE_PAGE.write_text("table")
    monkeypatch.setattr(gate.params, "load", lambda: "settings")
    monkeypatch.setattr(gate, "run", lambda settings: {"settings": SimpleNamespace(verdict=verdict)}[settings])
    assert main(["gate"]) == code
    assert main(["gate", "--json"]) == code
    assert capsys.readouterr().out == "table\njson\n"


def test_the_verb_exits_with_1_on_a_failure(project: Path, capsys) -> None:
    change(project, {"fetch.until": MONTHS[1], "gate.floors": {PRIMARY: 1e6}})
    metrics = json.loads(workspace.METRICS.read_text())
    metrics["metrics"][PRIMARY]["value"] = 2e6
    files.write_json(workspace.METRICS, metrics)
    assert main(["gate"]) == 1
    assert f"❌ fail | floor {PRIMARY} | 2000000.0000, must be at most" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "command"),
    [
        (workspace.COMPARISON, "compare"),
        (workspace.METRICS, "run"),
        (workspace.VALIDATION, "run"),
        (workspace.EXPORT / "manifest.json", "run"),
    ],
)
def test_what_is_missing_is_named_with_the_verb_that_makes_it(
    path: Path, command: str, project: Path, settings: Params
) -> None:
    path.unlink()
    with pytest.raises(Failure, match=f"{path.name} is missing; run `delivery {command}` first"):
        gate.run(settings)
