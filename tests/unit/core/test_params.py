"""params.yaml: a missing key has its default; an unknown key or wrong value is named, with the nearest key or the choices."""

import ast
from itertools import pairwise
from pathlib import Path
from typing import Any

import made
import msgspec
import pytest
import yaml
from msgspec.structs import replace

from delivery.__main__ import main
from delivery.core import params, params_reference
from delivery.core.errors import Failure

GOOD = (made.ROOT / "params.yaml").read_text()
LEAST = made.LEAST_PARAMS
MODELS = [*made.ROOT.glob("examples/*/model.py"), *(made.ROOT / "src" / "delivery" / "new").glob("templates/model_*")]


def without_comments(text: str) -> str:
    return "\n".join(line.split("#")[0].rstrip() for line in text.splitlines())


def edited(section: str, key: str, value: str) -> str:
    """Return params.yaml with another value in a section, written as YAML; an empty value removes the key."""
    tree = yaml.safe_load(GOOD)
    tree[section] = {name: old for name, old in (tree.get(section) or {}).items() if name != key}
    if value:
        tree[section][key] = "VALUE"
    return yaml.safe_dump(tree).replace("VALUE", value)


def test_the_parameters_of_this_repository_are_valid() -> None:
    assert params.load(made.ROOT / "params.yaml") == params.parse(without_comments(GOOD))
    assert params.parse(edited("train", "max_iter", "7")).train.max_iter == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (edited("train", "model", "forest"), r"choose one of \w+, "),
        (edited("export", "runtime", "torch"), "choose one of onnx, sklearn"),
        (edited("train", "learning_rate", "0"), r"Expected `float` > 0\.0 - at `\$\.train\.learning_rate`"),
        (edited("train", "learning_rate", ".nan"), r"\$\.train\.learning_rate"),
        (edited("train", "learning_rate", "1e-2"), "YAML takes 1e-2 for text, write 0.01 or 1.0e-2"),
        (edited("train", "max_iter", "many"), "Expected `int`, got `str`"),
        (edited("train", "max_iter", "true"), "Expected `int`, got `bool`"),
        (edited("train", "max_iter", "null"), "Expected `int`, got `null`"),
        (edited("fetch", "until", ""), "fetch.until is missing, and it has no default"),
        (edited("gate", "floors", ""), "gate.floors is missing, and it has no default"),
        ("train: {}\n", "fetch.until is missing, and it has no default"),
        (
            edited("deploy", "environments", "{staging: {port: 1}}"),
            "deploy.environments.staging.target is missing, and",
        ),
        (edited("fetch", "until", "../May"), r"matching regex .* - at `\$\.fetch\.until`"),
        (edited("fetch", "until", "2013"), "Expected `str`, got `int`"),
        (edited("export", "examples", "3"), r"Expected `int` >= 5 - at `\$\.export\.examples`"),
        (edited("compare", "confidence", "95"), r"\$\.compare\.confidence"),
        (edited("deploy", "environments", "{Staging: {target: docker}}"), r"matching regex .*\$\.deploy\.environments"),
        (edited("deploy", "environments", "{a: {target: heroku}}"), r"\$\.deploy\.environments"),
        (LEAST + "validate: 3\n", r"Expected `object`, got `int` - at `\$\.validate`"),
        (LEAST + "validate: []\n", r"Expected `object`, got `array` - at `\$\.validate`"),
        ("", "Expected `object`, got `null`"),
        ("# nothing\n", "Expected `object`, got `null`"),
        ("- fetch\n", "Expected `object`, got `array`"),
        ("train\n", "Expected `object`, got `str`"),
        ("fetch: [\n", r"params\.yaml is not YAML: .*line 2"),
        ("fetch:\n\tuntil: 1\n", r"params\.yaml is not YAML: .*'\\t'"),
    ],
)
def test_an_invalid_value_is_named_in_one_line(text: str, message: str) -> None:
    with pytest.raises(Failure, match=message) as failure:
        params.parse(text)
    assert str(failure.value).startswith("params.yaml")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (edited("gate", "marginn", "1"), "gate.marginn is unknown; did you mean gate.margin?"),
        (edited("drift", "margin", "1"), "drift.margin is unknown; did you mean gate.margin?"),
        (edited("serve", "latency_us", "1"), "serve.latency_us is unknown; did you mean gate.latency_us?"),
        (edited("train", "depth_of_it", "3"), "train.depth_of_it is unknown; docs/reference/params.md lists every key"),
        (edited("deploy", "canary", "{step: [1]}"), "deploy.canary.step is unknown; did you mean deploy.canary.steps?"),
        (
            edited("deploy", "environments", "{staging: {target: docker, prot: 1}}"),
            "deploy.environments.staging.prot is unknown; did you mean deploy.environments.staging.port?",
        ),
        (
            edited("search", "space", "{max_iter: {low: 1, hihg: 2}}"),
            "search.space.max_iter.hihg is unknown; did you mean search.space.max_iter.high?",
        ),
        (LEAST + "trian: {}\n", "trian is unknown; did you mean train?"),
        (LEAST + "margin: 1\n", "margin is unknown; did you mean gate.margin?"),
        (LEAST + "quux: {}\n", "quux is unknown; docs/reference/params.md lists every key"),
        (LEAST + "1: 2\n", "1 is unknown; docs/reference/params.md lists every key"),
        (LEAST.replace("floors", "flors"), "gate.flors is unknown; did you mean gate.floors?"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_one(text: str, line: str) -> None:
    with pytest.raises(Failure) as failure:
        params.parse(text)
    assert str(failure.value) == f"params.yaml: {line}"


def test_a_missing_key_has_its_default() -> None:
    settings = params.parse(LEAST)
    assert settings.validate == params.Validate()
    assert settings.deploy == params.Deploy()
    assert settings.promote.branches["main"] == "staging"
    assert params.parse(LEAST + "deploy: {canary: {requests: 7}}\n").deploy == params.Deploy(
        canary=params.Canary(requests=7)
    )
    assert params.parse(LEAST + "deploy:\n  canary:\nvalidate:\n") == settings, "an empty section has no keys"
    assert params.parse(LEAST + "promote: {branches: {trunk: live}}\n").promote.branches == {"trunk": "live"}


def test_every_key_has_a_default_except_those_that_depend_on_the_problem() -> None:
    kinds: list[Any] = [params.Params, params.Environment, params.Span, params.Canary]
    kinds += [field.type for field in msgspec.structs.fields(params.Params) if field.name not in {"train", "engine"}]
    needed = {
        f"{kind.__name__}.{field.name}"
        for kind in kinds
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
        for field in msgspec.structs.fields(kind)
        if field.required
    }
    assert needed == {
        *("Params.fetch", "Fetch.until", "Params.gate", "Gate.floors", "Environment.target", "Span.low", "Span.high"),
    }


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_key_of_train_has_a_default_and_a_meaning(path: Path) -> None:
    """In the examples, and in what `new` writes; the sample's own are tests/unit/problem's."""
    (train,) = [node for node in ast.parse(path.read_text()).body if getattr(node, "name", "") == "Train"]
    assert isinstance(train, ast.ClassDef)
    keys = [(one, below) for one, below in pairwise(train.body) if isinstance(one, ast.AnnAssign)]
    assert len(keys) > 5
    for one, below in keys:
        assert one.value is not None
        assert isinstance(below, ast.Expr), ast.unparse(one)
        assert isinstance(below.value, ast.Constant)


def test_a_missing_file_is_named_with_the_folder_to_run_in(folder: Path) -> None:
    with pytest.raises(Failure, match=r"params\.yaml is missing; run this from the repository's root"):
        params.load()


def test_bytes_that_are_not_utf_8_are_refused(folder: Path) -> None:
    Path("params.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Failure, match=r"params\.yaml is not UTF-8"):
        params.load()


def test_a_duplicate_key_is_refused() -> None:
    with pytest.raises(Failure, match="twice: seed"):
        params.parse("train:\n  seed: 1\n  seed: 2\n")


def test_a_rule_cannot_be_switched_off_by_an_infinite_margin() -> None:
    with pytest.raises(Failure, match=r"gate\.margin"):
        params.parse(edited("gate", "margin", ".inf"))


def test_the_environment_variable_overrides_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_an_unknown_engine_is_refused(engine: str) -> None:
    with pytest.raises(Failure, match=r"\$\.engine"):
        params.parse(LEAST + f'engine: "{engine}"\n')


def test_the_values_in_force_are_printed_with_what_the_file_sets(folder: Path, capsys: pytest.CaptureFixture) -> None:
    Path("params.yaml").write_text(LEAST + "deploy: {canary: {steps: [10]}}\n" + "card: {Limits: 'none: #1'}\n")
    assert main(["params"]) == 0
    said = capsys.readouterr().out
    assert params.parse(said) == params.load(), "what is printed says the same"
    marked = [line.strip() for line in said.splitlines()[1:] if line.endswith("  # set")]
    assert marked == ["until: 2013-05  # set", "floors: {}  # set", "steps: [10]  # set", "card:  # set"]
    assert "  psi_alarm: 0.25\n" in said


def test_an_engine_from_the_environment_is_marked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("params.yaml").write_text(LEAST)
    monkeypatch.setenv(params.ENGINE, "stream")
    assert params_reference.in_force().splitlines()[-1] == "engine: stream  # DELIVERY_ENGINE"
    monkeypatch.delenv(params.ENGINE)
    assert params_reference.in_force().splitlines()[-1] == "engine: memory"


def test_the_page_lists_every_key_with_its_default(capsys: pytest.CaptureFixture) -> None:
    assert main(["params", "--markdown"]) == 0
    said = capsys.readouterr().out
    assert said == (made.ROOT / "docs" / "reference" / "params.md").read_text(), (
        "run `delivery params --markdown > docs/reference/params.md`"
    )
    for field in msgspec.structs.fields(params.Params):
        keys = getattr(field.type, "__struct_fields__", [field.name])
        section = said if keys == [field.name] else said.partition(f"## {field.name}\n")[2].partition("\n## ")[0]
        assert field.name == "train" or all(f"| `{key}" in section for key in keys)


def test_a_key_without_a_meaning_is_no_row() -> None:
    class Silent(msgspec.Struct):
        loud: int = 1
        """Meaning."""
        silent: int = 2

    assert params_reference.meanings(Silent) == {"loud": "Meaning."}
    with pytest.raises(KeyError, match="silent"):
        params_reference._rows(Silent)
