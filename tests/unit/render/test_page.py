"""The page of a report: of whatever a document says, nothing but the renderer's own markup is live."""

import re
from pathlib import Path
from typing import Any

import hostile
import made
import msgspec
import pytest

from delivery.core import documents
from delivery.core.errors import Failure
from delivery.render import page, review
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
    }
    return {"number": 7, "sha": SHA, "stale": [text], "error": text, "report": report}


def rendered(content: dict[str, Any], images: dict[str, str] | None = None) -> str:
    return page.review_page(msgspec.convert(content, Review, strict=True), images or {}, "Commit them.")


def without_own(text: str) -> str:
    """The page less what the renderer itself may write."""
    own = [r"</?details>", r"<summary><b>[A-Za-z ]+</b></summary>", r"```mermaid\n[^`]*\n```"]
    own += [r'<img src="https://github\.com/[^"]*" alt="[\w ]+" width="400">', rf"`{SHA}`", f"`{SHA[:8]}`"]
    return re.sub("|".join(own), "", text)


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_nothing_of_a_hostile_document_is_live(text: str) -> None:
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
    ):
        assert part in shown, part


def test_an_error_of_several_lines_is_a_list() -> None:
    shown = rendered({**document(), "stale": [], "report": None, "error": "two columns\n  a.b: 3 rows\n  c.d: 4 rows"})
    assert shown == "**❌ The pipeline stopped: two columns**\n\n- a.b: 3 rows\n\n- c.d: 4 rows\n"


@pytest.mark.parametrize(
    "text", ["# heading", "- list", "1. list", "+ x", "> quote", "[y]: https://evil.example", "=== x"]
)
def test_nothing_begins_a_block_at_the_start_of_an_item(text: str) -> None:
    content = document(text)
    content["error"] = f"stopped\n{text}"
    shown = rendered(content) + rendered({**content, "report": None})
    assert not re.findall(r"(?m)^- (?:[#>+=\[-]|\d+[.)])", shown)


def test_a_page_that_is_too_long_is_cut_and_closed() -> None:
    content = document()
    row = content["report"]["evaluation"]["segments"][0]
    content["report"]["evaluation"]["segments"] = [row] * 5000
    shown = page.shortened(rendered(content), 60_000, "The rest is elsewhere.")
    assert 59_000 < len(shown) <= 60_000
    assert shown.endswith("\n\n**The page is longer than a comment may be. The rest is elsewhere.**\n")
    assert shown.count("<details>") == shown.count("</details>") == 1
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
def test_what_is_no_json_object_is_refused(content: bytes, folder: Path) -> None:
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


def test_a_refusal_shows_nothing_of_the_document_live(folder: Path) -> None:
    Path("review.json").write_bytes(msgspec.json.encode(spoilt("verdict", "x\n::error::@ada")))
    with pytest.raises(Failure) as refused:
        review.read(Path("review.json"))
    assert "\n" not in str(refused.value)
    assert "@ada" not in str(refused.value)


def test_a_claim_alone_is_a_review(folder: Path) -> None:
    Path("review.json").write_text(f'{{"number": 3, "sha": "{SHA}"}}')
    assert review.read(Path("review.json")) == Review(number=3, sha=SHA)


def test_what_is_written_is_read_back(folder: Path) -> None:
    content = msgspec.convert(document(), Review)
    review.write(Path("review.json"), content)
    assert review.read(Path("review.json")) == content
