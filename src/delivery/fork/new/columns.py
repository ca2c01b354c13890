"""Classify the columns of a file: target, time, key, numbers, categories, and those left out with the reason."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from delivery.core.errors import Failure
from delivery.fork.new.rows import FORMATS, identifiers, meant, moments, text, useless

TARGETS = ("target", "label", "y", "class", "outcome", "result")
IDS = re.compile(r"((?i:(^|[_\W])(id|uuid|guid|key|index|number|no|nr))|[a-z](Id|ID|Key|No|Nr))\W*$")
FEW = 12  # values of a category that the schema lists; with more, any short text is accepted
MANY = 200  # a text with more distinct values is no category
CLASSES = 20
TELLS = 0.995  # score of a single column on unseen rows above which it probably leaks the target


@dataclass(frozen=True)
class Column:
    """A column of the file, and what it is to the problem."""

    raw: str  # name in the file
    name: str  # name in Python
    role: str  # target, time, key, number, category or out
    why: str


@dataclass(frozen=True)
class Found:
    """A file of rows, and what its columns are."""

    frame: pd.DataFrame  # as read
    reading: dict[str, str]  # options of `read_csv`: separator, decimal comma
    columns: list[Column]
    task: str  # regression, binary or multiclass
    classes: tuple[str, ...]
    time_format: str

    def of(self, *roles: str) -> list[Column]:
        """Return the columns of these roles."""
        return [column for column in self.columns if column.role in roles]

    def one(self, role: str) -> Column | None:
        """Return the column of a role, or None."""
        return next(iter(self.of(role)), None)


def classify(frame: pd.DataFrame, reading: dict[str, str], asked: dict[str, list[str]], task: str) -> Found:
    """Give every column its role. `asked` holds target, time, key, segments, drop and keep, each as names of the file.

    Raise `Failure` for an unknown name, for a target that cannot be predicted, and if no feature is left.
    """
    if unknown := [name for names in asked.values() for name in names if name not in frame]:
        raise Failure(f"there is no column {', '.join(unknown)}; the file has {', '.join(map(str, frame))}")
    raws = [str(raw) for raw in frame]
    names = identifiers(raws)
    target, why = _target(frame, asked["target"])
    time, time_format, why_time = _time(frame, asked["time"], target)
    found = [
        Column(target, names[target], "target", why),
        *([Column(time, names[time], "time", why_time)] if time else []),
    ]
    if key := _key(frame, asked["key"], {target, time}):
        found.append(Column(key, names[key], "key", "no two rows share it"))
    kind, classes = _task(frame[target], target, task)
    others = [raw for raw in raws if raw not in (target, time, key)]
    found += [Column(raw, names[raw], *_role(frame[raw], raw, asked)) for raw in others]
    result = Found(frame, reading, found, kind, classes, time_format)
    result = replace(result, columns=[_unless_it_tells(column, result, asked["keep"]) for column in found])
    if not result.of("number", "category"):
        reasons = "; ".join(f"{column.raw}: {column.why}" for column in result.of("out"))
        raise Failure(f"no column is left to predict {target} from ({reasons})")
    return result


def _target(frame: pd.DataFrame, asked: list[str]) -> tuple[str, str]:
    if asked:
        return asked[0], "--target"
    named = next((raw for word in TARGETS for raw in map(str, frame) if raw.lower() == word), None)
    return (named, "by its name") if named else (str(frame.columns[-1]), "the last column; --target names another")


def _time(frame: pd.DataFrame, asked: list[str], target: str) -> tuple[str, str, str]:
    """Return the column of times, its format, and why; empty if there is none."""
    for raw in asked or [str(raw) for raw in frame if raw != target]:
        values = frame[raw].dropna()
        if pd.api.types.is_datetime64_any_dtype(values):
            return raw, "", "the first column of times"
        if not pd.api.types.is_string_dtype(values) or values.empty:
            continue
        for how in FORMATS:
            if all(moments(part, how).notna().all() for part in (values.head(100), values)):
                return raw, how, f"every value is a time, {how}"
    if asked:
        raise Failure(f"{asked[0]} holds no times in a known format; write them as 2024-01-31 or 2024-01-31 17:05")
    return "", "", ""


def _key(frame: pd.DataFrame, asked: list[str], others: set[str]) -> str:
    """Return the column that identifies a row; empty if there is none."""
    if asked:
        (key,) = asked
        if (bad := frame[key].isna() | frame[key].duplicated()).any():
            first = f"row {int(bad.argmax()) + 1}, {frame[key][bad].iloc[0]}"
            fix = "without --key the position in the file identifies a row"
            raise Failure(
                f"{key} cannot be the key: it is missing or repeated in {bad.sum()} rows, first {first}; {fix}"
            )
        return key
    for raw in map(str, frame):
        whole = pd.api.types.is_integer_dtype(frame[raw]) or pd.api.types.is_string_dtype(frame[raw])
        if raw not in others and whole and IDS.search(raw) and frame[raw].notna().all() and frame[raw].is_unique:
            return raw
    return ""


def _task(values: pd.Series, target: str, asked: str) -> tuple[str, tuple[str, ...]]:
    """Return the task and its classes; of two classes, the probability of the second is predicted."""
    known = values.dropna()
    counts = text(known).value_counts()
    number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    whole = number and bool((known % 1 == 0).all())
    kind = asked or ("regression" if number and not (whole and len(counts) <= 10) else "")
    if kind == "regression":
        if not number or known.nunique() < 3:
            raise Failure(f"{target} is not a number that varies; use --task binary or multiclass")
        return kind, ()
    if len(counts) > CLASSES and not number and (why := meant(known)):
        raise Failure(f"{target} cannot be predicted: it holds {why}")
    if not 2 <= len(counts) <= CLASSES or counts.min() < 10:
        values_seen = f"{len(counts)} values" + (f", {counts.idxmin()!r} in {counts.min()} rows" if len(counts) else "")
        fix = "join or remove the rare ones in the file"
        raise Failure(
            f"{target} cannot be predicted: it has {values_seen}; 2 to {CLASSES}, each in ten rows or more: {fix}"
        )
    if len(counts) == 2:
        ordered = sorted(counts.index)
        yes = {"1", "true", "yes", "y", "t"} & {value.lower() for value in ordered}
        second = next((value for value in ordered if value.lower() in yes), str(counts.index[-1]))
        return "binary", tuple(sorted(ordered, key=lambda value: value == second))
    return "multiclass", tuple(sorted(counts.index, key=_natural))


def _natural(value: str) -> tuple[int, float, str]:
    return (0, float(value), "") if re.fullmatch(r"-?\d+(\.\d+)?", value) else (1, 0.0, value)


def _names(values: pd.Series, raw: str) -> str:
    """Return why a column only identifies or counts rows, and so says nothing about a new one; empty otherwise."""
    if not pd.api.types.is_integer_dtype(values) or (distinct := values.nunique()) <= MANY:
        return ""
    if values.is_unique and (values.is_monotonic_increasing or values.is_monotonic_decreasing):
        return f"counts the rows; --keep {raw!r} keeps it"
    if IDS.search(raw):
        return f"identifies things by {distinct:,} numbers; --keep {raw!r} keeps it"
    return ""


def _role(values: pd.Series, raw: str, asked: dict[str, list[str]]) -> tuple[str, str]:
    """Return the role of a feature, or `out`, and why."""
    if raw in asked["drop"]:
        return "out", "--drop"
    why = "" if raw in asked["keep"] else _names(values, raw)
    if why := why or useless(values):
        return "out", why
    segment = raw in asked["segments"]
    known = values.dropna()
    distinct = known.nunique()
    if pd.api.types.is_numeric_dtype(values) and not segment:
        return "number", f"{known.astype(float).min():.6g} to {known.astype(float).max():.6g}"
    if distinct > FEW and not segment and (why := meant(values)):
        return "out", why
    if distinct > MANY or (distinct > FEW and distinct > len(known) / 2):
        return "out", f"text with {distinct:,} different values in {len(known):,} rows"
    return "category", f"{distinct} values"


def _unless_it_tells(column: Column, found: Found, keep: list[str]) -> Column:
    """Return the column, left out if it leaks the target: with a value known only afterwards, every report is wrong.

    A column leaks if a small decision tree on it alone scores more than TELLS on rows that it has not seen.
    """
    if column.role not in ("number", "category") or column.raw in keep:
        return column
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    target = found.one("target")
    assert target is not None
    rows = found.frame[[column.raw, target.raw]].dropna()
    x = (
        rows[[column.raw]].astype(float)
        if column.role == "number"
        else pd.factorize(text(rows[column.raw]))[0][:, None]
    )
    y = rows[target.raw].astype(float) if found.task == "regression" else text(rows[target.raw])
    tree = (DecisionTreeRegressor if found.task == "regression" else DecisionTreeClassifier)(
        max_leaf_nodes=64, random_state=0
    )
    learnt = np.arange(len(rows)) % 3 != 0
    if len(rows) < 30 or y[~learnt].nunique() < 2:
        return column
    score = float(tree.fit(np.asarray(x)[learnt], y[learnt]).score(np.asarray(x)[~learnt], y[~learnt]))
    often = 0.0 if found.task == "regression" else float(y[~learnt].value_counts(normalize=True).iloc[0])
    if score < TELLS or often > TELLS:
        return column
    why = f"tells {target.raw} alone ({score:.1%}): known only afterwards? --keep {column.raw!r} keeps it"
    return replace(column, role="out", why=why)
