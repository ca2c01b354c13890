"""YAML by libyaml, and each text only once: what the verbs read and write in Python's own, twenty times as slow."""

import functools
import pickle
from typing import Any

import yaml
from harness import rules

from delivery.core import params
from delivery.core.errors import Failure

DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
parse, safe_dump = yaml.parse, yaml.safe_dump


class Once(rules.LOADER):  # libyaml's, where it was built in
    """In place of `params.Once`."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if twice := {name for name in names if names.count(name) > 1}:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {', '.join(sorted(twice))}", node.start_mark)
        return super().construct_mapping(node, deep)


def load(text: Any) -> Any:
    """In place of `yaml.safe_load`."""
    if not isinstance(text, str | bytes):
        return yaml.load(text, rules.LOADER)
    return pickle.loads(_loaded(text))


def dump(value: Any, stream: Any = None, **options: Any) -> Any:
    """In place of `yaml.safe_dump`."""
    if stream is not None or not isinstance(value, dict | list):  # of a single value, libyaml leaves out its end
        return safe_dump(value, stream, **options)
    return _dumped(pickle.dumps((value, options)))


def tree(text: str) -> Any:
    """In place of `params.tree`."""
    return pickle.loads(_tree(text))


def events(text: Any) -> Any:
    """In place of `yaml.parse`."""
    return parse(text, rules.LOADER)


@functools.lru_cache(1000)
def _loaded(text: str | bytes) -> bytes:
    return pickle.dumps(yaml.load(text, rules.LOADER))


@functools.lru_cache(1000)
def _dumped(pickled: bytes) -> str:
    value, options = pickle.loads(pickled)
    return str(yaml.dump(value, Dumper=DUMPER, **options))


@functools.lru_cache(1000)
def _tree(text: str) -> bytes:
    try:
        return pickle.dumps(yaml.load(text, Once))
    except yaml.YAMLError as error:
        raise Failure(f"params.yaml is not YAML: {' '.join(str(error).split())}") from None


REPLACED = [
    (yaml, "safe_load", load),
    (yaml, "safe_dump", dump),
    (yaml, "parse", events),
    (params, "tree", tree),
    (params, "parse", functools.lru_cache(params.parse)),
]
