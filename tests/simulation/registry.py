"""MLflow's client over one JSON file in the place of its database: what `registry/client.py` and its room ask of it.

In one line, so that two writers' changes conflict as those of a database do. test_simulation.py compares it with MLflow.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from delivery.core import files, workspace
from delivery.registry import client

EMPTY: dict[str, Any] = {"aliases": {}, "versions": {}, "runs": {}, "last": 0}


def read(text: str) -> dict[str, Any]:
    return json.loads(text) if text else json.loads(json.dumps(EMPTY))


class Registry:
    """In place of `MlflowClient`, over the store of the current folder."""

    def __init__(self, uri: str = "") -> None:
        self.path = Path(workspace.REGISTRY_DATABASE).resolve()
        if not self.path.exists():
            self._write(read(""))

    def _read(self) -> dict[str, Any]:
        return read(self.path.read_text())

    def _write(self, content: dict[str, Any]) -> None:
        files.write(self.path, json.dumps(content))

    def get_registered_model(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(aliases=self._read()["aliases"])

    def search_model_versions(self, query: str) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(version=number, tags=entry["tags"], description=entry["description"], run_id=entry["run"],
                            source=entry["source"])
            for number, entry in self._read()["versions"].items()
        ]  # fmt: skip

    def create_model_version(self, name: str, source: str, run: str, tags: dict, description: str | None = None):
        content = self._read()
        content["last"] += 1
        number = str(content["last"])
        content["versions"][number] = {
            "tags": {key: str(value) for key, value in tags.items()}, "description": description, "run": run, "source": source,
        }  # fmt: skip
        self._write(content)
        return SimpleNamespace(version=number)

    def update_model_version(self, name: str, number: str, description: str) -> None:
        content = self._read()
        content["versions"][str(number)]["description"] = description
        self._write(content)

    def set_model_version_tag(self, name: str, number: str, key: str, value: str) -> None:
        content = self._read()
        content["versions"][str(number)]["tags"][key] = str(value)
        self._write(content)

    def set_registered_model_alias(self, name: str, alias: str, number: str) -> None:
        content = self._read()
        assert str(number) in content["versions"]
        content["aliases"][alias] = str(number)
        self._write(content)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        content = self._read()
        content["aliases"].pop(alias, None)
        self._write(content)

    def delete_model_version(self, name: str, number: str) -> None:
        content = self._read()
        del content["versions"][str(number)]
        self._write(content)

    # Runs

    def create_run(self, experiment: str, run_name: str | None = None, tags: dict | None = None) -> SimpleNamespace:
        content = self._read()
        ident = f"run{len(content['runs']) + 1}"
        content["runs"][ident] = {"metrics": {}, "tags": tags or {}, "status": "RUNNING"}
        self._write(content)
        info = SimpleNamespace(run_id=ident, artifact_uri=f"mlflow-artifacts:/{experiment}/{ident}/artifacts")
        return SimpleNamespace(info=info)

    def log_metric(self, run: str, name: str, value: float) -> None:
        content = self._read()
        content["runs"][run]["metrics"][name] = value
        self._write(content)

    def set_terminated(self, run: str, status: str = "FINISHED") -> None:
        content = self._read()
        content["runs"][run]["status"] = status
        self._write(content)

    def get_run(self, run: str) -> SimpleNamespace:
        return SimpleNamespace(data=SimpleNamespace(metrics=self._read()["runs"][run]["metrics"]))


REPLACED = [
    (client, "_connect", Registry),
    (client, "insist", lambda change: change()),
    (client, "experiment_id", lambda name: name),
]
