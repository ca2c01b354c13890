"""What runs that is not ours: each action at one commit, and who offers newer ones."""

import re

import yaml
from dotgithub import GITHUB, lines
from harness.template import ROOT

# Every third-party action, at the one commit and version at which it may be used.
PINS = {
    "actions/attest-build-provenance": ("a2bbfa25375fe432b6a289bc6b6cd05ecd0c4c32", "v4.1.0"),
    "actions/cache": ("27d5ce7f107fe9357f9df03efb73ab90386fccae", "v5.0.5"),
    "actions/checkout": ("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7.0.1"),
    "actions/create-github-app-token": ("1b10c78c7865c340bc4f6099eb2f838309f1e8c3", "v3.1.1"),
    "actions/deploy-pages": ("cd2ce8fcbc39b97be8ca5fce6e763baed58fa128", "v5.0.0"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
    "actions/setup-python": ("5fda3b95a4ea91299a34e894583c3862153e4b97", "v7.0.0"),
    "actions/upload-artifact": ("bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "v7.0.0"),
    "actions/upload-pages-artifact": ("fc324d3547104276b827a68afc52ff2a11cc49c9", "v5.0.0"),
    "anchore/sbom-action": ("e22c389904149dbc22b58101806040fa8d37a610", "v0.24.0"),
    "anchore/scan-action/download-grype": ("e1165082ffb1fe366ebaf02d8526e7c4989ea9d2", "v7.4.0"),
    "aws-actions/configure-aws-credentials": ("e6de054238d6b7531b4efff3b6587d9aade6a06c", "v6.2.3"),
    "azure/login": ("f5d393ae46f8fde4be8b75f32e3fc50e654ad0ca", "v3.0.1"),
    "docker/build-push-action": ("53b7df96c91f9c12dcc8a07bcb9ccacbed38856a", "v7.3.0"),
    "docker/login-action": ("4907a6ddec9925e35a0a9e82d7399ccc52663121", "v4.1.0"),
    "docker/setup-buildx-action": ("37fe631027851001ddb9b187196cc803df7f5f0e", "v4.3.0"),
    "google-github-actions/auth": ("7c6bc770dae815cd3e89ee6cdf493a5fab2cc093", "v3.0.0"),
}


def test_every_action_is_in_the_table_at_its_commit_with_its_version():
    seen = set()
    for line in lines():
        if found := re.search(r"uses: (\S+)(.*)", line):
            if found[1].startswith("$/"):
                ours = GITHUB.parent / found[1].removeprefix("$/")
                assert (ours.suffix == ".yml" and ours.exists()) or (ours / "action.yml").exists(), line
                continue
            name, _, sha = found[1].partition("@")
            assert (sha, found[2].strip().removeprefix("# ")) == PINS[name], line
            seen.add(name)
    assert seen == PINS.keys()
    stand_ins = ROOT / "tests" / "workflows" / "harness" / "actions"
    assert all((stand_ins / name / "action.yml").exists() for name in PINS)


def test_dependabot_watches_the_actions_in_a_group_and_with_a_cooldown():
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    # It recompiles no lock in .txt and reads no ARG: the workflow bump raises libraries and the base image.
    assert {update["package-ecosystem"] for update in updates} == {"github-actions"}
    for update in updates:
        assert update["cooldown"]["default-days"] >= 7
        assert update["groups"]
