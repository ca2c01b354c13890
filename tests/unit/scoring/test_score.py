"""Scoring in bulk: the service's scores, each row once and in order, also after a kill, in the memory of a batch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delivery.__main__ import main
from delivery.model import runtime
from delivery.stats.predictions import PREDICTION, features, values
from problem import CATEGORIES, FEATURES, KEY

GROUP = 500  # rows in a row group
ROWS = 12 * GROUP + 7
KEYS = list(KEY)
NUMBER = next((name for name in reversed(FEATURES) if name not in CATEGORIES and name not in KEY), "")
WORD = next((name for name in CATEGORIES if name not in KEY), "")
needs_number = pytest.mark.skipif(not NUMBER, reason="no feature is a number")


@pytest.fixture
def rows(project: Path) -> pd.DataFrame:
    """Rows with gaps and, where there are categories, one that nobody knows."""
    rows = pd.read_parquet("artifacts/prepare/test.parquet")[[*dict.fromkeys([*KEY, *FEATURES])]]
    rows = pd.concat([rows] * (ROWS // len(rows) + 1), ignore_index=True)[:ROWS]
    if NUMBER:
        rows.loc[::7, NUMBER] = np.nan
    if WORD:
        rows.loc[::11, WORD] = "XXX"
        rows.loc[5, WORD] = None
    return rows


@pytest.fixture
def source(rows: pd.DataFrame) -> Path:
    """Two files, the second with a remainder."""
    folder = Path("source")
    folder.mkdir()
    rows[: 6 * GROUP].to_parquet(folder / "a.parquet", row_group_size=GROUP)
    rows[6 * GROUP :].to_parquet(folder / "b.parquet", row_group_size=GROUP)
    return folder


def expected(rows: pd.DataFrame) -> np.ndarray:
    """What the service says of them."""
    plain = [[None if pd.isna(value) else value for value in column] for column in features(rows)]
    return runtime.load(Path("artifacts/export")).score(list(zip(*plain, strict=True)))


def scored() -> pd.DataFrame:
    return pd.concat([pd.read_parquet(part) for part in sorted(Path("out").glob("*.parquet"))], ignore_index=True)


def test_the_scores_are_the_services_and_every_row_is_there_once(
    source: Path, rows: pd.DataFrame, capsys: pytest.CaptureFixture
) -> None:
    assert main(["score", "source", "out"]) == 0
    assert capsys.readouterr().out.startswith(f"score: {len(rows):,} rows are in out, {len(rows):,} of them new, ")
    found = scored()
    pd.testing.assert_frame_equal(found[KEYS], rows[KEYS], check_dtype=False, check_categorical=False)
    np.testing.assert_array_equal(values(found[PREDICTION]), expected(rows))


# The command line itself with small batches, killed while it writes its fifth file.
KILLED = """
import itertools, os, signal, sys
from delivery.scoring import score
from delivery.__main__ import main

score.BATCH, calls, scored = 200, itertools.count(1), score.scored

def killed(*words):
    if next(calls) == 14:
        os.kill(os.getpid(), signal.SIGKILL)
    return scored(*words)

score.scored = killed
sys.exit(main(["score", "source", "out"]))
"""


def test_a_killed_run_goes_on_and_loses_and_doubles_nothing(source: Path, rows: pd.DataFrame) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED], check=False).returncode == -9
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*.parquet")}
    assert len(before) == 4
    assert [path for path in Path("out").iterdir() if path.is_dir()], "it was killed in the middle of a file"
    assert main(["score", "source", "out"]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what was done is not done again"
    assert not [path for path in Path("out").iterdir() if path.is_dir()]
    found = scored()
    pd.testing.assert_frame_equal(found[KEYS], rows[KEYS], check_dtype=False, check_categorical=False)
    np.testing.assert_array_equal(values(found[PREDICTION]), expected(rows))


@needs_number
def test_scores_of_another_source_are_not_mixed_in(source: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["score", "source", "out"]) == 0
    rows = pd.read_parquet(source / "b.parquet")
    rows[NUMBER] += 1
    rows.to_parquet(source / "b.parquet", row_group_size=GROUP)
    assert main(["score", "source", "out"]) == 1
    assert capsys.readouterr().err == (
        "error: out holds the scores of another model or source; name another folder, or delete it\n"
    )


def test_a_part_that_is_cut_or_too_many_is_found(
    source: Path, rows: pd.DataFrame, capsys: pytest.CaptureFixture
) -> None:
    assert main(["score", "source", "out"]) == 0
    part = Path("out/part-000002.parquet")
    pd.read_parquet(part)[:-1].to_parquet(part)
    assert main(["score", "source", "out"]) == 1
    assert "part-000002.parquet does not have the rows of its source" in capsys.readouterr().err
    part.rename("out/part-000099.parquet")
    assert main(["score", "source", "out"]) == 1
    assert "out also holds part-000099.parquet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(
            lambda rows: rows.drop(columns=FEATURES[-1]), f"source/a.parquet lacks {FEATURES[-1]}", id="absent"
        ),
        pytest.param(
            lambda rows: rows.assign(**{NUMBER: "far"}),
            f"{NUMBER} is large_string, expected numbers",
            id="text",
            marks=needs_number,
        ),
        pytest.param(lambda rows: rows[:0], "source holds no rows", id="empty"),
    ],
)
def test_what_cannot_be_scored_is_refused(source: Path, spoil, says: str, capsys: pytest.CaptureFixture) -> None:
    spoil(pd.read_parquet(source / "a.parquet")).to_parquet(source / "a.parquet")
    (source / "b.parquet").unlink()
    assert main(["score", "source", "out"]) == 1
    assert says in capsys.readouterr().err
    assert not list(Path("out").glob("*.parquet"))


# The kernel's own mark: what getrusage says begins with the memory of the process that started this one.
PEAK = """
import sys
from pathlib import Path
from delivery.scoring import score
score.BATCH = 10_000
score.run(Path(sys.argv[1]), Path(sys.argv[2]), Path("artifacts/export"))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_eight_times_the_rows_take_no_more_memory(rows: pd.DataFrame) -> None:
    """What a row takes, its features alone, would be several times the bound."""
    many = pd.concat([rows] * 10, ignore_index=True)
    peaks = []
    for times in (1, 8):
        Path(f"{times}").mkdir()
        for number in range(times):
            many.to_parquet(f"{times}/{number}.parquet", row_group_size=20_000)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(times), f"out{times}"], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 7 * len(many) * len(FEATURES) * 8 / 1e6 / 4
