"""What to do about results that differ from the committed ones."""

from delivery.core import workspace

REPRODUCE = "run `delivery reproduce`, commit what it changes and push"


def stale_advice(*, pushed: bool) -> str:
    """Return a sentence for the page; `pushed`: a later job commits the results."""
    if pushed:
        return "The right ones are being committed to this branch; the checks of that commit decide."
    return f"Please {REPRODUCE}: `git commit -m 'Results' {' '.join(workspace.RESULTS)}`."
