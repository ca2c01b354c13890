"""Versions and their tags: the keys that existing registries hold, and what is read from them."""

import pytest
from msgspec.structs import fields

from delivery.core.errors import Failure
from delivery.registry import version
from delivery.registry.version import Lineage, Version, from_tags

KEYS = {
    "release": "release.digest",
    "changes": "release.changes",
    "digest": "model.digest",
    "image": "image.digest",
    "commit": "git.commit",
    "remote": "git.remote",
    "pull": "pull.request",
    "approved_by": "approved.by",
    "merged_by": "merged.by",
    "data_until": "data.until",
    "data": "data.digest",
    "lock": "dvc.lock.digest",
    "train": "train.digest",
    "gate": "gate",
    "compared_with": "compared.with",
    "boundary": "compatibility.boundary",
    "registered": "registered",
    "executor": "executor",
}


def test_the_keys_are_those_of_the_versions_that_are_registered_already() -> None:
    assert {entry.name: version.tag_key(entry.name) for entry in fields(Lineage)} == KEYS


def test_a_lineage_is_read_back_from_its_tags() -> None:
    lineage = Lineage(**{name: f"the {name}" for name in KEYS})
    tags = version.lineage_tags(lineage)
    assert tags == {key: f"the {name}" for name, key in KEYS.items()}
    found = from_tags("7", tags)
    assert {name: getattr(found, name) for name in KEYS} == {name: f"the {name}" for name in KEYS}


def test_missing_facts_have_no_tag_and_a_repository_without_a_remote_has_an_empty_one() -> None:
    assert version.lineage_tags(Lineage()) == {}
    assert version.lineage_tags(Lineage(commit="abc", remote="")) == {"git.commit": "abc", "git.remote": ""}
    assert (from_tags("1", {}).remote, from_tags("1", {"git.remote": ""}).remote) == (None, "")


def test_a_version_has_named_fields_and_keeps_unknown_tags() -> None:
    tags = {"git.commit": "abc", "files.pruned": "2024-01-02", "zebra": "last"}
    found = from_tags("7", tags, ["staging", "production"], description="a card", run="r", source="s")
    assert found == Version(
        number="7",
        aliases=("production", "staging"),
        description="a card",
        pruned="2024-01-02",
        run="r",
        source="s",
        commit="abc",
        tags=tags,
    )
    assert from_tags("7", {}) == Version(number="7")


def test_the_tags_of_a_version_cannot_be_changed() -> None:
    tags = {"zebra": "last"}
    found = from_tags("7", tags)
    tags["zebra"] = "first"
    assert dict(found.tags) == {"zebra": "last"}
    with pytest.raises(TypeError):
        found.tags["zebra"] = "first"  # type: ignore[index]


def test_a_version_is_picked_by_number_or_alias() -> None:
    known = [from_tags("12", {}), from_tags("2", {}, ["staging", "a"])]
    assert version.pick(known, "12") is known[0]
    assert version.pick(known, "staging") is known[1]
    with pytest.raises(Failure, match=r"^the registry has no version or alias 1; it has 12, 2 \(a\) \(staging\)$"):
        version.pick(known, "1")
    with pytest.raises(Failure, match=r"^the registry has no version or alias 1; it has none yet$"):
        version.pick([], "1")


def test_the_version_of_an_alias() -> None:
    known = [from_tags("12", {}), from_tags("2", {}, ["staging"])]
    assert version.aliased(known, "staging") is known[1]
    assert version.aliased(known, "production") is None


def test_a_moment_is_added_to_those_of_the_same_alias() -> None:
    found = from_tags("7", {"staging.since": "2024-01-01 2024-01-02", "production.since": "2023-01-01"})
    assert version.moments(found, "staging") == ["2024-01-01", "2024-01-02"]
    assert version.moments(found, "development") == []
    assert version.moment_tags(found, "staging", "2024-01-03") == {"staging.since": "2024-01-01 2024-01-02 2024-01-03"}
    assert version.moment_tags(found, "development", "2024-01-03") == {"development.since": "2024-01-03"}


def test_environments_are_those_that_ever_had_a_version() -> None:
    known = [
        from_tags("2", {"staging.since": "2024", "git.commit": "abc"}),
        from_tags("1", {"production.since": "2023"}),
    ]
    assert version.environments(known) == {"production", "staging"}


def test_a_rollback_is_of_one_environment() -> None:
    found = from_tags("7", version.rolled_back_tags("staging", "too slow"))
    assert found.tags == {"staging.rolled_back": "too slow"}
    assert version.rolled_back(found, "staging") == "too slow"
    assert version.rolled_back(found, "production") == ""


def test_the_tags_that_prune_and_migrate_set() -> None:
    assert from_tags("7", version.pruned_tags("2024-01-02")).pruned == "2024-01-02"
    assert version.gap_tags() == {"migrated.gap": "deleted in the store"}
    assert version.is_gap(from_tags("7", version.gap_tags()))
    assert not version.is_gap(from_tags("7", {}))
