"""What the scenarios share: a small repository, made once for all, and a world with it for each test."""

import datetime
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import warm
from filelock import FileLock

pytest.register_assert_rewrite("harness")

import edits  # noqa: E402
from harness import template  # noqa: E402
from harness.runner import HERE, Machine  # noqa: E402
from harness.world import World, world  # noqa: E402

REAL_CML = os.environ.get("DELIVERY_CML")  # a checkout of CML 0.20.6 with its packages installed


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made by the first worker that asks for it, and shared by all."""
    shared = factory.getbasetemp().parent if os.environ.get("PYTEST_XDIST_WORKER") else factory.getbasetemp()
    shared = Path(os.environ.get("DELIVERY_KEEP", shared))
    folder = shared / name
    with FileLock(f"{folder}.lock"):
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / "made").touch()
    return folder


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory, libraries: Path) -> Machine:
    """What a runner has: nothing of this machine's environment but the programs."""
    path = [HERE / "bin", "/usr/local/bin", "/usr/bin", "/bin"]
    variables = {
        "PATH": os.pathsep.join(map(str, path)), "PYTHONPATH": "src", "MPLCONFIGDIR": str(tmp_path_factory.mktemp("mpl")),
        "GIT_PAGER": "cat", "GIT_CONFIG_NOSYSTEM": "1", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "UV_CACHE_DIR": os.environ["UV_CACHE_DIR"],
    }  # fmt: skip
    cml = Path(REAL_CML) if REAL_CML else HERE / "cml"
    return Machine(warm.environment(), cml, tmp_path_factory.mktemp("runs"), variables, libraries)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """For the real CML, which asks over TLS."""
    return once(tmp_path_factory, "tls", _certificate) / "hub.pem" if REAL_CML else None


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The months that the scenarios' sources have."""
    return once(tmp_path_factory, "sample", template.sample)


@pytest.fixture(scope="session")
def fresh_origin(tmp_path_factory: pytest.TempPathFactory, source: Path, machine: Machine) -> Path:
    """A repository as it is right after somebody made it from the template."""
    make = lambda folder: template.build(folder, source / "spring", machine.venv / "bin" / "python")  # noqa: E731
    return once(tmp_path_factory, "fresh", make) / "origin.git"


@pytest.fixture(scope="session")
def settled_origin(tmp_path_factory, fresh_origin: Path, machine: Machine, certificate: Path | None) -> Path:
    """The same after its first push: a store, a registry, version 1 on staging; runs.json has the summaries."""
    make = lambda folder: settle(folder, fresh_origin, machine, certificate)  # noqa: E731
    return once(tmp_path_factory, "settled", make) / "origin.git"


@pytest.fixture(scope="session")
def second_origin(tmp_path_factory, settled_origin: Path, machine: Machine, certificate: Path | None) -> Path:
    """The settled repository after another push to main: version 2 on staging, version 1 before it."""

    def make(folder: Path) -> None:
        shutil.copytree(settled_origin.parent / "hub" / "registry", folder / "hub" / "registry")
        with world(folder / "hub", settled_origin, machine, certificate) as there:
            there.router.disabled = ("ci.yml", "doctor.yml", "comment.yml", "refresh.yml")
            there.pushed_reproduced(there.clone(), edits.params(l2_regularization=0.1))
            there.settle()
            template.packed(there.repo.path, folder / "origin.git")

    return once(tmp_path_factory, "second", make) / "origin.git"


@pytest.fixture(scope="session")
def summer_origin(tmp_path_factory, source: Path, machine: Machine, certificate: Path | None) -> Path:
    """Version 1, trained on January to April, is on staging, and the source has June and July."""

    def make(folder: Path) -> None:
        program = machine.venv / "bin" / "python"
        first = template.build(folder / "fresh", source / "summer", program, template.SUMMER)
        settle(folder, first, machine, certificate)

    return once(tmp_path_factory, "summer", make) / "origin.git"


def settle(folder: Path, origin: Path, machine: Machine, certificate: Path | None) -> None:
    with world(folder / "hub", origin, machine, certificate) as there:
        there.router.disabled = ("ci.yml",)
        there.first_push()
        runs = there.settle()
        assert {run.workflow: run.conclusion for run in runs} == {
            "promote": "success",
            "doctor": "success",
            "refresh": "skipped",
            "tag": "skipped",
        }
        (folder / "runs.json").write_text(json.dumps({run.workflow: run.summary for run in runs}))
        template.packed(there.repo.path, folder / "origin.git")


@pytest.fixture
def fresh(tmp_path: Path, fresh_origin: Path, machine: Machine, certificate: Path | None) -> Iterator[World]:
    with world(tmp_path / "hub", fresh_origin, machine, certificate) as made:
        yield made


@pytest.fixture
def settled(tmp_path: Path, settled_origin: Path, machine: Machine, certificate: Path | None) -> Iterator[World]:
    with copied(settled_origin, tmp_path, machine, certificate) as made:
        yield made


@pytest.fixture
def two_versions(tmp_path: Path, second_origin: Path, machine: Machine, certificate: Path | None) -> Iterator[World]:
    """Version 2 on staging, version 1 before it."""
    with copied(second_origin, tmp_path, machine, certificate) as made:
        yield made


@contextmanager
def copied(origin: Path, folder: Path, machine: Machine, certificate: Path | None) -> Iterator[World]:
    """A world of one's own, with the images of the versions that are registered."""
    shutil.copytree(origin.parent / "hub" / "registry", folder / "hub" / "registry")
    with world(folder / "hub", origin, machine, certificate) as made:
        yield made


def _certificate(folder: Path) -> None:
    """A key and its certificate for 127.0.0.1, in one file."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hub")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "hub.pem").write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A scenario that fails shows what its runs printed."""
    outcome = yield
    report = outcome.get_result()
    made = World.newest
    if report.failed and made:
        for run in made.router.runs:
            report.sections.append(
                (f"run {run.id}: {run.workflow} on {run.event}: {run.jobs}", told(run.failed or run.log))
            )


def told(log: str) -> str:
    """The end of a log without what act says of itself."""
    dull = ("LocalRepositoryCache", "  ✅", "⭐ Run Pre", "⭐ Run Post", "⭐ Run Complete", "  ⚙  ::set-output")
    return "\n".join(
        [line for line in log.splitlines() if not line.strip(" ").startswith(tuple(d.strip() for d in dull))][-60:]
    )
