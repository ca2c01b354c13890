"""Markdown about who can still talk to a release: one sentence, and a table of every difference."""

from delivery.compatibility.results import Change, CompatibilityResult, Replay, VersionResult
from delivery.render.markdown import code, escaped

SHOWN = 3  # breaks named in a sentence
IN_COMMENT = 30  # changes from one version in a comment, whose length GitHub limits
ACCEPTORS = {"params": "in params.yaml", "label": "by the label of the pull request"}
SIDES = {"clients": "clients", "rollback": "a rollback"}


def sentence(result: CompatibilityResult) -> str:
    """Return whether clients and a rollback survive, in plain words; versions that were not compared are named."""
    if result.unread:
        return f"Compatibility is not known: {result.unread}"
    if not result.versions:
        return f"Compatible: {result.reason}, so there are no clients to break with"
    if broken := result.broken():
        texts = [f"with {label(each)} {breaks(each)}" for each in broken]
        return f"Breaking: {'; '.join(texts)}.{acceptance(result)}"
    judged = [label(each) for each in result.versions if each.judged()]
    texts = [f"Compatible with {', '.join(judged)}"] if judged else ["Nothing was compared"]
    texts += [f"{label(each)} was not compared: {each.skipped}" for each in result.versions if each.skipped]
    texts += [f"{label(each)} is not judged: {each.beyond}" for each in result.versions if each.beyond]
    return "; ".join(texts)


def acceptance(result: CompatibilityResult) -> str:
    """Return who accepts a break and why, or what a label lacks for that, with a space before it."""
    if result.accepted:
        return f" Accepted {ACCEPTORS[result.accepted_by]}: {result.accepted}"
    return f" Not accepted: {result.unaccepted}." if result.unaccepted else ""


def label(version: VersionResult) -> str:
    """Return a version's number and why it was compared."""
    roles = [", ".join(version.serves)] if version.serves else []
    roles += [f"rollback of {', '.join(version.rollback_of)}"] if version.rollback_of else []
    return f"version {version.version}" + (f" ({'; '.join(roles)})" if roles else "")


def breaks(version: VersionResult) -> str:
    """Return what breaks with a version: the first changes, or the requests that were refused."""
    changes = version.broken()
    texts = [f"{change.place}: {change.kind} (breaks {sides(change)})" for change in changes[:SHOWN]]
    if len(changes) > SHOWN:
        texts.append(f"and {len(changes) - SHOWN} more")
    if not changes:
        replays = [
            (version.forward, "of its requests"),
            (version.back, "of new requests"),
            (version.drawn_forward, "rows drawn from its document"),
            (version.drawn_back, "rows drawn from the new document"),
        ]
        texts += [text for text in (refused(what, asked) for asked, what in replays) if text]
    return ", ".join(texts)


def refused(what: str, asked: Replay | None) -> str:
    """Return how many requests were refused, and the most frequent reason; empty if none was."""
    if asked is None or asked.accepted == asked.requests:
        return ""
    first = asked.refusals[0].reason if asked.refusals else "no reason"
    return f"{asked.requests - asked.accepted:,} of {asked.requests:,} {what} are refused ({first})"


def sides(change: Change) -> str:
    """Return what a change breaks, in words."""
    return " and ".join(SIDES[side] for side in change.breaks) or "nothing"


def tables(result: CompatibilityResult, most: int | None = None) -> str:
    """Return the table of versions, and below it one of the changes from each: all of them, or `most`."""
    if not result.versions:
        return escaped(result.unread or result.reason)
    lines = ["| version | its requests here | new requests there | |", "|---|---|---|---|"]
    for each in result.versions:
        note = each.skipped or each.beyond or ("breaks" if each in result.broken() else "compatible")
        lines.append(
            f"| {escaped(label(each))} | {_both(each.forward, each.drawn_forward)} | {_asked_back(each)} | {escaped(note)} |"
        )
    parts = ["\n".join(lines)]
    parts += [changes(each, most) for each in result.versions if each.changes]
    return "\n\n".join(parts)


def _asked(asked: Replay | None) -> str:
    """Return a cell: the share accepted, the share answered equally, the largest difference."""
    if asked is None or not asked.requests:
        return "none asked"
    text = f"{asked.accepted / asked.requests:.0%} of {asked.requests:,} accepted"
    if asked.compared:
        text += f", {asked.equal / asked.compared:.0%} answered equally, largest difference {asked.largest:.3g}"
    reasons = [f"{each.requests:,} × {each.reason}" for each in asked.refusals[:SHOWN]]
    return escaped("; ".join([text, *reasons]))


def _both(known: Replay | None, drawn: Replay | None) -> str:
    """Return a cell of the known requests, and of rows drawn from the document if there are any."""
    return f"{_asked(known)}; drawn rows: {_asked(drawn)}" if drawn else _asked(known)


def _asked_back(version: VersionResult) -> str:
    """Return the cell of the requests asked of an older version, with who answered: its code, or its document."""
    cell = _both(version.back, version.drawn_back)
    if version.back is None or not version.back.requests:
        return cell
    why = escaped(version.unstarted)
    return f"by its document ({why}): {cell}" if why else f"by its own code: {cell}"


def changes(version: VersionResult, most: int | None = None) -> str:
    """Return the table of changes since a version: all of them, or `most`."""
    lines = [f"Since {escaped(label(version))}:", ""]
    lines += ["| place | change | before → now | breaks |", "|---|---|---|---|"]
    for each in version.changes[:most]:
        values = f"{escaped(each.before)} → {escaped(each.now)}" if each.before or each.now else ""
        lines.append(f"| {code(each.place)} | {each.kind} | {values} | {sides(each)} |")
    left_out = len(version.changes) - len(version.changes[:most])
    return "\n".join([*lines, "", f"and {left_out} more"] if left_out else lines)


def compatibility_page(result: CompatibilityResult) -> str:
    """Return the page of the verb."""
    return f"**{escaped(sentence(result))}**\n\n{tables(result)}\n"
