"""Two environments that last, under constant load by clients of the old version: none of them is answered wrongly.

The versions differ in their `Request` for real: each starts its own code. What the page of the pull request would have said
is asked first.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import images
import pytest
from host import Site, failures, kill, wait_for
from optional import missing
from sample import ROOT, change

from delivery.core import files, workspace
from delivery.deploy.targets import container, proxy, slots, state
from delivery.registry import registry

pytestmark = pytest.mark.xdist_group("registry")
FIELDS = {"required": "int", "optional": "int | None, None"}
# A fork's own way to add a field would be a line of schema.py; this fits any problem.
CHANGE = """
import msgspec as _msgspec

_Before, _row = Request, row
Request = _msgspec.defstruct(
    "Request", [("gate_number", {field})], bases=(_Before,), forbid_unknown_fields=True, kw_only=True
)


def row(request):
    return _row(_Before(**{{name: getattr(request, name) for name in _Before.__struct_fields__}}))
"""
REGISTER = """
import sys
from pathlib import Path
from delivery.core import files
from delivery.registry import registry, release
from delivery.registry.version import Lineage

number, folder = sys.argv[1], Path(sys.argv[2])
release.collect(folder / "export", folder / "release")
lineage = Lineage(release=release.digest(folder), digest=files.digest(folder / "export"), commit="c0ffee" + number)
assert registry.add(folder, lineage, {}) == (number, True)
"""


class Two:
    """Staging and production of one project."""

    def __init__(self, folder: Path, home: Path, target: str):
        self.folder, self.target = folder, target
        self.sites = [Site(folder, home, name, target=target) for name in ("staging", "production")]
        change(folder, {"deploy.environments": {site.name: site.place for site in self.sites}})

    @contextmanager
    def load(self, **fields: object) -> Iterator[None]:
        """Clients at both; at the end each was answered, and never wrongly."""
        with ExitStack() as stack:
            seen = [stack.enter_context(site.load(**fields)) for site in self.sites]
            yield
            before = [sum(one.values()) for one in seen]
            wait_for(lambda: all(sum(one.values()) > count + 10 for one, count in zip(seen, before, strict=True)))
        assert [failures(one) for one in seen] == [{}, {}]

    def python(self, field: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the project, whose `Request` has the field `gate_number`."""
        changed = self.folder / f"changed-{field}" / "problem"
        if not changed.exists():
            shutil.copytree(ROOT / "src" / "problem", changed)
            text = (changed / "__init__.py").read_text()
            (changed / "__init__.py").write_text(text + CHANGE.format(field=FIELDS[field]))
        variables = os.environ | {"PYTHONPATH": str(changed.parent)}
        return subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=variables, capture_output=True, text=True, check=False
        )

    def image(self, number: str, field: str = "") -> None:
        """Build a version's image and record it, where the target runs images."""
        if self.target == "process":
            return
        context = self.folder / "context" / number
        context.mkdir(parents=True)
        images.fill(context, self.folder / "models" / number / "export", "serve")
        if field:
            shutil.copytree(
                self.folder / f"changed-{field}" / "problem", context / "src" / "problem", dirs_exist_ok=True
            )
        images.build(context, images.base(), f"delivery-clients:{number}")
        shown = images.docker("image", "inspect", "--format", "{{.Id}}", f"delivery-clients:{number}").stdout.strip()
        registry.record_image(number, shown)

    def add(self, number: str, export: str, field: str) -> None:
        """Register a version: the exported model of another one, with the code that has the field."""
        folder = self.folder / "models" / number
        shutil.copytree(self.folder / "models" / export / "export", folder / "export")
        if field == "required":  # the model was exported with it
            examples = files.read_json(folder / "export" / "examples.json", "export")
            given = [one | {"request": one["request"] | {"gate_number": 7}} for one in examples]
            files.write_json(folder / "export" / "examples.json", given, exact=True)
        done = self.python(field, "-c", REGISTER, number, str(folder))
        assert done.returncode == 0, done.stderr
        self.image(number, field)

    def page(self, field: str) -> str:
        """What the pull request's page says of the code with the field, and the model of version 1."""
        shutil.copytree(self.folder / "models" / "1" / "export", self.folder / workspace.EXPORT, dirs_exist_ok=True)
        done = self.python(field, "-m", "delivery", "compatibility")
        assert done.returncode == 1, done.stdout + done.stderr  # something breaks
        return done.stdout

    def stands(self, site: Site, version: str) -> None:
        """The version serves, the alias is on it, and nothing else is left."""
        if self.target == "process":
            site.settled(version)
        assert site.serving() == site.alias() == version
        assert state.read(site.home).candidate is None

    def kill(self) -> None:
        """As a reboot does it."""
        for site in self.sites:
            kill(*(str(slots.model(site.home, name)) for name in proxy.SLOTS), str(site.home / "haproxy.cfg"))
            if self.target == "docker":
                images.docker("kill", *(container.name_of(site.home, name) for name in proxy.SLOTS))

    def remove(self) -> None:
        for site in self.sites:
            site.stop()
            if self.target == "docker":
                names = [container.name_of(site.home, name) for name in proxy.SLOTS]
                images.docker("rm", "--force", *names, code=None)
                images.docker("volume", "rm", "--force", *(f"{name}-log" for name in names), code=None)


