"""Build the application: its own endpoint for /predict, FastAPI for health, version, metrics and documentation."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client import generate_latest as exposition
from starlette.exceptions import HTTPException

from delivery.model import runtime
from delivery.service import openapi
from delivery.service.access import Tokens
from delivery.service.log import Log, Retention
from delivery.service.metrics import Metrics, Public
from delivery.service.predict import Limits, Message, Predict, Receive, Send
from delivery.service.problems import CONTENT_TYPE, Problem
from delivery.service.recorder import Recorder
from problem import FEATURES


class About(Struct, frozen=True):
    """The parts of /version that are given at the start; the rest comes from the model's manifest."""

    version: str = ""  # of the model in the registry; if empty, the start of the model file's digest is used
    commit: str = ""
    data: str = ""  # digest of the data


class App:
    """The ASGI application; the server and the tests use `predict` and `recorder`."""

    def __init__(
        self,
        folder: Path,
        about: About,
        limits: Limits,
        tokens: Tokens,
        log_folder: Path | None = None,
        retention: Retention = Retention(),
    ):
        """Load the model and score one row, so that the first request finds it warm."""
        model = runtime.load(folder)
        manifest = model.manifest
        version = about.version or manifest.sha256[:12]
        self.about: dict[str, str | list[str]] = {
            "version": version,
            "commit": about.commit,
            "data": about.data,
            "model_sha256": manifest.sha256,
            "runtime": manifest.runtime,
            "trained_on": manifest.trained_on,
            "features": manifest.features,
            "classes": manifest.classes,
        }
        info = {name: str(self.about[name]) for name in ("version", "commit", "data", "model_sha256", "runtime")}
        log = Log(log_folder, version, retention) if log_folder else None
        self.recorder = Recorder(Metrics(info, model, log, tolerant=limits.unknown_fields != "refuse"), log)
        self.predict = Predict(model, version, limits, tokens, self.recorder)
        self.api = _api(self, limits, tokens)
        model.one((None,) * len(FEATURES))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass /predict to its own endpoint, and everything else to FastAPI."""
        if scope["type"] == "http" and scope["path"] == "/predict":
            await self.predict(scope, receive, send)
        else:
            await self.api(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Run the recorder while the application runs."""
        self.recorder.start()
        gc.collect()
        gc.freeze()  # objects alive now stay alive, so that the collector need not visit them again,
        gc.set_threshold(50_000, 20, 20)  # nor run often because of requests that wait for the recorder
        yield
        await asyncio.to_thread(self.recorder.stop)


def _api(app: App, limits: Limits, tokens: Tokens) -> FastAPI:
    """Return the FastAPI application of everything but /predict, which it only describes."""
    api = FastAPI(title="Predictions", version=str(app.about["version"]), lifespan=app.lifespan)
    whole, public = CollectorRegistry(), CollectorRegistry()
    for collector in (app.recorder.metrics, ProcessCollector(registry=None), PlatformCollector(registry=None)):
        whole.register(collector)
    public.register(Public(app.recorder.metrics))
    public.register(ProcessCollector(registry=None))

    def has_token(request: Request) -> bool:
        return tokens.allow(request.headers.get("authorization", "").encode())

    def allowed(request: Request) -> None:
        if not has_token(request):
            raise Problem(
                401, "a bearer token is needed: `Authorization: Bearer <token>`", {"www-authenticate": "Bearer"}
            )

    @api.get("/health/live", tags=["health"], summary="The process answers")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @api.get("/health/ready", tags=["health"], summary="Send requests here", responses={503: openapi.PROBLEM})
    async def ready() -> dict[str, str]:
        if app.predict.draining:
            raise Problem(503, "shutting down", {"retry-after": "1"})
        return {"status": "ready"}

    @api.get(
        "/version",
        tags=["model"],
        summary="What is being served",
        dependencies=[Depends(HTTPBearer(auto_error=False)), Depends(allowed)] if tokens else [],
        responses={401: openapi.PROBLEM} if tokens else {},
    )
    async def version() -> dict[str, Any]:
        return app.about

    @api.get("/metrics", tags=["health"], summary="Prometheus metrics", response_class=Response)
    def metrics(request: Request) -> Response:
        app.recorder.flush()
        return Response(exposition(whole if has_token(request) else public), media_type=CONTENT_TYPE_LATEST)

    _describe_predict(api, limits, guarded=bool(tokens))
    _answer_problems(app, api)
    return api


def _describe_predict(api: FastAPI, limits: Limits, *, guarded: bool) -> None:
    describe = api.openapi

    def full() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = openapi.with_predict(describe(), limits, guarded)
        return api.openapi_schema

    api.openapi = full  # type: ignore[method-assign]


def _answer_problems(app: App, api: FastAPI) -> None:
    """Give every error of the FastAPI part the same form as those of /predict."""

    def respond(problem: Problem) -> Response:
        headers = problem.headers | {"content-type": CONTENT_TYPE.decode()}
        return Response(problem.body(app.predict.new_id().decode()), problem.status, headers)

    @api.exception_handler(Problem)
    async def own(_: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        return respond(problem)

    @api.exception_handler(HTTPException)
    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return respond(Problem(error.status_code, str(error.detail), dict(error.headers or {})))

    @api.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: Exception) -> Response:
        return respond(Problem(422, " ".join(str(error).split())))
