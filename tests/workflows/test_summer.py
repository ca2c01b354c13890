"""The loop from new data to staging, on months in which the sample's champion holds and then falls behind."""

from harness.gitserver import git
from harness.world import run, world

SMALL_FILES = {"params.yaml", "data.dvc", "dvc.lock", "reports/metrics.json", "reports/validate.json"}


def test_from_june_to_july_and_through_the_merge_to_staging(tmp_path, summer_origin, machine, certificate):
    with world(tmp_path / "hub", summer_origin, machine, certificate) as there:
        there.router.disabled = ("doctor.yml", "refresh.yml")
        there.router.schedule(there.repo, "drift.yml")  # June is the oldest that nobody has judged; July ends the run
        assert there.decisions() == [("2013-06", "hold"), ("2013-07", "retrain")]
        assert "2013-06: hold: a challenger gains" in run(there, "drift").summary
        (pull,) = there.repo.pulls.values()
        assert (pull["head"]["ref"], pull["title"]) == ("retrain/2013-07", "Retrain with 2013-07")
        assert [label["name"] for label in pull["labels"]] == ["retraining"]
        assert pull["body"].startswith("**Retrain for 2013-07: a challenger gains +0.")
        assert "- The champion's log loss is" in pull["body"]
        assert pull["body"].count(f'<img src="{there.hub.url}/acme/demo/blob/') == 2  # from the store
        assert "plots/retrain-2013-07/drift.gains.png" in there.stored()
        first = pull["head"]["sha"]
        assert set(git(there.repo.path, "diff", "--name-only", "main", first).splitlines()) <= SMALL_FILES
        assert there.checks(first)["ci / report"] == "success"  # started by dispatch: the pull request started nothing
        assert there.router.held
        assert "better" in there.comments(pull["number"])[0]

        there.router.schedule(there.repo, "drift.yml")  # nothing is newer, and July is not merged yet
        assert len(there.repo.pulls) == 1
        assert pull["head"]["sha"] == first
        assert "| 2013-07 | retrain |" in pull["body"]  # the new page knows the check before
        assert f"#{pull['number']} is up to date" in run(there, "drift").summary

        before, commit = there.versions(), there.merge(pull["number"])
        there.settle()
        assert run(there, "promote").conclusion == "success"
        assert there.aliases() == {"staging": commit}
        assert there.versions() == [*before, commit]
        there.router.schedule(there.repo, "drift.yml")
        assert "there is nothing new" in run(there, "drift").summary
        assert len(there.repo.pulls) == 1
