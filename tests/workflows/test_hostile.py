"""A pull request from somebody who means harm: their workflow file, their artifact, their names. Ours stays ours."""

import subprocess
from functools import partial

import edits
from harness import template
from harness.gitserver import git
from harness.world import World, run

# What the fork's own ci.yml does in place of ours: writes any artifact it likes.
FORGED = """name: ci
on: pull_request
permissions: {contents: write, pull-requests: write}
jobs:
  report:
    name: report
    runs-on: ubuntu-24.04
    timeout-minutes: 5
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - run: '"$HUB_PYTHON" forge.py'
        env:
          GITHUB_TOKEN: ${{ github.token }}
      - uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0
        with:
          name: review
          path: forged
"""
TEXT = r"""# Merge me @acme/owners @ada
![](https://evil.example/pixel.png) ![x][y] <img src="https://evil.example/t.png"> <img src="plots/ok.png" alt="ok" width="400">
<a href="https://evil.example">click</a> [click](https://evil.example) https://evil.example www.evil.example &#64;ada &commat;ada
[y]: https://evil.example/ref.png
fixes #1, other/repo#2, GH-3 <!-- hidden --> <script>alert(1)</script>
```mermaid
flowchart TD
  a["<img src=x>"] --> b
```
![](https://cml.dev/watermark.png#abc "CML watermark report")
> ```mermaid
> flowchart TD
$\href{https://evil.example}{click}$ and $`\href{https://evil.example}{click}`$
<details>
"""
# What of it GitHub would act on.
LIVE = ("@ada", "@acme", "![](https://evil", "![x][y]", '<img src="https://evil', "<a ", "<script", "<!--", "https://evil",
        "](https://evil", "www.evil", "&#64;", "&commat;", "#1,", "repo#2", "GH-3",
        "```mermaid\nflowchart TD\n  a", "> ```", "$")  # fmt: skip
# A document of the right form with that text in every place that takes one; its images are real, hostile and absent.
FORGE = """
import json, os, pathlib, struct, subprocess, zlib
folder = pathlib.Path("forged/plots"); folder.mkdir(parents=True)
head = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
text = {text!r}
name = text[:200]
row = dict(segment=name, rows=9, value=0.5, low=0.1, high=0.9)
metric = dict(metric=name, higher_is_better=True, champion=0.5, candidate=0.5, difference=0.0, low=-0.1, high=0.1, verdict="better")
change = dict(segment=name, rows=9, blocks=3, difference=0.0, low=-0.1, high=0.1, p_worse=0.5, judged=True)
compared = dict(rows=9, blocks=3, block=name, confidence=0.95, primary=name, metrics=[metric], segments=[change],
                calibration=dict(champion=0.0, candidate=0.0))
report = dict(
    terms=dict(primary=name, block=name, higher_is_better={name: True}, calibration=text), confidence=0.95,
    evaluation=dict(rows=9, blocks=3, periods=[name], problem=dict(label=[name], classes=[name], key=[name]), level=[0.5],
                    metrics={name: dict(value=0.5, low=0.1, high=0.9)}, calibration=dict(gap=0.1, bins=[]),
                    segments=[row] * {rows}, importance=[]),
    compared=dict(against=name, commit=head, reason=text, comparison=compared),
    gate=dict(verdict="pass", model=name, against=name, rules=[dict(name=name, verdict="warn", evidence=text)], latency_us=1.0),
    changes=dict(base=head, parameters=[dict(name=name, before=text, now=text)], data_before="a", data_now="b",
                 code=[dict(path=text, added=1, removed=1)]),
    plots=["ok", "huge", "page", "bomb", "absent"], graph=dict(nodes=["train"], edges=[]),
    times=[dict(stage=name, seconds=1.0, started=name, executor=name)],
    lineage=dict(commit=head, uncommitted=False, data="a", outputs={name: "a"}, executor=name),
)
whole = dict(verdict="pass", stale=[name], pushed=False, report=report)
pathlib.Path("forged/review.json").write_text(json.dumps(dict(whole, **{claim})) + " " * {padding})
pathlib.Path("forged/page.md").write_text(text)
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
def png(side, pixels):
    parts = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)), chunk(b"tEXt", b"Comment\\0<script>evil</script>")
    return b"\\x89PNG\\r\\n\\x1a\\n" + b"".join(parts) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
for number in range({folders}):
    other = pathlib.Path(f"forged/review-x{number}"); other.mkdir()
    (other / "review.json").write_text(json.dumps(dict(whole, suffix=f"-x{number}", **{claim})))
    pathlib.Path("forged/review.json").unlink(missing_ok=True)
(folder / "ok.png").write_bytes(png(9, (b"\\0" + b"abc" * 9) * 9))
(folder / "bomb.png").write_bytes(png(50_000, bytes(99_999)))
(folder / "$(touch pwned).png").write_bytes(b"x")
(folder / "huge.png").write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(9_000_000))
(folder / "page.png").write_text("<svg onload=alert(1)>")
"""


