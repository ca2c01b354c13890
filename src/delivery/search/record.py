"""Trials on record: each is a run of the registry, beside this machine's journal."""

import hashlib
from typing import Any

import msgspec

from delivery.core.params import Params
from delivery.registry import registry
from delivery.search.trials import Trial
from problem import PRIMARY, Train

EXPERIMENT = "search"


def on_record(client: Any, search: str) -> set[str]:
    """The digests of a search's trials that the registry has."""
    found = client.search_runs(
        [registry.experiment(client, EXPERIMENT)], f"tags.search = '{search}'", max_results=50_000
    )
    return {run.data.tags["trial"] for run in found}


def record(client: Any, search: str, trial: Trial, rows: int, settings: Params) -> None:
    """As a run of its own, named by the settings that are searched for."""
    tags = {"search": search, "trial": digest(trial.train)} | ({"failed": trial.failed} if trial.failed else {})
    metrics = {} if trial.failed else {PRIMARY: sum(trial.sums) / rows, "seconds": trial.seconds}
    experiment = registry.experiment(client, EXPERIMENT)
    run = client.create_run(experiment, tags=tags, run_name=words(trial.train, settings))
    registry.log(client, run.info.run_id, msgspec.to_builtins(trial.train), metrics)
    client.set_terminated(run.info.run_id, "FAILED" if trial.failed else "FINISHED")


def digest(train: Train) -> str:
    return hashlib.sha256(msgspec.json.encode(train)).hexdigest()[:16]


def words(train: Train, settings: Params) -> str:
    """The settings that are searched for."""
    return ", ".join(f"{name} {getattr(train, name)}" for name in settings.search.space)
