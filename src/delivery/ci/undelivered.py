"""Say that the merge of a pull request may be delivered by nothing, before somebody merges it."""

from delivery.adapters import github
from delivery.core.errors import Failure
from delivery.pull_requests import skipping
from delivery.render.markdown import code, escaped

SHOWN = 10  # commits that are named


def notice(number: int) -> str:
    """Return a paragraph if merging the pull request may start nothing, because of its title or a commit's message.

    GitHub proposes the title and every message as the message of a squash, and the title as that of a merge. It never
    stops a comment: what GitHub does not answer is said.
    """
    try:
        titled = skipping.mark(github.ask("GET", f"/pulls/{number}")["title"])
        commits = github.pages(f"/pulls/{number}/commits")
    except Failure as failure:
        return f"**⚠️ Whether a message of its commits keeps its merge from being delivered is not known:** {escaped(str(failure))}"
    found = [(each["sha"][:8], said) for each in commits if (said := skipping.mark(each["commit"]["message"]))]
    said_by = [f"its title says {code(titled)}"] if titled else []
    said_by += [f"{sha} says {code(said)}" for sha, said in found[:SHOWN]]
    if found[SHOWN:]:
        said_by.append(f"so do {len(found) - SHOWN} more commits")
    if not said_by:
        return ""
    return (
        f"**⚠️ Its merge may be delivered by nothing:** {', '.join(said_by)}, and GitHub starts no workflow for such a message. "
        "Remove these words from the message when you merge, or start `promote` by hand afterwards."
    )