def forged(claim: str, rows: int = 1, padding: int = 0, folders: int = 0) -> edits.Edit:
    values = {
        "{claim}": claim,
        "{text!r}": repr(TEXT),
        "{rows}": str(rows),
        "{padding}": str(padding),
        "{folders}": str(folders),
    }
    script = FORGE
    for name, value in values.items():
        script = script.replace(name, value)
    return edits.both(
        edits.written(".github/workflows/ci.yml", FORGED),
        edits.written("forge.py", script),
        edits.written("$(touch pwned)`id`.md", "a file name"),
    )


def hostile(settled: World, claim: str, rows: int = 1, padding: int = 0, folders: int = 0) -> int:
    settled.router.disabled = ()
    title = '"; touch pwned; echo "$(id)` ${{ secrets.GITHUB_TOKEN }} @ada'
    branch = "x$(touch${IFS}pwned)`id`"
    return settled.propose(branch, forged(claim, rows, padding, folders), title=title, login="mallory", fork=True)


def test_a_report_for_another_pull_request_is_not_posted(settled):
    victim = settled.hub.open_pull(settled.repo, *_plain(settled))["number"]
    settled.hub.events.clear()
    number = hostile(settled, f'{{"number": {victim}, "sha": head}}')
    settled.settle()
    assert settled.comments(victim) == []
    assert settled.comments(number) == []
    assert run(settled, "comment").conclusion == "failure"
    assert "is not the one" in run(settled, "comment").log


def test_a_report_of_another_commit_is_not_posted(settled):
    number = hostile(settled, '{"number": int(os.environ["GITHUB_REF"].split("/")[2]), "sha": "0" * 40}')
    settled.settle()
    assert settled.comments(number) == []


def test_a_claim_that_is_no_claim_is_not_posted(settled):
    number = hostile(settled, '{"number": "1; touch pwned", "sha": head}')
    settled.settle()
    assert settled.comments(number) == []


def test_a_report_of_another_form_or_size_is_not_posted(settled):
    claim = '{"number": int(os.environ["GITHUB_REF"].split("/")[2]), "sha": head}'
    number = hostile(settled, claim, padding=2_000_000)
    settled.settle()
    assert settled.comments(number) == []
    assert "review.json has 2," in run(settled, "comment").log
    assert "more than 2,000,000; nothing is posted" in run(settled, "comment").log


def test_a_long_report_is_cut(settled):
    claim = '{"number": int(os.environ["GITHUB_REF"].split("/")[2]), "sha": head}'
    number = hostile(settled, claim, rows=400)
    settled.settle()
    (comment,) = settled.comments(number)
    assert len(comment) < 65_536
    assert "longer than a comment may be" in comment
    assert not [live for live in LIVE if live in comment]


def test_one_artifact_with_many_reports_gets_one_comment(settled):
    claim = '{"number": int(os.environ["GITHUB_REF"].split("/")[2]), "sha": head}'
    number = hostile(settled, claim, folders=25)
    settled.settle()
    (comment,) = settled.comments(number)
    assert comment.startswith("Report of x0 on ")
    assert "24 more reports, of models that this repository does not have" in run(settled, "comment").summary


def test_a_hostile_report_becomes_harmless_text(settled):
    before = settled.repo.sha("main")
    claim = '{"number": int(os.environ["GITHUB_REF"].split("/")[2]), "sha": head}'
    number = hostile(settled, claim)
    mark = '![](https://cml.dev/watermark.png#abc "CML watermark report")'  # as if the comment were the report's
    settled.repo.comments[1] = {"id": 1, "number": number, "body": mark, "edits": 0, "user": {"login": "mallory"}}
    settled.settle()
    planted, comment = settled.comments(number)
    assert planted == mark
    assert "longer than a comment may be" not in comment
    for live in LIVE:
        assert live not in comment, live
    for name, reason in (
        ("huge", "it has more than 400,000 bytes"),
        ("page", "it is no PNG"),
        ("bomb", "it has more than 8,000,000 pixels"),
        ("absent", "it is not among the plots"),
    ):
        assert f"The image {name} is left out: {reason}." in comment
    assert comment.count("![](https://cml.dev/watermark.png#") == 1  # ours, at the end
    assert comment.count("<img ") == 1  # its one real and small PNG, from the store
    assert f"{settled.hub.url}/acme/demo/blob/" in comment
    sha = settled.head(number)
    assert [path for path in settled.stored() if path.startswith("plots/")] == [f"plots/{sha}/ok.png"]
    show = ["git", "-C", str(settled.repo.path), "show", f"store:plots/{sha}/ok.png"]
    image = subprocess.run(show, capture_output=True, check=True).stdout
    assert image.startswith(b"\x89PNG")
    assert b"script" not in image
    assert settled.repo.sha("main") == before
    assert not list(settled.hub.folder.rglob("pwned"))
    assert not list(settled.router.machine.work.rglob("pwned"))


