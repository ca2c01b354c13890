"""The page of a report: only the renderer's own markup is live, whatever the document holds."""

import re
from pathlib import Path
from typing import Any

import hostile
import made
import msgspec
import pytest

from delivery.compatibility.results import CompatibilityResult
from delivery.core import documents
from delivery.core.errors import Failure
from delivery.render import page, review
from delivery.render.compatibility import compatibility_page, tables
from delivery.render.review import Review
from delivery.stats.verdicts import ComparisonResult, GateResult, Rule

SHA = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "1" * 32 + ".dir"


def document(text: str = "word") -> dict[str, Any]:
    """A complete review.json with `text` wherever any text may stand."""
    row = {"segment": text, "rows": 9, "value": 0.5, "low": 0.25, "high": 0.75}
    metric = made.metric_row(text, -0.5, 0.5)
    comparison = msgspec.structs.replace(
        made.comparison([metric], [made.segment_row(text, 0.5)]), primary=text, block=text
    )
    rules = (Rule(text, "fail", text), Rule("segments", "warn", text))
    report = {
        "terms": {"primary": text, "block": text, "higher_is_better": {text: True}, "calibration": text},
        "confidence": 0.95,
        "evaluation": {
            "rows": 9,
            "blocks": 3,
            "periods": [text],
            "problem": {"label": [text], "classes": [text], "key": [text]},
            "level": [0.5],
            "metrics": {text: {"value": 0.5, "low": 0.25, "high": 0.75}},
            "calibration": {"gap": 0.125, "bins": []},
            "segments": [row],
            "importance": [],
        },
        "compared": documents.as_builtins(ComparisonResult(text, SHA, text, comparison)),
        "gate": documents.as_builtins(GateResult("fail", text, text, rules, 12.0)),
        "changes": {
            "base": SHA,
            "parameters": [{"name": text, "before": text, "now": text}],
            "data_before": DIGEST,
            "data_now": DIGEST,
            "code": [{"path": text, "added": 1, "removed": 2}, {"path": text, "added": None, "removed": None}],
        },
        "plots": ["calibration", "unheard_of"],
        "graph": {"nodes": ["data.dvc", "train"], "edges": [[0, 1]]},
        "times": [{"stage": text, "seconds": 1.5, "started": text, "executor": text}],
        "lineage": {
            "commit": SHA,
            "uncommitted": True,
            "data": DIGEST,
            "outputs": {text: DIGEST},
            "executor": text,
        },
        "compatibility": {"versions": [counterpart(text)], "accepted": text},
        "release": text,
    }
    return {
        "number": 7,
        "sha": SHA,
        "base": text,
        "stale": [text],
        "refuted": [text],
        "unverified": [text],
        "error": text,
        "report": report,
    }


def counterpart(text: str) -> dict[str, Any]:
    """The comparison with a version, with `text` wherever any text may stand."""
    change = {"kind": "range", "place": text, "before": text, "now": text, "breaks": ["clients"]}
    asked = {"requests": 4, "accepted": 3, "compared": 2, "equal": 1, "largest": 0.25}
    refusals = {"refusals": [{"reason": text, "requests": 1}]}
    roles = {"version": text, "serves": [text], "rollback_of": [text]}
    replays = {"forward": asked | refusals, "back": asked, "drawn_forward": asked | refusals, "unstarted": text}
    return {**roles, "changes": [change], **replays, "skipped": "", "beyond": ""}


def rendered(content: dict[str, Any], images: dict[str, str] | None = None) -> str:
    return page.review_page(msgspec.convert(content, Review, strict=True), images or {}, "Commit them.")


def without_own(text: str) -> str:
    """The page without the renderer's own markup."""
    own = [r"</?details>", r"<summary><b>[A-Za-z ]+</b></summary>", r"```mermaid\n[^`]*\n```"]
    own += [r'<img src="https://github\.com/[^"]*" alt="[\w ]+" width="400">', rf"`{SHA}`", f"`{SHA[:8]}`"]
    return re.sub("|".join(own), "", text)


def test_results_that_were_made_up_are_named_first() -> None:
    content = document("x") | {"refuted": ["train", "evaluate"], "unverified": []}
    first, second, *_ = rendered(content).split("\n\n")
    assert first == (
        "**❌ Made again from its inputs, `train`, `evaluate` gives other results than dvc.lock of this commit names.** "
        "This page shows the ones that were made again."
    )
    assert second.endswith("** Commit them.")


