"""params.yaml: what is unknown, missing or wrong is named, with the choices where there are some."""

from pathlib import Path

import made
import pytest
from msgspec.structs import replace

from delivery.core import params
from delivery.core.errors import Failure

GOOD = (made.ROOT / "params.yaml").read_text()


def without_comments(text: str) -> str:
    return "\n".join(line.split("#")[0].rstrip() for line in text.splitlines())


def edited(section: str, key: str, value: str) -> str:
    """params.yaml with one line of a section replaced; an empty value removes it, a new key adds it."""
    lines = without_comments(GOOD).splitlines()
    start = lines.index(f"{section}:") + 1
    end = next((at for at in range(start, len(lines)) if lines[at] and lines[at][0] != " "), len(lines))
    body = [line for line in lines[start:end] if not line.startswith(f"  {key}:")]
    return "\n".join([*lines[:start], *body, *([f"  {key}: {value}"] if value else []), *lines[end:]])


def test_the_projects_own_are_good() -> None:
    assert params.load(made.ROOT / "params.yaml") == params.parse(without_comments(GOOD))
    assert params.parse(edited("train", "max_iter", "7")).train.max_iter == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (edited("train", "depth", "3"), r"unknown field `depth` - at `\$\.train`"),
        (edited("train", "seed", ""), r"missing required field `seed` - at `\$\.train`"),
        (edited("train", "model", "forest"), r"choose one of \w+, "),
        (edited("export", "runtime", "torch"), "choose one of onnx, sklearn"),
        (edited("train", "learning_rate", "0"), r"Expected `float` > 0\.0 - at `\$\.train\.learning_rate`"),
        (edited("train", "learning_rate", ".nan"), r"\$\.train\.learning_rate"),
        (edited("train", "learning_rate", "1e-2"), "YAML takes 1e-2 for text, write 0.01 or 1.0e-2"),
        (edited("train", "max_iter", "many"), "Expected `int`, got `str`"),
        (edited("train", "max_iter", "true"), "Expected `int`, got `bool`"),
        (edited("train", "max_iter", ""), "missing required field `max_iter`"),
        (edited("fetch", "until", "../May"), r"matching regex .* - at `\$\.fetch\.until`"),
        (edited("fetch", "until", "2013"), "Expected `str`, got `int`"),
        (edited("export", "examples", "3"), r"Expected `int` >= 5 - at `\$\.export\.examples`"),
        (edited("compare", "confidence", "95"), r"\$\.compare\.confidence"),
        (GOOD + "\nextra: {}\n", "unknown field `extra`"),
        (GOOD.replace("\ntrain:", "\ntrian:"), "`train|`trian"),
        ("", "Expected `object`, got `null`"),
        ("# nothing\n", "Expected `object`, got `null`"),
        ("- fetch\n", "Expected `object`, got `array`"),
        ("train\n", "Expected `object`, got `str`"),
        ("fetch: [\n", r"params\.yaml is not YAML: .*line 2"),
        ("fetch:\n\tuntil: 1\n", r"params\.yaml is not YAML: .*'\\t'"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(text: str, message: str) -> None:
    with pytest.raises(Failure, match=message) as failure:
        params.parse(text)
    assert str(failure.value).startswith("params.yaml")
    assert "\n" not in str(failure.value)


def test_a_missing_file_says_where_to_stand(folder: Path) -> None:
    with pytest.raises(Failure, match=r"params\.yaml is missing; run this from the repository's root"):
        params.load()


def test_bytes_that_are_no_text_are_refused(folder: Path) -> None:
    Path("params.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Failure, match=r"params\.yaml is not UTF-8"):
        params.load()


def test_a_key_that_is_there_twice_is_refused() -> None:
    with pytest.raises(Failure, match="twice: seed"):
        params.parse("train:\n  seed: 1\n  seed: 2\n")


def test_a_rule_cannot_be_switched_off_by_an_infinite_margin() -> None:
    with pytest.raises(Failure, match=r"gate\.margin"):
        params.parse(edited("gate", "margin", ".inf"))


def test_a_machine_may_have_an_engine_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    path = made.ROOT / "params.yaml"
    alone = params.load(path)
    monkeypatch.setenv(params.ENGINE, "tcp://scheduler:8786")
    assert params.load(path) == replace(alone, engine="tcp://scheduler:8786")
    monkeypatch.setenv(params.ENGINE, "")
    assert params.load(path) == alone
    monkeypatch.setenv(params.ENGINE, "spark")
    with pytest.raises(Failure, match=r"^DELIVERY_ENGINE: Expected `str` matching regex"):
        params.load(path)


@pytest.mark.parametrize("engine", ["spark", "tcp://", "tcp://a b:1", "http://scheduler:8786", "dask "])
def test_an_engine_that_nobody_knows_is_refused(engine: str) -> None:
    with pytest.raises(Failure, match=r"\$\.engine"):
        params.parse(GOOD.replace("\nengine: memory", f'\nengine: "{engine}"'))
