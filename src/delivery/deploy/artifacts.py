"""A registered version as something to run, and where its environment lasts."""

from __future__ import annotations

from pathlib import Path

from delivery.adapters import github, provenance
from delivery.core import params, workspace
from delivery.core.errors import Failure
from delivery.core.params import Place
from delivery.deploy.targets.state import Slot
from delivery.registry import registry

REHEARSAL = Place(target="rehearsal")


def place(environment: str) -> Place:
    return params.load().deploy.environments.get(environment, REHEARSAL)


def pointed(target: str) -> str:
    """The version that the environment's alias names."""
    versions = registry.versions(registry.connect())
    return next((str(version.version) for version in versions if target in version.aliases), "")


def vouched(version: registry.ModelVersion, where: Place) -> Slot:
    """A slot for a version whose image this repository's workflow has signed for.

    A rollback does not ask again: the image is named by digest, was asked for when it came, and the way back should
    not depend on one more service.
    """
    wanted = slot(version, where)
    github.refuse_unattested(wanted.image)
    return wanted


def slot(version: registry.ModelVersion, where: Place) -> Slot:
    """What is to run. Raises Failure for a version that this target cannot run."""
    image = version.tags.get("image.digest", "") if where.target != "process" else ""
    if where.target != "process" and "sha256:" not in image:
        raise Failure(f"version {version.version} has no image by digest; promote it, or use the target process")
    return Slot(
        "",
        0,
        str(version.version),
        version.tags[registry.DIGEST],
        image,
        version.tags.get("git.commit", ""),
        provenance.now(),
    )


def download(version: registry.ModelVersion) -> Path:
    """The exported model, of the digest that was registered."""
    to = workspace.CACHE / "versions" / str(version.version)
    return registry.download(registry.connect(), version, to) / "export"