NO_DOCKER = pytest.mark.skipif(bool(missing("docker")), reason=missing("docker"))


@pytest.fixture(params=["process", pytest.param("docker", marks=NO_DOCKER)])
def two(
    request: pytest.FixtureRequest,
    needs_haproxy: None,
    tmp_path: Path,
    registered: Path,
    at_home: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Two]:
    """Version 1 serves both."""
    shutil.copytree(registered, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    made = Two(tmp_path / "project", tmp_path / "state", request.param)
    try:
        made.image("1")
        for site in made.sites:
            assert site.deploy("1") == 0
        yield made
    finally:
        made.remove()


def test_a_required_field_is_named_beforehand_and_meets_no_client(two: Two, capsys) -> None:
    staging, production = two.sites
    with two.load():
        page = two.page("required")
        assert page.startswith(
            "Breaking: with version 1 (production, staging) request.gate_number: added (breaks clients"
        )
        assert "| 0% of " in page
        two.add("4", "2", "required")
        for refused in (staging.deploy("4"), production.deploy("4", "--canary", "10%")):
            assert refused == 1
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 2
        for line, site in zip(said, two.sites, strict=True):
            assert line.startswith("error: version 4 refuses 100% of the last ")
            assert "gate_number" in line
            assert line.endswith(f"version 1 still serves {site.name}")
    for site in two.sites:
        two.stands(site, "1")


def test_a_new_optional_field_keeps_its_clients_at_every_step(two: Two, capsys) -> None:
    staging, production = two.sites
    with two.load():
        assert "request.gate_number: added (breaks a rollback)" in two.page("optional")
        two.add("4", "2", "optional")
        for site in two.sites:
            assert site.deploy("4") == 0
        with two.load(gate_number=7):
            capsys.readouterr()
            for site in two.sites:
                assert site.rollback() == 1
                said = capsys.readouterr().err
                assert "gate_number is unknown" in said
                assert "deploy the old model behind the new schema" in said
                two.stands(site, "4")
            two.add("5", "1", "optional")  # which is that
            assert production.deploy("5") == 0
    two.kill()
    capsys.readouterr()
    assert staging.run("status", "--json") == 1
    said = capsys.readouterr().out
    assert [row["answers"] for row in json.loads(said[said.index("[\n") :])] == ["", ""]
    for site in two.sites:
        assert site.run("repair", site.name) == 0
    with two.load(), two.load(gate_number=7):
        two.stands(staging, "4")
        two.stands(production, "5")
