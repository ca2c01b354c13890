"""Print the structure of src/ and exit 1 where it misses its targets: `make structure`.

A room is a package of delivery (a sub-package counts as a room of its own), or a module that stands outside all packages.
An arrow joins two rooms when a module of one imports a module of the other. Floors are the layers of pyproject.toml's
import contract, and the floor of `problem`.
"""

import sys
import tomllib
from collections import Counter
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
FLOORS, SHARE, OUTSIDE = 9, 0.15, {"__init__", "__main__", "run"}


def floors() -> list[list[str]]:
    """Return the rooms of each floor, lowest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = [[f"delivery.{room.strip()}" for room in layer.split("|")] for layer in reversed(layers)]
    return [["problem"], *named]


def main() -> int:
    graph = grimp.build_graph("delivery", "problem")
    levels = {room: level for level, rooms in enumerate(floors()) for room in rooms}
    packages = {module for module in graph.modules if graph.find_children(module)} - {"delivery"}

    def room(module: str) -> str:
        """Return the innermost package of a module, or the module itself outside all packages."""
        return max((package for package in packages if f"{module}.".startswith(f"{package}.")), key=len, default=module)

    def level(room: str) -> int:
        return next(level for name, level in levels.items() if f"{room}.".startswith(f"{name}."))

    sizes: Counter[str] = Counter()
    for module in graph.modules:
        path = ROOT / "src" / module.replace(".", "/")
        lines = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text().count("\n")
        sizes[room(module)] += lines
    arrows = {
        (room(module), room(imported))
        for module in graph.modules - {"delivery"}
        for imported in graph.find_modules_directly_imported_by(module)
        if room(imported) not in (room(module), "delivery")
    }
    upwards = sorted((one, other) for one, other in arrows if level(one) < level(other))
    sideways = sorted((one, other) for one, other in arrows if {(one, other), (other, one)} <= arrows)
    largest, lines = sizes.most_common(1)[0]
    share = lines / sizes.total()
    outside = {path.stem for path in (ROOT / "src" / "delivery").glob("*.py")} - OUTSIDE
    for number, rooms in reversed(list(enumerate(floors(), start=1))):
        print(f"floor {number}: " + ", ".join(f"{name.removeprefix('delivery.')} ({sizes[name]})" for name in rooms))
    print(f"rooms {len(sizes) - 1}, floors {len(floors())}, arrows {len(arrows)}, lines {sizes.total():,}")
    print(f"imports upwards: {len(upwards)}; rooms that import each other: {len(sideways)}")
    print(
        f"largest room: {largest} {share:.1%} (at most {SHARE:.0%}); modules outside the rooms: {sorted(outside) or 'none'}"
    )
    for one, other in {*upwards, *sideways}:
        print(f"not allowed: {one} imports {other}")
    return int(bool(upwards or sideways or outside) or share > SHARE or len(floors()) > FLOORS)


if __name__ == "__main__":
    sys.exit(main())
