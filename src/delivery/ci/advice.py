"""What to do about results that differ from the committed ones."""

from delivery.core import workspace

REPRODUCE = "run `delivery reproduce`, commit what it changes and push"
REMAKE = "run `delivery reproduce --remake`, commit what it changes and push"

ASK = "Or ask a maintainer to write the comment `/results`."


def stale_advice(*, pushed: bool, refuted: bool = False) -> str:
    """Return a sentence for the page; `pushed`: a later job commits the results, `refuted`: dvc.lock names wrong ones.

    A repository that calls shared workflows may lack the one that carries out `/results`.
    """
    if pushed:
        return "The right ones are being committed to this branch; the checks of that commit decide."
    done = f"Please {REMAKE if refuted else REPRODUCE}: `git commit -m 'Results' {' '.join(workspace.RESULTS)}`."
    return f"{done} {ASK}" if workspace.COMMAND_WORKFLOW.exists() else done
