"""Commit messages that keep GitHub from starting workflows, such as `[skip ci]`.

Source: docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs.
"""

MARKS = ("[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]")
TRAILERS = ("skip-checks:true", "skip-checks: true")


def mark(message: str) -> str:
    """Return what in a commit's message keeps GitHub from starting workflows; empty if nothing does."""
    lowered = message.lower()
    lines = [line.strip() for line in lowered.splitlines()]
    return next((one for one in MARKS if one in lowered), "") or next((one for one in TRAILERS if one in lines), "")
