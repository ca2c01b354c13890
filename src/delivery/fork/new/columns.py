"""What the columns of a file are: target, time, key, numbers, categories, and what is left out and why."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from delivery.core.errors import Failure
from delivery.fork.new.rows import FORMATS, identifiers, meant, moments, text, useless

TARGETS = ("target", "label", "y", "class", "outcome", "result")
IDS = re.compile(r"((?i:(^|[_\W])(id|uuid|guid|key|index|number|no|nr))|[a-z](Id|ID|Key|No|Nr))\W*$")
FEW = 12  # values of a category that are written down one by one; more are any text
MANY = 200  # values of text beyond which it is no category
CLASSES = 20
TELLS = 0.995  # of the target, by one column alone on rows that it has not seen: probably known only afterwards


@dataclass(frozen=True)
class Column:
    raw: str  # in the file
    name: str  # in Python
    role: str  # target, time, key, number, category or out
    why: str


@dataclass(frozen=True)
class Found:
    frame: pd.DataFrame  # as read
    reading: dict[str, str]  # of a CSV file: separator, decimal comma
    columns: list[Column]
    task: str  # regression, binary or multiclass
    classes: tuple[str, ...]
    time_format: str

    def of(self, *roles: str) -> list[Column]:
        return [column for column in self.columns if column.role in roles]

    def one(self, role: str) -> Column | None:
        return next(iter(self.of(role)), None)


def columns(frame: pd.DataFrame, reading: dict[str, str], asked: dict[str, list[str]], task: str) -> Found:
    """Every column with its role. `asked`: target, time, key, segments, drop and keep, each by names of the file.

    Raises Failure for a name that is not there, and for a target that cannot be one.
    """
    if unknown := [name for names in asked.values() for name in names if name not in frame]:
        raise Failure(f"there is no column {', '.join(unknown)}; the file has {', '.join(map(str, frame))}")
    raws = [str(raw) for raw in frame]
    names = identifiers(raws)
    target, why = _target(frame, asked["target"])
    time, time_format, said = _time(frame, asked["time"], target)
    found = [
        Column(target, names[target], "target", why),
        *([Column(time, names[time], "time", said)] if time else []),
    ]
    if key := _key(frame, asked["key"], {target, time}):
        found.append(Column(key, names[key], "key", "no two rows share it"))
    kind, classes = _task(frame[target], target, task)
    others = [raw for raw in raws if raw not in (target, time, key)]
    found += [Column(raw, names[raw], *_role(frame[raw], raw, asked)) for raw in others]
    result = Found(frame, reading, found, kind, classes, time_format)
    result = replace(result, columns=[_unless_it_tells(column, result, asked["keep"]) for column in found])
    if not result.of("number", "category"):
        told = "; ".join(f"{column.raw}: {column.why}" for column in result.of("out"))
        raise Failure(f"no column is left to predict {target} from ({told})")
    return result


def _target(frame: pd.DataFrame, asked: list[str]) -> tuple[str, str]:
    if asked:
        return asked[0], "--target"
    named = next((raw for word in TARGETS for raw in map(str, frame) if raw.lower() == word), None)
    return (named, "by its name") if named else (str(frame.columns[-1]), "the last column; --target says another")


def _time(frame: pd.DataFrame, asked: list[str], target: str) -> tuple[str, str, str]:
    """The column, its format, and why; empty where there is none."""
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
        raise Failure(f"{asked[0]} holds no times that are understood; write them as 2024-01-31 or 2024-01-31 17:05")
    return "", "", ""


def _key(frame: pd.DataFrame, asked: list[str], others: set[str]) -> str:
    """The column that names a row; empty where there is none."""
    if asked:
        (key,) = asked
        if (bad := frame[key].isna() | frame[key].duplicated()).any():
            first = f"row {int(bad.argmax()) + 1}, {frame[key][bad].iloc[0]}"
            fix = "without --key the place in the file names a row"
            raise Failure(
                f"{key} cannot be the key: it is missing or there twice in {bad.sum()} rows, first {first}; {fix}"
            )
        return key
    for raw in map(str, frame):
        whole = pd.api.types.is_integer_dtype(frame[raw]) or pd.api.types.is_string_dtype(frame[raw])
        if raw not in others and whole and IDS.search(raw) and frame[raw].notna().all() and frame[raw].is_unique:
            return raw
    return ""


def _task(values: pd.Series, target: str, asked: str) -> tuple[str, tuple[str, ...]]:
    """What is predicted, and the classes: of two, the second is the one whose probability is given."""
    known = values.dropna()
    counts = text(known).value_counts()
    number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    whole = number and bool((known % 1 == 0).all())
    kind = asked or ("regression" if number and not (whole and len(counts) <= 10) else "")
    if kind == "regression":
        if not number or known.nunique() < 3:
            raise Failure(f"{target} is no number that varies; --task binary or multiclass")
        return kind, ()
    if len(counts) > CLASSES and not number and (why := meant(known)):
        raise Failure(f"{target} cannot be predicted: it holds {why}")
    if not 2 <= len(counts) <= CLASSES or counts.min() < 10:
        said = f"{len(counts)} values" + (f", {counts.idxmin()!r} in {counts.min()} rows" if len(counts) else "")
        fix = "join or remove the rare ones in the file"
        raise Failure(f"{target} cannot be predicted: it has {said}; 2 to {CLASSES}, each in ten rows or more: {fix}")
    if len(counts) == 2:
        ordered = sorted(counts.index)
        yes = {"1", "true", "yes", "y", "t"} & {value.lower() for value in ordered}
        second = next((value for value in ordered if value.lower() in yes), str(counts.index[-1]))
        return "binary", tuple(sorted(ordered, key=lambda value: value == second))
    return "multiclass", tuple(sorted(counts.index, key=_natural))


def _natural(value: str) -> tuple:
    return (0, float(value), "") if re.fullmatch(r"-?\d+(\.\d+)?", value) else (1, 0.0, value)


def _names(values: pd.Series, raw: str) -> str:
    """Why a column only names or counts rows, and so says nothing of a new one; empty for any other."""
    if not pd.api.types.is_integer_dtype(values) or (distinct := values.nunique()) <= MANY:
        return ""
    if values.is_unique and (values.is_monotonic_increasing or values.is_monotonic_decreasing):
        return f"counts the rows; --keep {raw!r} takes it"
    if IDS.search(raw):
        return f"names things by {distinct:,} numbers; --keep {raw!r} takes it"
    return ""


def _role(values: pd.Series, raw: str, asked: dict[str, list[str]]) -> tuple[str, str]:
    """What a column is to the model, and why."""
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
    """Left out where it gives the target away: what is known only afterwards makes every report a lie."""
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
    why = f"tells {target.raw} alone ({score:.1%}): known only afterwards? --keep {column.raw!r} takes it"
    return replace(column, role="out", why=why)
