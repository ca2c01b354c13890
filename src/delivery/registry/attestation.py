"""Whether this repository's workflow has built an image: GitHub's attestation, or the record in git where there is none.

GitHub attests images of public repositories on every plan, of private ones on Enterprise Cloud alone
(docs.github.com/en/actions/concepts/security/artifact-attestations). Elsewhere promote records in the tag of the version
that its image was built without one: the digest comes from the job that built it, and a store writer cannot change the tag.
"""

from __future__ import annotations

import os

from delivery.adapters import github
from delivery.core.errors import Failure
from delivery.registry import integrity
from delivery.registry.version import Version

VARIABLE = "ATTESTATIONS"  # of the repository; `none` says that its plan has lost them


def refuse(version: Version) -> bool:
    """Return whether the version's image is attested. Raise `Failure` if it is not, and is not recorded so either."""
    if github.private() and integrity.unattested(version):
        _refuse_where_attested(version.image)
        return False
    github.refuse_unattested(version.image)
    return True


def refuse_built(image: str, outcome: str) -> bool:
    """Return whether the image that this workflow run has built is attested.

    `outcome` is that of the attesting step. Raise `Failure` if the repository can attest and the image is not.
    """
    if outcome == "failure" and github.private():
        _refuse_where_attested(image)
        return False
    github.refuse_unattested(image)
    return True


def _refuse_where_attested(image: str) -> None:
    """Raise `Failure` if the image of any version is attested: then the plan can, and somebody may have left it out.

    Later versions count, too. Else whoever may make tags could record another image under a lower number.
    """
    known, stale = integrity.records()
    if stale:
        raise Failure(f"the tags that record versions cannot be read ({stale}); run it again")
    attested = [int(record.version) for record in known.values() if record.image and record.attested]
    if attested and os.environ.get(VARIABLE) != "none":
        raise Failure(
            f"{image} is not attested, but the image of version {max(attested)} is; run the job again, or set the repository "
            f"variable {VARIABLE} to `none` if the plan has no attestations any more"
        )