def test_a_stage_that_took_too_long_to_be_made_again_is_named() -> None:
    first = rendered(document("x") | {"refuted": [], "unverified": ["train"]}).partition("\n\n")[0]
    assert first == (
        "**⚠️ `train` took too long to be made again (`reproduce.minutes`), so its results are only what dvc.lock names.**"
    )


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_a_hostile_document_has_no_live_markup(text: str) -> None:
    address = "https://github.com/acme/demo/blob/1/plots/calibration.png?raw=true"
    shown = rendered(document(text), {"calibration": address})
    assert shown.count("<img ") == 1
    assert not [live for live in hostile.LIVE if live in without_own(shown)]
    stopped = rendered({**document(text), "report": None})
    assert "**❌ The pipeline stopped: " in stopped
    assert not [live for live in hostile.LIVE if live in without_own(stopped)]
    tables = [line.count("|") for line in shown.splitlines() if line.startswith("|")]
    assert sorted(set(tables)) == [4, 5, 7], "a text has added a column"


def test_every_part_of_the_document_is_shown() -> None:
    shown = rendered(document())
    for part in (
        "**⚠️ `word` of this commit are not what its code, params and data give.** Commit them.",
        "| word (leads) | 0.5000 | 0.5000 | +0.0000 | [-0.5000, +0.5000] | within noise |",
        "the segments could not be judged; 12 µs per prediction; failed: word; do not merge.**",
        "- **word** fail: word",
        "| ❌ fail | word | word |",
        "| word | 9 | 0.5000 | [0.2500, 0.7500] | -0.2500 | [-0.3750, -0.1250] |",
        "- parameter `word`: word → word",
        "- data: the same",
        "- code: `word` +1 −2",
        "- code: `word` binary",
        "(no image: Calibration) (no image: unheard_of)",
        '```mermaid\nflowchart TD\n\tnode1["data.dvc"]\n\tnode2["train"]\n\tnode1-->node2\n```',
        "| word | 1.5 | word | word |",
        f"- commit `{SHA}` with uncommitted changes",
        f"- word `{DIGEST}`",
        "- compared with word",
        "Breaking: with version word (word; rollback of word) word: range (breaks clients). Accepted in params.yaml: word.",
        "| version word (word; rollback of word) | 75% of 4 accepted, 50% answered equally, largest difference 0.25; "
        "1 × word; drawn rows: 75% of 4 accepted, 50% answered equally, largest difference 0.25; "
        "1 × word | by its document (word): 75% of 4 accepted, 50% answered equally, largest difference 0.25 | breaks |",
        "| `word` | range | word → word | clients |",
        "What a promotion changes word.",
    ):
        assert part in shown, part


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"skipped": "no document"}, "Nothing was compared; version 3 was not compared: no document."),
        ({"beyond": "a boundary"}, "Nothing was compared; version 3 is not judged: a boundary."),
        ({}, "Compatible with version 3."),
    ],
)
def test_the_line_about_clients(changed: dict[str, str], line: str) -> None:
    content = document()
    content["report"]["compatibility"] = {"versions": [{"version": "3"} | changed]}
    assert f"\n\n{line}\n\n" in rendered(content)


def test_a_report_from_before_compatibility_has_no_line_about_it() -> None:
    content = document()
    del content["report"]["compatibility"]
    assert "ompatib" not in rendered(content)


def test_of_many_changes_the_comment_shows_some_and_the_page_of_the_verb_all() -> None:
    change = {"kind": "removed", "place": "request.x", "breaks": ["clients"]}
    result = msgspec.convert({"versions": [{"version": "3", "changes": [change] * 40}]}, CompatibilityResult)
    assert tables(result, most=30).count("| `request.x` |") == 30
    assert tables(result, most=30).endswith("and 10 more")
    assert compatibility_page(result).count("| `request.x` |") == 40


def test_an_error_of_several_lines_is_a_list() -> None:
    shown = rendered(
        {
            **document(),
            "stale": [],
            "refuted": [],
            "unverified": [],
            "report": None,
            "error": "two columns\n  a.b: 3 rows\n  c.d: 4 rows",
        }
    )
    assert shown == "**❌ The pipeline stopped: two columns**\n\n- a.b: 3 rows\n\n- c.d: 4 rows\n"


@pytest.mark.parametrize(
    "text", ["# heading", "- list", "1. list", "+ x", "> quote", "[y]: https://evil.example", "=== x"]
)
def test_a_list_item_never_begins_another_block(text: str) -> None:
    content = document(text)
    content["error"] = f"stopped\n{text}"
    shown = rendered(content) + rendered({**content, "report": None})
    assert not re.findall(r"(?m)^- (?:[#>+=\[-]|\d+[.)])", shown)


