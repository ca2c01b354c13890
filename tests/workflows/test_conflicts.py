"""Pull requests that change parameters: after one is merged, the others are brought up to date; `/results` for a fork."""

from pathlib import Path

import edits
from harness import template
from harness.hub import Token
from harness.world import World, run


def settings(**values: str) -> edits.Edit:
    """Parameters of the model in params.yaml and dvc.lock, as their author commits them; the model stays."""

    def edit(folder: Path) -> None:
        edits.params(**values)(folder)
        file = folder / "dvc.lock"
        text = file.read_text()
        for name, value in values.items():
            text = template.numbered(text, name, value)
        file.write_text(text)

    return edit


def test_after_a_merge_another_parameter_change_gets_it_and_new_results(settled: World) -> None:
    settled.router.disabled = ("comment.yml", "doctor.yml", "promote.yml", "tag.yml")
    second = settled.propose("leaf", settings(min_samples_leaf="11"))
    third = settled.propose("other", settings(l2_regularization="0.2"), login="grace", fork=True)
    unrelated = settled.propose("rate", edits.params(learning_rate=0.2), login="heidi", fork=True)
    settled.hub.events.clear()  # their first reports have scenarios of their own
    before = [settled.head(number) for number in (second, third, unrelated)]
    clone = settled.clone()
    settings(l2_regularization="0.1")(clone)
    settled.push(clone, "Merged just now")
    assert settled.hub.merged(settled.repo, settled.repo.pulls[second]) is None  # GitHub would run nothing for it
    settled.settle()

    assert run(settled, "refresh").conclusion == "success"
    head = settled.head(second)
    params, lock = settled.repo.file(head, "params.yaml"), settled.repo.file(head, "dvc.lock")
    for text in (params, lock):
        assert "l2_regularization: 0.1" in text
        assert "min_samples_leaf: 11" in text
    assert settled.checks(head)["ci / report"] == "success"  # of the results that the report before has committed
    assert settled.hub.merged(settled.repo, settled.repo.pulls[second]) is not None
    assert settled.head(second) != before[0]
    assert settled.comments(second) == []
    (comment,) = settled.comments(third)
    assert "git merge origin/main" in comment
    assert "`params.yaml`" in comment
    assert [settled.head(number) for number in (third, unrelated)] == before[1:]
    assert settled.comments(unrelated) == []

    for login in ("heidi", "ada"):  # who may not push starts nothing
        settled.hub.say(settled.repo, unrelated, "/results", Token(login, settled.repo.name, "person"))
    settled.settle()
    assert [each.conclusion for each in settled.router.runs if each.workflow == "command"] == ["skipped", "success"]
    branch = f"results/pull-{unrelated}"
    assert "learning_rate: 0.2" in settled.repo.file(branch, "dvc.lock")
    assert settled.repo.sha(f"{branch}^") == before[2]
    assert f"results/pull-{unrelated} && git push" in settled.comments(unrelated)[-1]
    report = run(settled, "ci")
    assert report.jobs["ci / push"] == "success"
    assert report.jobs["ci / comment"] == "skipped"
    assert settled.head(unrelated) == before[2]
