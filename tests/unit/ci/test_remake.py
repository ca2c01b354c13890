"""dvc.lock is a claim: what somebody has made up is found by making it again, with the real DVC."""

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import made
import pytest
from sample import once

from delivery.__main__ import main
from delivery.adapters import dvc, large_files
from delivery.ci import remake, reproduce
from delivery.ci.remake import Remade
from delivery.core import files, params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Params

PIPELINE = """stages:
  train:
    cmd: {train}
    deps: [rows]
    outs: [artifacts/train]
  export:
    cmd: cp artifacts/train model
    deps: [artifacts/train]
    outs: [model]
  evaluate:
    cmd: mkdir -p reports/plots && cp number reports/metrics.json && cp rows reports/plots/roc.png
    deps: [model, number]
    outs: [reports/plots]
    metrics: [reports/metrics.json: {{cache: false}}]
"""


def pipeline(train: str = "mkdir -p artifacts && cp rows artifacts/train") -> None:
    Path("dvc.yaml").write_text(PIPELINE.format(train=json.dumps(train)))


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a pipeline of three stages and its results committed; nobody may write to it."""

    def make(folder: Path) -> None:
        with contextlib.chdir(folder):
            made.git("init", "--quiet", "--initial-branch", "main")
            # Of the whole session, so without the environment of a test; a fresh machine knows nobody.
            for key, value in {"name": "tester", "email": "tester@example.com"}.items():
                made.git("config", f"user.{key}", value)
            made.commit("First")
            dvc.run("init", "--quiet")
            pipeline()
            files.write(Path("rows"), "rows")
            files.write(Path("number"), '{"auc": 0.3}')
            Path(".gitignore").write_text("/artifacts/\n/model\n/reports/plots\n/.cache/\n/made\n")
            dvc.run("repro", "--quiet")
            made.commit("Results")

    return once(tmp_path_factory, "claims", make)


@pytest.fixture
def honest(folder: Path, results: Path) -> Path:
    """A copy of `results`, which is the current folder, with the branch `change` checked out."""
    shutil.copytree(results, folder, dirs_exist_ok=True)
    made.git("checkout", "--quiet", "-b", "change")
    return folder


def claim(path: str, content: str, stage: str) -> None:
    """Somebody writes a result by hand and tells DVC that the stage has made it."""
    Path(path).unlink()
    Path(path).write_text(content)
    dvc.run("commit", "--quiet", "--force", stage)
    made.commit("Trust me")


def test_results_that_were_made_up_are_replaced_by_those_of_the_inputs(honest: Path) -> None:
    before = Path("dvc.lock").read_text()
    claim("reports/metrics.json", '{"auc": 1.0}', "evaluate")
    stages = remake.claims([], remake.trusted_lock("main"))
    assert stages == ["evaluate"]
    assert remake.run(stages, 10.0) == Remade(refuted=("evaluate",))
    assert json.loads(Path("reports/metrics.json").read_text()) == {"auc": 0.3}
    assert Path("dvc.lock").read_text() == before
    assert reproduce.changed() == ["dvc.lock", "reports/metrics.json"]
    assert not remake.CLAIMED.exists()


def test_what_comes_after_a_made_up_model_is_made_from_the_right_one(honest: Path) -> None:
    """It believes none of the stages that somebody else has run on it, either."""
    claim("artifacts/train", "a better model", "train")
    dvc.run("repro", "--quiet")
    made.commit("And what follows from it")
    assert remake.run(["train"], 10.0) == Remade(refuted=("train",))
    assert Path("model").read_text() == "rows"
    assert workspace.DVC_LOCK.read_text() == made.git("show", "main:dvc.lock") + "\n"


def test_plots_alone_never_differ_by_rounding(folder: Path) -> None:
    for place in (Path(), remake.CLAIMED):
        files.write(place / workspace.METRICS, "{}")
        files.write(place / workspace.PLOTS / "roc.png", "a curve")
    assert remake._close([str(workspace.METRICS), str(workspace.PLOTS)])
    assert not remake._close([str(workspace.PLOTS)])


def test_a_difference_of_rounding_is_kept_as_committed_and_its_plots_are_those_just_made(honest: Path) -> None:
    Path("reports/plots/roc.png").unlink()
    Path("reports/plots/roc.png").write_text("a curve that nobody can compare")
    claim("reports/metrics.json", '{"auc": 0.30000000000000004}', "evaluate")
    assert remake.run(["evaluate"], 10.0) == Remade()
    assert Path("reports/metrics.json").read_text() == '{"auc": 0.30000000000000004}'
    assert Path("reports/plots/roc.png").read_text() == "rows"
    assert reproduce.changed() == []


def test_honest_results_stay_as_they_are(honest: Path) -> None:
    assert remake.run(["train", "evaluate"], 10.0) == Remade()
    assert made.git("status", "--porcelain") == ""
    assert not remake.CLAIMED.exists()


def test_a_stage_that_takes_too_long_is_believed_and_named(honest: Path) -> None:
    pipeline(train="sleep 300 && cp rows artifacts/train")
    dvc.run("commit", "--quiet", "--force", "train")
    lock = Path("dvc.lock").read_text()
    for minutes in (0.0, 0.05):
        assert remake.run(["train"], minutes) == Remade(unverified=("train",))
        assert Path("artifacts/train").read_text() == "rows"
        assert Path("dvc.lock").read_text() == lock


def test_a_stage_that_fails_says_why_and_leaves_the_results(honest: Path) -> None:
    pipeline(train="echo 'error: no rows' && false")
    dvc.run("commit", "--quiet", "--force", "train")
    with pytest.raises(Failure, match=r"^no rows$"):
        remake.run(["train"], 10.0)
    assert Path("artifacts/train").read_text() == "rows"


def test_what_has_just_run_or_is_the_bases_is_not_claimed(honest: Path) -> None:
    trusted = remake.trusted_lock("main")
    assert trusted == Path("dvc.lock").read_text().strip()
    assert remake.claims([]) == ["train", "export", "evaluate"]
    assert remake.claims([], trusted) == []
    lock = Path("dvc.lock").read_text()
    at = lock.index("model")  # an input of `evaluate` and the result of `export`, not one of `train`
    assert at > 0
    Path("dvc.lock").write_text(lock.replace("path: model", "path: other"))
    assert remake.claims([], trusted) == ["export", "evaluate"]
    assert remake.claims(["export"], trusted) == ["evaluate"]


def test_a_base_without_a_lock_or_a_common_commit_is_trusted_for_nothing(honest: Path) -> None:
    first = made.git("rev-list", "--max-parents=0", "HEAD")
    assert remake.trusted_lock(first) == ""
    assert remake.trusted_lock("staging") == "", "an alias of the registry"
    made.git("checkout", "--quiet", "--orphan", "other")
    made.commit("Another start")
    assert remake.trusted_lock("main") == ""


def test_the_stages_of_a_matrix_are_claims_too(folder: Path) -> None:
    Path("dvc.yaml").write_text("stages: {b: {matrix: {m: [x, y]}, cmd: c}, a: {cmd: c}}")
    Path("dvc.lock").write_text("stages: {a: {cmd: c}, b@x: {cmd: c}, b@y: {cmd: c}, removed: {cmd: c}}")
    assert remake.claims(["b@y"]) == ["b@x", "a"]


def test_the_verb_makes_everything_again_on_request(
    settings: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    verified: list = []

    def verify(ran: list[str], *, minutes: float | None) -> Remade:
        verified.append((ran, minutes))
        return Remade(refuted=("evaluate",), unverified=("train",))

    monkeypatch.setattr(params, "load", lambda: made.changed(settings, reproduce__minutes=2.5))
    monkeypatch.setattr(reproduce, "pipeline", lambda: ["prepare"])
    monkeypatch.setattr(reproduce, "verify", verify)
    monkeypatch.setattr(reproduce, "changed", lambda: ["dvc.lock"])
    assert main(["reproduce"]) == 0
    assert capsys.readouterr().out == "reproduce: changed dvc.lock\n"
    assert verified == []
    assert main(["reproduce", "--remake"]) == 0
    assert capsys.readouterr().out == (
        "reproduce: train was not made again, because that takes more than reproduce.minutes (2.5)\n"
        "reproduce: changed dvc.lock\n"
    )
    assert main(["reproduce", "--remake", "--minutes", "300"]) == 0
    assert "train was not made again, because that takes more than 300 minutes\n" in capsys.readouterr().out
    assert main(["reproduce", "--locked", "--remake"]) == 1
    assert capsys.readouterr().err == (
        "error: evaluate, made again from its inputs, gives other results than dvc.lock names; "
        "run `delivery reproduce --remake`, commit what it changes and push\n"
    )
    assert verified == [(["prepare"], minutes) for minutes in (None, 300.0, None)]


def test_the_pipeline_says_which_stages_ran_and_verifies_the_rest(
    settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list = []

    def noted(answer: object) -> Callable[..., object]:
        def call(*words: object) -> object:
            called.append(words)
            return answer

        return call

    output = "Running stage 'train':\nStage 'evaluate' didn't change, skipping\n"
    monkeypatch.setattr(reproduce, "data", lambda: called.append("data"))
    monkeypatch.setattr(dvc, "run", noted(SimpleNamespace(stdout=output)))
    monkeypatch.setattr(large_files, "refuse_before_training", lambda prepare: prepare())
    monkeypatch.setattr(large_files, "refuse_objects", called.append)
    assert reproduce.pipeline() == ["train", "train"], "both times, in this made-up output"
    assert called == ["data", ("repro", "--pull", "prepare"), ("repro", "--pull"), workspace.ARTIFACTS]

    called.clear()
    monkeypatch.setattr(params, "load", lambda: made.changed(settings, reproduce__minutes=2.5))
    monkeypatch.setattr(remake, "trusted_lock", lambda base: f"lock of {base}")
    monkeypatch.setattr(remake, "claims", noted(["export"]))
    monkeypatch.setattr(remake, "run", noted(Remade()))
    reproduce.verify(["train"], "origin/main")
    reproduce.verify(["train"])
    reproduce.verify(["train"], minutes=300.0)
    asked = [(["train"], "lock of origin/main"), (["export"], 2.5), (["train"], ""), (["export"], 2.5)]
    assert called == [*asked, (["train"], ""), (["export"], 300.0)]
