"""Target `kubernetes`: the overlay of an environment, applied by kubectl; the candidate is a second Deployment.

What serves is read off the cluster each time. Of the pods labelled `traffic: "on"`, a Deployment's share is its share of the
traffic. kubectl's rollout replaces pods one by one and waits until they are ready, so nothing is watched after the switch:
the metrics of single pods need the right `pods/proxy`, which only a canary asks for.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.deploy.targets import counts
from delivery.deploy.targets.counts import Counts
from delivery.deploy.targets.target import Judge, Release, Report
from delivery.probe import contract
from delivery.registry.release import EXPORTED

STABLE, CANARY = "delivery", "delivery-canary"
OWED = "delivery-owed"
VERSION, COMMIT = "delivery/version", "delivery/commit"


class Cluster:
    """An environment of a Kubernetes cluster."""

    def __init__(self, environment: str, settings: params.Environment, deploy: params.Deploy):
        self.environment, self.settings, self.deploy = environment, settings, deploy
        self.namespace = settings.namespace or environment
        self.overlay = workspace.OVERLAYS / environment
        self.candidate: tuple[Release, Path] | None = None
        self.removed = ""
        self.replaced = self.created = False  # what `undo` has to take back of the Deployment that serves
        if not self.overlay.is_dir():
            raise Failure(f"{self.overlay} is missing; copy the one of staging and set its namespace")

    @property
    def folder(self) -> None:
        """Return None: a cluster's state is read off the cluster."""

    @property
    def address(self) -> str:
        """Return the address that clients use, if params.yaml has it."""
        return self.settings.address

    @property
    def location(self) -> str:
        """Return where clients find the environment, in words."""
        return f"at {self.address}" if self.address else f"in namespace `{self.namespace}`"

    def settle(self, pointed: Callable[[], str], *, rolled_back: bool = False) -> None:
        """Remove the canary of a killed command, and its version where that serves already without the alias.

        What a rollback has put there stays: its record is kept once all traffic goes there.
        """
        if self._get(CANARY):
            alias = pointed()
            begun = self.serving() not in ("", alias) and not rolled_back
            self.replaced, self.created = begun and bool(alias), begun and not alias
            self.removed = self.serving() if begun else ""
            self._restore()

    def serving(self) -> str:
        """Return the version of the Deployment that serves, whether or not all its pods are ready."""
        deployment = self._get(STABLE)
        return str(deployment["metadata"].get("annotations", {}).get(VERSION, "")) if deployment else ""

    def serves(self, version: str) -> bool:
        """Return whether this version serves with as many pods as it should have."""
        deployment = self._get(STABLE)
        if not deployment or self.serving() != version:
            return False
        status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
        current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        return bool(current and wanted == status.get("updatedReplicas", 0) == status.get("availableReplicas", 0))

    def owed(self) -> bytes:
        """Return the records that are kept for the registry, in a ConfigMap."""
        printed = self.kubectl("get", "configmap", OWED, "--ignore-not-found", "--output", "json")
        return str(json.loads(printed).get("data", {}).get("records", "")).encode() if printed.strip() else b""

    def owe(self, content: bytes) -> None:
        """Keep records for the registry in a ConfigMap; not on the Deployment, whose notes `rollout undo` takes back."""
        if content:
            told = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": OWED},
                "data": {"records": content.decode()},
            }
            self.kubectl("apply", "--filename", "-", content=yaml.safe_dump(told))
        else:
            self.kubectl("delete", "configmap", OWED, "--ignore-not-found")

    def start(self, release: Release, version_files: Path) -> None:
        """Start one pod of the version and wait until it is ready; it gets no traffic yet."""
        self.candidate = release, version_files / EXPORTED
        self._apply(workspace.OVERLAYS / "canary", release)
        self._wait(CANARY)

    def resume(self, _: str) -> Release | None:
        """Return None: a cluster keeps no version warm."""
        return None

    def check(self) -> None:
        """Check the canary's pod against the contract; after the switch, one of the pods that serve."""
        assert self.candidate
        release, exported = self.candidate
        with self._forwarded(STABLE if self.replaced or self.created else CANARY) as url:
            contract.refuse(url, exported, release.version)

    def shift(self, percent: int) -> None:
        """Give the canary about this share of the pods, and so of the traffic: rounded to whole pods."""
        stable = (self._get(STABLE) or {}).get("status", {}).get("availableReplicas", 1)
        pods = max(1, round(stable * percent / (100 - percent)))
        self.kubectl("scale", f"deployment/{CANARY}", f"--replicas={pods}")
        self._wait(CANARY)
        self.kubectl("label", "pods", "--selector", "app=delivery,track=canary", "--overwrite", "traffic=on")

    def counts(self) -> tuple[Counts, Counts]:
        """Return the counts of the pods that serve and of the canary's."""
        return self._counted("stable"), self._counted("canary")

    def choice(self) -> str:
        """Return nothing: a person stops the verb to end a canary."""
        return ""

    def take_over(self, _: Judge | None) -> None:
        """Replace the pods that serve, one at a time; none ends before another is ready."""
        assert self.candidate
        self.replaced = bool(self._get(STABLE))
        self.created = not self.replaced
        self._apply(self.overlay, self.candidate[0])
        self._wait(STABLE)

    def finish(self, *, rolled_back: bool = False) -> str:  # noqa: ARG002  there is no warm version to mark
        """Remove the canary, whose version has taken over; the pods that served before are gone already."""
        self.kubectl("delete", "deployment", CANARY, "--ignore-not-found")
        return ""

    def remove(self) -> None:
        """Delete what the overlay has made in the namespace."""
        self.kubectl("delete", "--kustomize", str(self.overlay), "--ignore-not-found")
        self.kubectl("delete", "deployment", CANARY, "--ignore-not-found")

    def undo(self, *, hurry: bool = False) -> None:  # noqa: ARG002  the cluster drains the pods
        """Return the Deployment that serves to the pods it had before, and remove the canary."""
        if self.candidate:
            self._restore()

    def kubectl(self, *words: str, content: str = "") -> str:
        """Return what kubectl prints. Raise `Failure` with its last line if it fails."""
        command = ["kubectl", "--namespace", self.namespace, *words]
        try:
            done = subprocess.run(command, input=content or None, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Failure("kubectl is missing; install it, or set another target") from None
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
            raise Failure(f"kubectl {words[0]}: {last}")
        return done.stdout

    def _restore(self) -> None:
        if self.replaced:
            self.kubectl("rollout", "undo", f"deployment/{STABLE}")
            self._wait(STABLE)
        elif self.created:
            self.kubectl("delete", "deployment", STABLE, "--ignore-not-found")
        self.kubectl("delete", "deployment", CANARY, "--ignore-not-found")
        self.candidate, self.replaced, self.created = None, False, False

    def _get(self, name: str) -> Any:
        printed = self.kubectl("get", "deployment", name, "--ignore-not-found", "--output", "json")
        return json.loads(printed) if printed.strip() else None

    def _apply(self, overlay: Path, release: Release) -> None:
        manifests = list(yaml.safe_load_all(self.kubectl("kustomize", str(overlay))))
        for manifest in manifests:
            manifest["metadata"]["namespace"] = self.namespace
            if manifest["kind"] == "Deployment":
                annotations = {VERSION: release.version, COMMIT: release.commit}
                # On the pods as well: then a rollback by hand (`kubectl rollout undo`) says what it went back to.
                for owner in (manifest, manifest["spec"]["template"]):
                    owner["metadata"].setdefault("annotations", {}).update(annotations)
                container = manifest["spec"]["template"]["spec"]["containers"][0]
                container["image"] = release.image
                next(entry for entry in container["env"] if entry["name"] == "SERVE_VERSION")["value"] = release.version
        self.kubectl("apply", "--filename", "-", content=yaml.safe_dump_all(manifests))

    def _wait(self, name: str) -> None:
        self.kubectl("rollout", "status", f"deployment/{name}", f"--timeout={self.deploy.ready_seconds:g}s")

    def _counted(self, track: str) -> Counts:
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
                    raise Failure(f"kubectl port-forward: {first.strip() or 'it printed nothing'}")
                yield f"http://127.0.0.1:{first.partition('127.0.0.1:')[2].split()[0]}"
            finally:
                tunnel.terminate()


@contextmanager
def opened(environment: str, settings: params.Environment, deploy: params.Deploy) -> Iterator[Cluster]:
    """Yield an environment of a cluster. Raise `Failure` if it has no overlay."""
    yield Cluster(environment, settings, deploy)


def inspected(environment: str, settings: params.Environment, deploy: params.Deploy, pointed: str | None) -> Report:
    """Return what the cluster serves. `pointed` is the version that the alias names, or empty; None if it is not known."""
    cluster = Cluster(environment, settings, deploy)
    serving, trouble = cluster.serving(), ""
    if not serving:
        trouble = f"nothing runs here; deploy {pointed or 'a version'}"
    elif not cluster.serves(serving):
        trouble = f"version {serving} has fewer pods than it should; `kubectl -n {cluster.namespace} get pods`"
    elif pointed is not None and serving != pointed:
        trouble = f"version {serving} serves, the alias says {pointed or 'nothing'}; deploy one of them"
    return Report(address=settings.address, trouble=trouble)