def test_a_long_page_is_cut_and_its_open_blocks_closed() -> None:
    content = document()
    row = content["report"]["evaluation"]["segments"][0]
    content["report"]["evaluation"]["segments"] = [row] * 5000
    shown = page.shortened(rendered(content), 60_000, "The rest is elsewhere.")
    assert 59_000 < len(shown) <= 60_000
    assert shown.endswith("\n\n**The page is longer than a comment may be. The rest is elsewhere.**\n")
    assert shown.count("<details>") == shown.count("</details>") == 2
    graph = page.shortened("```mermaid\n" + "a\n" * 500, 300, "")
    assert graph.count("```") == 2
    assert page.shortened("short", 300, "") == "short"
    assert "longer than a comment" in page.shortened("x" * 500, 300, "")


def spoilt(path: str, value: Any) -> dict[str, Any]:
    """The document with another value at a path of keys and positions."""
    content = at = document()
    *parents, last = path.split(".")
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("number", "1; touch pwned"),
        ("number", -1),
        ("number", True),
        ("sha", "0" * 39),
        ("sha", SHA + "\n"),
        ("suffix", "-x y"),
        ("suffix", "-" + "x" * 101),
        ("verdict", "great"),
        ("stale", ["x"] * 51),
        ("error", "x" * 20_001),
        ("report.confidence", 1e31),
        ("report.confidence", "0.95"),
        ("report.evaluation.rows", -1),
        ("report.evaluation.rows", 10**16),
        ("report.evaluation.segments", [{"segment": "s"}]),
        ("report.evaluation.periods", ["x" * 201]),
        ("report.compared.comparison.primary", "absent"),
        ("report.terms.higher_is_better", {}),
        ("report.gate.verdict", "<b>"),
        ("report.plots", ["../../etc/passwd"]),
        ("report.plots", ["x" * 41]),
        ("report.plots", ["a\n"]),
        ("report.plots", ["x"] * 51),
        ("report.graph.nodes", ['a"] --> <b>']),
        ("report.graph.edges", [[0, 9]]),
        ("report.changes.base", "main"),
        ("report.changes.data_now", "`x`"),
        ("report.lineage.data", "x" * 81),
        ("report.times", [{}]),
    ],
)
def test_a_document_of_another_form_is_refused_in_one_line(path: str, value: Any, folder: Path) -> None:
    Path("review.json").write_bytes(msgspec.json.encode(spoilt(path, value)))
    with pytest.raises(Failure, match=r"^review\.json is refused \(.*\); nothing is posted$"):
        review.read(Path("review.json"))


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b"null", b'{"number": 1e999}', b'{"number": NaN}', b'{"x":' + b"[" * 90_000]
)
def test_anything_but_a_json_object_is_refused(content: bytes, folder: Path) -> None:
    Path("review.json").write_bytes(content)
    with pytest.raises(Failure, match=r"^review\.json is refused \(.*\); nothing is posted$"):
        review.read(Path("review.json"))


def test_a_document_that_is_too_large_a_link_or_missing_is_refused(folder: Path) -> None:
    path = Path("review.json")
    with pytest.raises(Failure, match=r"has no review\.json"):
        review.read(path)
    path.symlink_to("/etc/passwd")
    with pytest.raises(Failure, match=r"has no review\.json"):
        review.read(path)
    path.unlink()
    path.write_bytes(b" " * (review.BYTES + 1))
    with pytest.raises(Failure, match="more than 2,000,000; nothing is posted"):
        review.read(path)


def test_a_refusal_shows_the_document_without_live_markup(folder: Path) -> None:
    Path("review.json").write_bytes(msgspec.json.encode(spoilt("verdict", "x\n::error::@ada")))
    with pytest.raises(Failure) as refused:
        review.read(Path("review.json"))
    assert "\n" not in str(refused.value)
    assert "@ada" not in str(refused.value)


def test_a_review_may_hold_only_its_claim(folder: Path) -> None:
    Path("review.json").write_text(f'{{"number": 3, "sha": "{SHA}"}}')
    assert review.read(Path("review.json")) == Review(number=3, sha=SHA)


def test_a_written_review_is_read_back(folder: Path) -> None:
    content = msgspec.convert(document(), Review)
    review.write(Path("review.json"), content)
    assert review.read(Path("review.json")) == content
