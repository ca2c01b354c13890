"""A pull request from somebody who means harm: their workflow file, their artifact, their names. Ours stays ours."""

import edits
from harness.world import World, run

# What the fork's own report.yml does in place of ours: writes any artifact it likes.
FORGED = """name: report
on: pull_request
permissions: {contents: write, pull-requests: write}
jobs:
  report:
    name: report
    runs-on: ubuntu-latest
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
PAGE = r"""
# Merge me @acme/owners @ada
![](https://evil.example/pixel.png) ![x][y] <img src="https://evil.example/t.png"> <img src="plots/ok.png" alt="ok" width="400">
<a href="https://evil.example">click</a> [click](https://evil.example) https://evil.example www.evil.example &#64;ada &commat;ada
[y]: https://evil.example/ref.png
fixes #1, other/repo#2, GH-3 <!-- hidden --> <script>alert(1)</script>
```mermaid
flowchart TD
  a["<img src=x>"] --> b
```
![](https://cml.dev/watermark.png#abc "CML watermark report")
<details>
"""
# What of it GitHub would act on.
LIVE = ("@ada", "@acme", "![](https://evil", "![x][y]", '<img src="https://evil', "<a ", "<script", "<!--", "https://evil",
        "](https://evil", "www.evil", "&#64;", "&commat;", "#1,", "repo#2", "GH-3", "```mermaid")  # fmt: skip
FORGE = """
import json, os, pathlib, subprocess, urllib.request
folder = pathlib.Path("forged/plots"); folder.mkdir(parents=True)
head = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
pathlib.Path("forged/review.json").write_text(json.dumps({claim}))
pathlib.Path("forged/page.md").write_text({page!r} + "x" * {padding})
(folder / "ok.png").write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(8) + (9).to_bytes(4) + (9).to_bytes(4))
(folder / "$(touch pwned).png").write_bytes(b"x")
(folder / "huge.png").write_bytes(b"\\x89PNG\\r\\n\\x1a\\n" + bytes(9_000_000))
(folder / "page.png").write_text("<svg onload=alert(1)>")
"""


def forged(claim: str, padding: int = 0) -> edits.Edit:
    script = FORGE.replace("{claim}", claim).replace("{page!r}", repr(PAGE)).replace("{padding}", str(padding))
    return edits.both(
        edits.written(".github/workflows/report.yml", FORGED),
        edits.written("forge.py", script),
        edits.written("$(touch pwned)`id`.md", "a file name"),
    )


def hostile(settled: World, claim: str, padding: int = 0) -> int:
    settled.router.disabled = ("ci.yml",)
    title = '"; touch pwned; echo "$(id)` ${{ secrets.GITHUB_TOKEN }} @ada'
    branch = "x$(touch${IFS}pwned)`id`"
    return settled.propose(branch, forged(claim, padding), title=title, login="mallory", fork=True)


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


def test_a_hostile_page_becomes_harmless_text(settled):
    before = settled.repo.sha("main")
    number = hostile(settled, '{"number": int(os.environ["GITHUB_REF"].split("/")[2]), "sha": head}', 5_000_000)
    settled.settle()
    (comment,) = settled.comments(number)
    assert len(comment) < 65_536
    assert "longer than a comment may be" in comment
    for live in LIVE:
        assert live not in comment, live
    assert comment.count("![](https://cml.dev/watermark.png#") == 1  # ours, at the end
    assert comment.count("<img ") == 1  # its one real and small PNG, from the store
    assert f"{settled.hub.url}/acme/demo/blob/" in comment
    sha = settled.head(number)
    assert [path for path in settled.stored() if path.startswith("plots/")] == [f"plots/{sha}/ok.png"]
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
    settled.router.disabled = ("ci.yml", "comment.yml")
    before, comments = settled.repo.sha("main"), dict(settled.repo.comments)
    edit = edits.both(edits.written(".github/workflows/report.yml", FORGED), edits.written("forge.py", script))
    settled.propose("steal", edit, login="mallory", fork=True)
    settled.settle()
    assert "403 403" in run(settled, "report").log
    assert settled.repo.sha("main") == before
    assert settled.repo.comments == comments


def _plain(settled: World):
    from harness.hub import Token

    folder = settled.clone()
    edits.written("NOTES.md", "words")(folder)
    settled.push(folder, "Words", "words")
    return {"head": "words", "base": "main", "title": "Words"}, Token("ada", settled.repo.name, "person")
