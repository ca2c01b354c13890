"""Edits that people make in the scenarios, each a function of the clone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.template import numbered

Edit = Callable[[Path], object]


def params(**values: object) -> Edit:
    """Numbers of params.yaml, by key."""

    def edit(folder: Path) -> None:
        text = (folder / "params.yaml").read_text()
        for name, value in values.items():
            text = numbered(text, name, str(value))
        (folder / "params.yaml").write_text(text)

    return edit


def replaced(path: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text, f"{path} has no {old}"
        (folder / path).write_text(text.replace(old, new))

    return edit


def appended(path: str, text: str) -> Edit:
    def edit(folder: Path) -> None:
        with (folder / path).open("a") as file:
            file.write(text)

    return edit


def written(path: str, text: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(folder: Path) -> None:
        for one in edits:
            one(folder)

    return edit


def excepted(vulnerability: str, days: int) -> Edit:
    """A vulnerability may be delivered for some days."""
    until = datetime.now(UTC).date() + timedelta(days=days)
    entry = f'[[exception]]\nid = "{vulnerability}"\nuntil = {until}\nreason = "never called"\n'
    return written(".github/vulnerabilities.toml", entry)


BETTER = params(learning_rate=0.05)
WORSE = params(learning_rate=1.0, max_iter=150)
SAME = params(min_samples_leaf=11)
OTHER_IMAGE = written("Dockerfile", "FROM scratch\nSTOPSIGNAL SIGINT\n")  # the same model in another release
FEWER_ROWS = appended("params.yaml", "\nserve:\n  max_rows: 100\n")
BROKEN_SCHEMA = replaced("src/problem/schema.py", 'Literal["EWR", "JFK", "LGA"]', 'Literal["EWR", "JFK"]')
# April with other delays, so that a model that has seen three months of it would be better.
SHIFTED_SOURCE = replaced(
    "src/problem/source.py",
    "    shutil.copytree(ARCHIVE, folder, dirs_exist_ok=True)\n",
    """    import pandas as pd

    shutil.copytree(ARCHIVE, folder, dirs_exist_ok=True)
    for month in ("2013-03", "2013-04"):
        path = folder / "flights" / f"{month}.parquet"
        flights = pd.read_parquet(path)
        flights.loc[flights["carrier"].isin(["UA", "B6"]), "arr_delay"] += 40.0
        flights.to_parquet(path, index=False)
""",
)
# April with a column that has another name.
RENAMED_SOURCE = replaced(
    "src/problem/source.py",
    "        flights.to_parquet(path, index=False)\n",
    """        names = {"carrier": "airline"} if month == "2013-04" else {}
        flights.rename(columns=names).to_parquet(path, index=False)
""",
)
BROKEN_CONTRACT = replaced("src/delivery/service/problems.py", "application/problem+json", "application/json")
