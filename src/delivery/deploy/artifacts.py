"""What is delivered of a registered version: its files on disk, and the release that a target starts."""

from __future__ import annotations

from pathlib import Path

from delivery.core import workspace
from delivery.core.errors import Failure
from delivery.deploy.targets.target import Release
from delivery.registry import attestation, registry, release
from delivery.registry.version import Version


def attested(version: Version, kind: str) -> Release:
    """Return the release of a version whose image this repository's workflow has built. Raise `Failure` otherwise.

    A rollback does not ask again: the image is named by digest, was checked when it was deployed, and the way back
    should not depend on one more service.
    """
    wanted = started_as(version, kind)
    if wanted.image:
        attestation.refuse(version)
    return wanted


def started_as(version: Version, kind: str) -> Release:
    """Return a version as a target of this kind runs it. Raise `Failure` if it has no image and the target needs one."""
    image = version.image if kind != "process" else ""
    if kind != "process" and "sha256:" not in image:
        raise Failure(f"version {version.number} has no image by digest; promote it, or use the target process")
    return Release(version.number, version.digest, image, version.commit)


def download(version: Version) -> Path:
    """Return the folder of the version's export/ and release/, whose digest is the one that was registered.

    Raise `Failure` if the version is older than bundles and this repository does not have its commit.
    """
    folder = registry.download(version, workspace.CACHE / "versions" / version.number)
    if not (folder / release.BUNDLE).exists():
        try:
            release.of_commit(version.commit, folder / release.EXPORTED, folder / release.BUNDLE)
        except Failure as failure:
            raise Failure(
                f"version {version.number} was registered without its code, and commit {version.commit[:12]} does not "
                f"give it ({failure}); fetch that commit, or promote the model again"
            ) from None
    return folder
