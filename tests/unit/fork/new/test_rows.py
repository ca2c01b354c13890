"""Files as people have them are read, and their columns get names that Python takes."""

import keyword
import re
from pathlib import Path

import orders
import pandas as pd
import pytest

from delivery.core.errors import Failure
from delivery.fork.new import rows


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
    assert said == {"sep": separator}
    assert list(frame) == list(orders.rows())


def test_a_decimal_comma_is_read_where_commas_do_not_separate(tmp_path: Path) -> None:
    orders.rows().assign(pair="1,2 m").to_csv(tmp_path / "orders.csv", sep=";", decimal=",", index=False)
    frame, said = rows.read(tmp_path / "orders.csv")
    assert said == {"sep": ";", "decimal": ","}
    assert frame["2nd price (€)"].equals(orders.rows()["2nd price (€)"])
    assert set(frame["pair"]) == {"1,2 m"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["1", "2.5", *map(str, range(50)), "?"], "numbers, but for .*; leave that empty"),
        (["1,585.73", "12.00", "€ 3"], "numbers with signs, such as '1,585.73'; write them as 1234.5"),
        (["1.585,73", "-12,00"], "numbers with signs"),
        (["71%", "5 %"], "numbers with signs"),
        (["01.02.2024", "28.02.2024"], "a second time; derive a number from it"),
        (["2024-01-05T10:00:00Z", "28/02/2024 10:00"], "times, but not all written one way: .* write them as 2024"),
        (["192.168.0.1", "10.0.0.7"], ""),
        (["north", "south", "1"], ""),
        (["01234", "99999"], ""),
        (["4-2", "555-1234"], ""),
    ],
)
def test_what_text_was_meant_to_be_is_said_with_its_mending(values: list[str], says: str) -> None:
    said = rows.meant(pd.Series(values))
    assert re.match(says, said) if says else not said


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "neither CSV in UTF-8"),
        ("a;Größe\n1;2\n".encode("cp1252"), r"is not in UTF-8.* `iconv -f windows-1252 -t utf-8 .*x\.csv > new.csv`"),
        (b"a,b\n1,2\n", "has 1 rows and 2 column"),
        (None, "does not exist"),
    ],
)
def test_a_file_that_is_none_is_one_line(content: bytes | None, says: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(Failure, match=says) as failure:
        rows.read(tmp_path / "x.csv")
    assert "\n" not in str(failure.value)
