"""Files as people have them are read, and their columns get names that Python takes."""

import keyword
from pathlib import Path

import orders
import pytest

from delivery.errors import Failure
from delivery.new import rows


def test_names_are_python_and_no_two_alike() -> None:
    raws = ["class", "2nd price (€)", "Größe", "Grosse", "é", "E", "???", "period", "a b", "a-b", "when"]
    names = rows.identifiers(raws)
    assert list(names) == raws
    assert len(set(names.values())) == len(raws)
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in names.values())
    assert not set(names.values()) & rows.TAKEN
    assert (names["class"], names["2nd price (€)"], names["Größe"]) == ("class_", "n_2nd_price", "grosse")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_any_usual_separator_is_read(separator: str, tmp_path: Path) -> None:
    orders.rows().to_csv(tmp_path / "orders.csv", sep=separator, index=False, encoding="utf-8-sig")
    frame, said = rows.read(tmp_path / "orders.csv")
    assert said == separator
    assert list(frame) == list(orders.rows())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "neither CSV in UTF-8"),
        (b"\xff\xfe\x00", "neither CSV in UTF-8"),
        (b"a,b\n1,2\n", "has 1 rows and 2 column"),
        (None, "is not there"),
    ],
)
def test_a_file_that_is_none_is_one_line(content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(Failure, match=says) as failure:
        rows.read(tmp_path / "x.csv")
    assert "\n" not in str(failure.value)
