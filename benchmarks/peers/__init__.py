"""The services that this one is measured against, each as its own documentation writes it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
UVICORN = ["-m", "uvicorn", "--no-access-log", "--no-server-header", "--no-date-header", "--log-level", "error"]


class Peer(NamedTuple):
    title: str
    packages: tuple[str, ...]  # of an environment of its own; none: the project's
    command: Callable[[Path, int, Path], list[str]]  # python, port, folder with the model
    path: str
    wrap: Callable[[list[dict[str, Any]]], Any]  # rows to the body that it takes
    ours: bool = False  # takes the service's requests, the others take the model's features


def one_or_many(rows: list[dict[str, Any]]) -> Any:
    return rows[0] if len(rows) == 1 else rows


def v2(rows: list[dict[str, Any]]) -> Any:
    return {"inputs": [{"name": "rows", "shape": [1], "datatype": "BYTES", "data": [json.dumps(rows)]}]}


def serve(python: Path, port: int, folder: Path, *more: str) -> list[str]:
    words = ["-m", "delivery.service", "--model", str(folder / "export"), "--port", str(port), *more]
    return [str(python), *words]


def uvicorn(app: str) -> Callable[[Path, int, Path], list[str]]:
    return lambda python, port, _: [str(python), *UVICORN, "--app-dir", str(HERE), "--port", str(port), app]


def script(name: str) -> Callable[[Path, int, Path], list[str]]:
    return lambda python, port, _: [str(python), str(HERE / name), str(port)]


def mlflow(python: Path, port: int, folder: Path) -> list[str]:
    words = ["-m", "mlflow", "models", "serve", "--env-manager", "local", "--workers", "1"]
    return [str(python), *words, "--model-uri", str(folder / "mlflow"), "--port", str(port)]


def bento(python: Path, port: int, _: Path) -> list[str]:
    return [str(python), "-m", "bentoml", "serve", "bento:Flights", "--working-dir", str(HERE), "--port", str(port)]


def mlserver(python: Path, port: int, folder: Path) -> list[str]:
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": port + 500, "metrics_port": port + 600}
    (folder / "mlserver").mkdir(exist_ok=True)
    (folder / "mlserver" / "settings.json").write_text(json.dumps(settings | {"parallel_workers": 0, "debug": False}))
    model = {"name": "flights", "implementation": "mlserver_model.Flights"}
    (folder / "mlserver" / "model-settings.json").write_text(json.dumps(model))
    return [str(python.parent / "mlserver"), "start", str(folder / "mlserver")]


PEERS = {
    "service": Peer("this service", (), serve, "/predict", one_or_many, ours=True),
    "logging": Peer(
        "this service with its prediction log",
        (),
        lambda python, port, folder: serve(python, port, folder, "--log", str(folder / "log")),
        "/predict",
        one_or_many,
        ours=True,
    ),
    "empty": Peer("empty FastAPI endpoint", (), uvicorn("empty:app"), "/predict", one_or_many, ours=True),
    "raw": Peer("empty ASGI application", (), uvicorn("empty:raw"), "/predict", one_or_many, ours=True),
    "everyday": Peer("FastAPI, pydantic, pandas, scikit-learn", (), uvicorn("everyday:app"), "/predict", one_or_many),
    "mlflow": Peer("mlflow models serve", (), mlflow, "/invocations", lambda rows: {"dataframe_records": rows}),
    "bentoml": Peer("BentoML", ("bentoml",), bento, "/predict", lambda rows: {"rows": rows}),
    "litserve": Peer("LitServe", ("litserve",), script("lit.py"), "/predict", lambda rows: {"rows": rows}),
    "mlserver": Peer("MLServer", ("mlserver",), mlserver, "/v2/models/flights/infer", v2),
    "ray": Peer("Ray Serve", ("ray[serve]",), script("rayserve.py"), "/predict", lambda rows: {"rows": rows}),
}