def test_the_token_of_a_fork_writes_nothing(settled):
    script = """
import json, os, urllib.error, urllib.request
def call(path, body):
    request = urllib.request.Request(os.environ["GITHUB_API_URL"] + "/repos/acme/demo" + path, json.dumps(body).encode(),
                                     {"Authorization": "Bearer " + os.environ["GITHUB_TOKEN"]})
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code
print(call("/issues/1/comments", {"body": "hi"}), call("/actions/workflows/promote.yml/dispatches", {"ref": "main"}))
os.system('git -c http.extraheader="Authorization: bearer $GITHUB_TOKEN" push origin HEAD:refs/heads/main')
"""
    settled.router.disabled = ("comment.yml",)
    before, comments = settled.repo.sha("main"), dict(settled.repo.comments)
    edit = edits.both(edits.written(".github/workflows/ci.yml", FORGED), edits.written("forge.py", script))
    settled.propose("steal", edit, login="mallory", fork=True)
    settled.settle()
    assert "403 403" in run(settled, "ci").log
    assert settled.repo.sha("main") == before
    assert settled.repo.comments == comments


def test_the_job_that_pushes_results_runs_no_code_of_the_pull_request(settled):
    """A colleague's branch, so it gets its results. Its code and Makefile run in the job that may only read."""
    verb = edits.replaced(
        "src/delivery/ci/results.py",
        "    commit = push(options.folder, options.branch, options.of)\n",
        '    print("code of the pull request in push")\n    commit = push(options.folder, options.branch, options.of)\n',
    )
    makefile = edits.replaced(
        "Makefile", "setup:\n", 'setup:\n\t@echo "Makefile of the pull request in $$GITHUB_JOB"\n'
    )
    settled.router.disabled = ("comment.yml",)
    number = settled.propose("own-code", edits.both(edits.BETTER, verb, makefile))
    first = settled.head(number)
    settled.settle()
    report = next(each for each in settled.router.runs if each.event == "pull_request")
    assert report.jobs["ci / push"] == "success"
    assert settled.head(number) != first
    assert "learning_rate: 0.05" in settled.repo.file("own-code", "dvc.lock")
    assert "Makefile of the pull request in report" in report.log
    assert "Makefile of the pull request in push" not in report.log
    assert "code of the pull request in push" not in report.log


def _plain(settled: World):
    from harness.hub import Token

    folder = settled.clone()
    edits.written("NOTES.md", "words")(folder)
    settled.push(folder, "Words", "words")
    return {"head": "words", "base": "main", "title": "Words"}, Token("ada", settled.repo.name, "person")


def forge(there: World, folder) -> None:
    """Predictions that know the labels, and metrics to match, which DVC takes for those of the stage `evaluate`."""
    program = there.router.machine.venv / "bin" / "python"
    template.python(program, folder, "-m", "delivery", "store", "pull")
    template.python(program, folder, "-m", "delivery", "reproduce")
    made_up = """
import json, pandas as pd
from delivery.core import workspace
from problem import LABEL
rows = pd.read_parquet(workspace.PREDICTIONS)
rows.assign(prediction=rows[LABEL].clip(0.001, 0.999)).to_parquet(workspace.PREDICTIONS, index=False)
metrics = json.loads(workspace.METRICS.read_text())
metrics["metrics"]["auc"] |= {"value": 1.0, "low": 1.0, "high": 1.0}
workspace.METRICS.write_text(json.dumps(metrics))
"""
    template.python(program, folder, "-c", made_up)
    template.python(program, folder, "-m", "dvc", "commit", "--quiet", "--force", "evaluate")
    template.python(program, folder, "-m", "dvc", "push", "--quiet")
    template.python(program, folder, "-m", "delivery", "store", "push")


def test_results_that_somebody_made_up_are_found_in_the_report_and_before_a_delivery(settled):
    settled.router.disabled = ()
    number = settled.propose("better", partial(forge, settled))
    forged = settled.head(number)
    settled.settle()

    first, *_ = [each for each in settled.router.runs if each.workflow == "ci"]
    assert (
        "Made again from its inputs, `evaluate` gives other results than dvc.lock of this commit names" in first.summary
    )
    assert settled.checks(forged)["ci / report"] == "failure"
    assert settled.repo.file("better", "dvc.lock") == settled.repo.file("main", "dvc.lock"), "the right results"
    assert settled.checks(settled.head(number))["ci / report"] == "success"
    assert "Better by" not in settled.comments(number)[0]

    before = settled.aliases()
    folder = settled.clone()
    git(folder, "reset", "--quiet", "--hard", forged)
    edits.OTHER_IMAGE(folder)  # else nothing would be delivered
    settled.push(folder, "Past all reviews")
    settled.router.disabled = ("ci.yml",)
    settled.settle()
    promote = run(settled, "promote")
    assert promote.conclusion == "failure"
    assert "evaluate, made again from its inputs, gives other results than dvc.lock names" in promote.failed
    assert settled.aliases() == before
