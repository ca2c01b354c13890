"""The page of a pull request as text that may be shown: made by code that nobody has reviewed, so nothing of it is trusted.

GitHub renders what a comment says: images from anywhere, mentions that send mail, links that mislead. Whatever
could do that is taken apart by an invisible space; pictures and folded sections come back only in the one form
in which the report writes them.
"""

import re
from collections.abc import Mapping

LIMIT = 60_000  # of GitHub's 65,536 characters; the rest is for our own lines and CML's watermark
BREAK = "\u200b"
IMAGE = re.compile(r'<img src="plots/([a-z0-9_.]{1,40}\.png)" alt="([\w ,-]{1,80})" width="400">')
FOLD = re.compile(r"</?details>|<summary><b>[\w ]{1,60}</b></summary>")
# What DVC's graph consists of; any other diagram is shown as its source.
GRAPH = re.compile(r'```mermaid\nflowchart TD\n(?:\s*node\d+(?:\["[\w./-]+"\]|-->node\d+)\n)*```')
NEUTRAL = (
    (re.compile(r"<"), "<" + BREAK),  # tags, comments, autolinks
    (re.compile(r"&(?=#|\w+;)"), "&" + BREAK),  # entities spell what is looked for below
    (re.compile(r"@"), "@" + BREAK),  # mentions
    (re.compile(r"#(?=\d)"), "#" + BREAK),  # references, which appear on the other issue's page
    (re.compile(r"(?i)\bGH-(?=\d)"), "GH-" + BREAK),
    (re.compile(r"!(?=\[)"), "!" + BREAK),  # images
    (re.compile(r"\](?=[(\[:])"), "]" + BREAK),  # links, inline and by reference
    (re.compile(r"(?i)\b(https?|ftp|mailto|xmpp):(?=\S)"), r"\1" + BREAK + ":"),  # bare addresses
    (re.compile(r"(?i)\bwww\."), "www" + BREAK + "."),
    (re.compile(r"(?im)^(\s*(?:```+|~~~+))\s*(mermaid|math|geojson|topojson|stl|suggestion)"), r"\1text \2"),
    (re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]"), ""),  # control, and text that runs backwards
)


def safe(text: str, pictures: Mapping[str, str], more: str) -> str:
    """The page with everything neutralised but its own pictures, folds and graph.

    `pictures` maps a file name in plots/ to the address that shows it; any other picture is left out.
    A page that is too long is cut, and `more` says where the rest is.
    """
    text, kept = _set_aside(text[: 2 * LIMIT], pictures)
    for pattern, replacement in NEUTRAL:
        text = pattern.sub(replacement, text)
    text = re.sub(r"\ue000(\d+)\ue001", lambda found: kept[int(found[1])], text)
    return _closed(_cut(text, more))


def _set_aside(text: str, pictures: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with a mark for each piece that is shown as it is, and those pieces."""
    kept: list[str] = []

    def keep(piece: str) -> str:
        kept.append(piece)
        return f"\ue000{len(kept) - 1}\ue001"

    def picture(found: re.Match[str]) -> str:
        address = pictures.get(found[1])
        return keep(f'<img src="{address}" alt="{found[2]}" width="400">') if address else f"(no picture: {found[2]})"

    text = re.sub("[\ue000\ue001]", "", text.replace("\r\n", "\n"))
    text = GRAPH.sub(lambda found: keep(found[0]), text)
    text = IMAGE.sub(picture, text)
    return FOLD.sub(lambda found: keep(found[0]), text), kept


def _cut(text: str, more: str) -> str:
    if len(text) <= LIMIT:
        return text
    return (
        text[: text.rfind("\n", 0, LIMIT) + 1 or LIMIT] + f"\n\n**The page is longer than a comment may be. {more}**\n"
    )


def _closed(text: str) -> str:
    """Ends what the page left open, so that what follows it is not swallowed."""
    fences = len(re.findall(r"(?m)^\s{0,3}(?:```|~~~)", text))
    text += "\n```\n" if fences % 2 else ""
    return text + "\n</details>" * max(0, text.count("<details>") - text.count("</details>"))
