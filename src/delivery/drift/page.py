"""The page of a drift check: the decision and its reason, what moved in sentences, then the tables."""

from typing import Any

from delivery.render.markdown import escaped
from problem import BLOCK, PRIMARY

WORDS = {
    "retrain": "Retrain",
    "hold": "No retraining",
    "no": "No retraining",
    "wait": "No decision",
    "skip": "No retraining",
    "failed": "No decision",
}
WORST = 3


def markdown(result: dict[str, Any]) -> str:
    found = result["found"]
    trained = result["champion_trained_on"]
    lines = [f"**{_word(result)} for {result['month']}: {escaped(result['why'])}.**", ""]
    lines += [f"- {sentence}" for sentence in found["sentences"]]
    lines += [
        "",
        f"Champion trained on {trained[0]} to {trained[-1]}; challenger on everything before {result['month']}.",
    ]
    lines += [*_age(result), *_revised(result["revisions"]), *_batch(result.get("batch"))]
    lines += served_lines(result.get("served"))
    if result["judged"]:
        lines += _gains(result)
    if found["now"]:
        lines += _days(found["now"])
    return "\n".join([*lines, *_shift(result["evidence"]), *_before(result["history"])]) + "\n"


def _word(result: dict[str, Any]) -> str:
    return WORDS[result["verdict"]] if result["retrain"] or result["verdict"] != "retrain" else "No retraining yet"


def _age(result: dict[str, Any]) -> list[str]:
    age = result["age"]
    return [
        f"The champion is {age['months_since']} periods behind {result['month']}; labels reach to {age['newest_label']} "
        f"({age['days']} days, {age['labelled']:.1%} of the rows); the source reaches to {age['newest_in_source']}."
    ]


def _revised(revisions: list[dict]) -> list[str]:
    return [
        f"The source has changed `{row['file']}` since it was fetched: {row['altered']:,} rows altered, "
        f"{row['added']:,} added, {row['removed']:,} removed. What is judged here uses the new rows."
        for row in revisions
    ]


def _batch(batch: dict[str, Any] | None) -> list[str]:
    if batch is None or batch["loss"] is None:
        return []
    unit, counts = PRIMARY.replace("_", " "), batch["counts"]
    return [f"Realised {unit} of batch predictions: {batch['loss']:.4f} on {counts['labelled']:,} labelled rows."]


def served_lines(served: dict[str, Any] | None) -> list[str]:
    if served is None:
        return []
    counts, loop = served["counts"], served["feedback"]
    lines = [
        "",
        f"Served: {counts['predictions']:,} predictions logged, {counts['joined']:,} joined with their example, "
        f"{counts['labelled']:,} of them labelled ({counts['repeated']:,} repeated, {counts['ambiguous']:,} ambiguous, "
        f"{counts['unknown']:,} unknown to the data, {served['unreadable']:,} of another schema).",
    ]
    if served["loss"] is not None:
        lines.append(f"Realised {PRIMARY.replace('_', ' ')} of what was served: {served['loss']:.4f}.")
    for case in served["skew"]:
        lines.append(f"**Skew**: `{case['feature']}` differs in {case['share']:.1%} of the requests: {case['case']}.")
    if served["again"] is not None:
        lines.append(f"The same model gives the same scores offline to within {served['again']:.1e}.")
    if loop["warn"]:
        lines.append(
            f"**Feedback**: labels come back for other scores than before serving: highest less lowest fifth "
            f"{loop['served']:+.3f}, without the model {loop['reference']:+.3f}, "
            f"difference [{loop['low']:+.3f}, {loop['high']:+.3f}]. The labelled rows are no fair sample."
        )
    return lines


def _gains(result: dict[str, Any]) -> list[str]:
    lines = [
        "",
        "| metric | champion | challenger | difference (+ is better) | interval | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in result["comparison"]["metrics"]:
        lines.append(
            f"| {row['metric']} | {row['champion']:.4f} | {row['candidate']:.4f} | {row['difference']:+.4f} "
            f"| [{row['low']:+.4f}, {row['high']:+.4f}] | {row['verdict']} |"
        )
    lines += ["", "| month | rows | gain of its challenger | interval | |", "|---|---:|---:|---:|---|"]
    pooled = result["judged"]["pooled"]["months"]
    for row in result["gains"]:
        (month,) = row["months"]
        note = "pooled" if month in pooled and len(pooled) > 1 else ""
        lines.append(
            f"| {month} | {row['rows']:,} | {row['gain']:+.4f} | [{row['low']:+.4f}, {row['high']:+.4f}] | {note} |"
        )
    return lines


def _days(now: dict[str, Any]) -> list[str]:
    worst = sorted(now["blocks"], key=lambda block: -block["loss"])[:WORST]
    lines = [
        "",
        f"| worst {BLOCK}s | rows | {PRIMARY.replace('_', ' ')} | predicted | observed |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in worst:
        lines.append(
            f"| {escaped(str(row[BLOCK]))} | {row['rows']:,} | {row['loss']:.3f} | {row['predicted']:.3f} | {row['observed']:.3f} |"
        )
    return lines


def _shift(table: list[dict]) -> list[str]:
    lines = ["", "| column | PSI | Jensen-Shannon | missing before | missing now | |", "|---|---:|---:|---:|---:|---|"]
    for row in table:
        note = "seasonal" if row["seasonal"] else "shifted" if row["alarm"] else ""
        lines.append(
            f"| {row['column']} | {row['psi']:.3f} | {row['jensen_shannon']:.3f} | {row['missing_before']:.1%} "
            f"| {row['missing_now']:.1%} | {note} |"
        )
    return lines


def _before(history: list[dict]) -> list[str]:
    if not history:
        return []
    lines = ["", "| checked before | month | decision | why |", "|---|---|---|---|"]
    return lines + [
        f"| {row['date'][:10]} | {row['month']} | {row['verdict']} | {escaped(row['why'])} |" for row in history
    ]
