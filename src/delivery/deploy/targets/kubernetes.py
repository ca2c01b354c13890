"""An environment of a Kubernetes cluster: the overlay of its name, put in place by kubectl; a canary is a second Deployment.

What serves is read off the cluster each time. Its share of the requests is a Deployment's share of the pods that have
`traffic: "on"`.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.deploy.targets import counts
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.state import Slot
from delivery.probe import contract

STABLE, CANARY = "delivery", "delivery-canary"
VERSION, COMMIT = "delivery/version", "delivery/commit"


class Cluster:
    """Until `finish`, `undo` brings back what was there."""

    def __init__(self, environment: str, place: params.Place, settings: params.Deploy):
        self.environment, self.place, self.settings = environment, place, settings
        self.namespace = place.namespace or environment
        self.overlay = workspace.OVERLAYS / environment
        self.rolled = self.first = False
        if not self.overlay.is_dir():
            raise Failure(f"{self.overlay} is missing; copy the one of staging and set its namespace")

    def kubectl(self, *words: str, content: str = "") -> str:
        """Its output. Raises Failure with its last word."""
        command = ["kubectl", "--namespace", self.namespace, *words]
        try:
            done = subprocess.run(command, input=content or None, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Failure("kubectl is missing; install it, or set another target") from None
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
            raise Failure(f"kubectl {words[0]}: {last}")
        return done.stdout

    def serving(self) -> str:
        """The version of the Deployment that serves, whether or not it is whole; nothing where there is none."""
        found = self._get(STABLE)
        return found["metadata"].get("annotations", {}).get(VERSION, "") if found else ""

    def serves(self, version: str) -> bool:
        found = self._get(STABLE)
        if not found or self.serving() != version:
            return False
        status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
        current = status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
        return current and wanted == status.get("updatedReplicas", 0) == status.get("availableReplicas", 0)

    def settle(self, pointed: str) -> None:
        """A canary that nobody is trying is what a killed command has left; the alias says how far it had come."""
        if self._get(CANARY):
            begun = self.serving() not in ("", pointed)
            self.rolled, self.first = begun and bool(pointed), begun and not pointed
            self.undo()

    def begin(self, wanted: Slot) -> None:
        """One pod of the version, ready and without a request."""
        self._apply(workspace.OVERLAYS / "canary", wanted)
        self._rollout(CANARY)

    def check(self, name: str, exported: Path, version: str) -> None:
        with self._forwarded(name) as url:
            contract.refuse(url, exported, version)

    def replace(self, wanted: Slot) -> None:
        """Pod by pod; no more than one is new at a time, and none goes before another is ready."""
        self.rolled = bool(self._get(STABLE))
        self.first = not self.rolled
        self._apply(self.overlay, wanted)
        self._rollout(STABLE)

    def finish(self) -> None:
        self.kubectl("delete", "deployment", CANARY, "--ignore-not-found")

    def undo(self) -> None:
        if self.rolled:
            self.kubectl("rollout", "undo", f"deployment/{STABLE}")
            self._rollout(STABLE)
        elif self.first:
            self.kubectl("delete", "deployment", STABLE, "--ignore-not-found")
        self.finish()

    def _get(self, name: str) -> Any:
        said = self.kubectl("get", "deployment", name, "--ignore-not-found", "--output", "json")
        return json.loads(said) if said.strip() else None

    def _apply(self, overlay: Path, wanted: Slot) -> None:
        objects = list(yaml.safe_load_all(self.kubectl("kustomize", str(overlay))))
        for one in objects:
            one["metadata"]["namespace"] = self.namespace
            if one["kind"] == "Deployment":
                told = {VERSION: wanted.version, COMMIT: wanted.commit}
                # On the pods as well: then a rollback by hand (`kubectl rollout undo`) says what it went back to.
                for place in (one, one["spec"]["template"]):
                    place["metadata"].setdefault("annotations", {}).update(told)
                container = one["spec"]["template"]["spec"]["containers"][0]
                container["image"] = wanted.image
                next(entry for entry in container["env"] if entry["name"] == "SERVE_VERSION")["value"] = wanted.version
        self.kubectl("apply", "--filename", "-", content=yaml.safe_dump_all(objects))

    def _rollout(self, name: str) -> None:
        self.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={self.settings.ready_seconds:g}s")

    def share(self, percent: int) -> None:
        """Give the canary about this share of the pods, and so of the traffic: rounded to whole pods."""
        stable = (self._get(STABLE) or {}).get("status", {}).get("availableReplicas", 1)
        pods = max(1, round(stable * percent / (100 - percent)))
        self.kubectl("scale", f"deployment/{CANARY}", f"--replicas={pods}")
        self._rollout(CANARY)
        self.kubectl("label", "pods", "--selector", "app=delivery,track=canary", "--overwrite", "traffic=on")

    def look(self) -> tuple[Counts, Counts]:
        """Return the counts of the stable pods and of the canary's."""
        return self._counts("stable"), self._counts("canary")

    def _counts(self, track: str) -> Counts:
        selector = f"app=delivery,track={track},traffic=on"
        pods = json.loads(self.kubectl("get", "pods", "--selector", selector, "--output", "json"))["items"]
        address = f"/api/v1/namespaces/{self.namespace}/pods/{{}}:8000/proxy/metrics"
        return counts.total(
            [counts.by_service(self.kubectl("get", "--raw", address.format(pod["metadata"]["name"]))) for pod in pods]
        )

    @contextmanager
    def _forwarded(self, name: str) -> Iterator[str]:
        command = ["kubectl", "--namespace", self.namespace, "port-forward", f"deployment/{name}", ":8000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as tunnel:
            try:
                assert tunnel.stdout is not None
                first = tunnel.stdout.readline()  # Forwarding from 127.0.0.1:43567 -> 8000
                if "127.0.0.1:" not in first:
                    raise Failure(f"kubectl port-forward: {first.strip() or 'it said nothing'}")
                yield f"http://127.0.0.1:{first.partition('127.0.0.1:')[2].split()[0]}"
            finally:
                tunnel.terminate()


@contextmanager
def returning(there: Cluster, old: str) -> Iterator[None]:
    """Whatever goes wrong within, what ran before runs again, and the failure says so."""
    try:
        yield
    except BaseException as error:
        kept = f"version {old} goes on serving" if old else "nothing serves"
        with suppress(Failure):  # a cluster that is gone cannot be told; the next command settles it
            there.undo()
        if isinstance(error, Failure):
            raise Failure(f"{error}; {kept} {there.environment}") from None
        print(f"{there.environment}: {kept} it")
        raise
