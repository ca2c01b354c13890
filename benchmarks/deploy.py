"""Measure deploy, canary, promotion and rollback under constant load: failed requests, p99, seconds until the switch.

    .venv/bin/python benchmarks/deploy.py     (needs haproxy and artifacts/export; prints a table and writes docs/benchmarks.md)

64 connections send requests at a fixed rate, from a process in a separate session, as real clients would be; the verbs run as
an operator runs them. Each request is a random row: with rows in a fixed order, a round-robin proxy would show each version
different rows. p99 of each phase is compared with a quiet phase.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
NAME = "production"


class Answer(NamedTuple):
    start: float
    seconds: float
    version: str  # or what went wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float, default=600, help="requests per second, of all connections together")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="seconds of quiet before each round")
    parser.add_argument("--ask", nargs=2, metavar=("PORT", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        asyncio.run(ask(int(options.ask[0]), Path(options.ask[1]), options.connections, options.rate))
        return
    with tempfile.TemporaryDirectory() as folder:
        text = report(measure(Path(folder), options), options)
    print(text)
    page = PAGE.read_text()
    begin, end = "<!-- deploy: begin -->", "<!-- deploy: end -->"
    if begin not in page:
        page = f"{page.rstrip()}\n\n## Deployments\n{begin}\n{end}\n"
    head, rest = page.split(begin)
    PAGE.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def measure(folder: Path, options: argparse.Namespace) -> dict[str, list[tuple[float, list[Answer]]]]:
    """Return for each phase its rounds: the answers, and the seconds until all came from the wanted version."""
    from delivery.deploy.targets import loopback, process, proxy, slots

    project, home = folder / "project", folder / "state"
    port = loopback.free_port()
    prepare(project, home, port)
    phases: dict[str, list[tuple[float, list[Answer]]]] = {}
    try:
        verb(project, "deploy", "1", NAME)
        with load(port, folder / "answers", options) as answers:
            for turn in range(options.rounds):
                for phase, words, wanted in PHASES:
                    quiet = "quiet"
                    begun = time.time()
                    if phase == quiet:
                        time.sleep(options.seconds)
                    elif phase == "rollback, cold":
                        kept = json.loads((home / NAME / "state.json").read_text())["warm"]["name"]
                        process.end(str(slots.model(home / NAME, kept)))
                        begun = time.time()
                    if words:
                        verb(project, *words)
                    ended = time.time()
                    time.sleep(0.5)
                    seen = [a for a in answers() if begun <= a.start < ended]
                    others = [a.start + a.seconds for a in seen if wanted and a.version != wanted]
                    phases.setdefault(phase, []).append((max(others, default=begun) - begun, seen))
                    print(f"round {turn + 1}: {phase}: {len(seen)} requests in {ended - begun:.1f} s", flush=True)
    finally:
        proxy.stop(home / NAME)
        for name in proxy.SLOTS:
            slots.stop(home / NAME, name, engine=False)
    return phases


PHASES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("quiet", (), ""),
    ("deploy", ("deploy", "2", NAME), "2"),
    ("rollback, warm", ("rollback", NAME, "--to", "1"), "1"),
    ("canary and promotion", ("deploy", "2", NAME, "--canary", "10%"), "2"),
    ("rollback, cold", ("rollback", NAME, "--to", "1"), "1"),
)


def prepare(project: Path, home: Path, port: int) -> None:
    """Set up a registry with two versions of the model on disk, and an environment on this machine."""
    from delivery.core import files
    from delivery.registry import registry, release
    from delivery.registry.version import Lineage

    project.mkdir()
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    place = {"target": "process", "port": port, "folder": str(home)}
    canary = {"steps": [50], "requests": 200, "slower_ms": 20.0}
    settings["deploy"] = {"environments": {NAME: place}, "canary": canary, "bake_minutes": 0}
    (project / "params.yaml").write_text(yaml.safe_dump(settings))
    for name in ("requirements/serve.txt", "requirements/sklearn.txt", "Dockerfile"):
        files.write(project / name, (ROOT / name).read_bytes())
    os.chdir(project)
    for number in ("1", "2"):
        version = project / "models" / number
        shutil.copytree(ROOT / "artifacts" / "export", version / "export")
        (version / "export" / "note.txt").write_text(number)
        release.collect(version / "export", version / "release")
        lineage = Lineage(
            release=release.digest(version), digest=files.digest(version / "export"), commit=f"c0ffee{number}"
        )
        registry.add(version, lineage, {})


def verb(project: Path, *words: str) -> None:
    command = [sys.executable, "-m", "delivery", *words]
    done = subprocess.run(
        command,
        check=False,
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}: {done.stdout[-1000:]}{done.stderr[-1000:]}")


@contextmanager
def load(port: int, file: Path, options: argparse.Namespace) -> Iterator:
    command = [sys.executable, __file__, "--connections", str(options.connections), "--rate", str(options.rate)]
    with subprocess.Popen([*command, "--ask", str(port), str(file)], start_new_session=True) as client:
        try:
            while not file.exists() or not file.stat().st_size:
                time.sleep(0.1)

            def answers() -> list[Answer]:
                return [
                    Answer(*json.loads(line))
                    for line in file.read_text().splitlines(keepends=True)
                    if line.endswith("\n")
                ]

            yield answers
        finally:
            client.terminate()


async def ask(port: int, file: Path, connections: int, rate: float) -> None:
    """Send requests from each connection at a fixed rate until stopped; a late answer does not delay the next request."""
    rows = json.loads((ROOT / "artifacts" / "export" / "examples.json").read_text())
    bodies = [json.dumps(row["request"]).encode() for row in rows]
    with file.open("a", buffering=1) as out:

        async def one(number: int) -> None:
            writer: asyncio.StreamWriter | None = None
            beat = connections / rate
            due = time.time() + beat * number / connections
            while True:
                await asyncio.sleep(max(0, due - time.time()))
                start, due = time.time(), due + beat
                body = random.choice(bodies)
                head = f"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                try:
                    if writer is None:
                        reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(head.encode() + body)
                    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                    fields = dict(line.split(": ", 1) for line in answer.splitlines()[1:] if ": " in line)
                    await reader.readexactly(int(fields["content-length"]))
                    said = fields["x-model-version"] if " 200 " in answer.splitlines()[0] else answer.splitlines()[0]
                    if fields.get("connection") == "close":
                        writer.close()
                        writer = None
                except (OSError, asyncio.IncompleteReadError) as error:
                    said, writer = type(error).__name__, None
                out.write(json.dumps([start, time.time() - start, said]) + "\n")

        await asyncio.gather(*[one(number) for number in range(connections)])


def report(phases: dict[str, list[tuple[float, list[Answer]]]], options: argparse.Namespace) -> str:
    """Return medians of the rounds, and the best: other work on the machine can only increase them."""
    lines = [
        "| phase | requests | failed | p50 ms | p99 ms, median and best | x quiet | s until all answers are the wanted version's |",
        "|---|---|---|---|---|---|---|",
    ]
    calm = of_rounds(phases["quiet"])
    for phase, rounds in phases.items():
        seen = [answer for _, part in rounds for answer in part]
        failed = sum(answer.version not in ("1", "2") for answer in seen)
        late = of_rounds(rounds)
        took = (
            "-"
            if phase == "quiet"
            else f"{statistics.median(s for s, _ in rounds):.2f}, worst {max(s for s, _ in rounds):.2f}"
        )
        lines.append(
            f"| {phase} | {len(seen)} | {failed} | {statistics.median(quantile(part, 50) for _, part in rounds):.2f} "
            f"| {late[0]:.2f}, {late[1]:.2f} | {late[0] / calm[0]:.2f}, {late[1] / calm[1]:.2f} | {took} |"
        )
    said = f"`.venv/bin/python benchmarks/deploy.py --rounds {options.rounds} --rate {options.rate:g}`: {options.connections} connections, "
    return "\n".join([*lines, "", f"{said}{options.rate:g} requests a second in all, {options.rounds} rounds."])


def of_rounds(rounds: list[tuple[float, list[Answer]]]) -> tuple[float, float]:
    """Return median and best of the rounds' p99."""
    late = [quantile(part, 99) for _, part in rounds]
    return statistics.median(late), min(late)


def quantile(seen: list[Answer], share: int) -> float:
    return 1e3 * statistics.quantiles([answer.seconds for answer in seen], n=100)[share - 1]


if __name__ == "__main__":
    main()
