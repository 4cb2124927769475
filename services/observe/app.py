"""The HTTP face of the observe service: figures of the pipeline, and the list of processes that Prometheus scrapes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from services.common.answers import add_error_answers
from services.common.errors import Unavailable
from services.common.hosts import KnownHosts
from services.observe.reader import Reader
from services.observe.settings import ObserveSettings
from services.observe.telemetry import exposition


def create_app(settings: ObserveSettings) -> FastAPI:
    """The application; reading begins when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.reader = Reader(settings)
        app.state.reader.start()
        yield
        await run_in_threadpool(app.state.reader.close)

    app = FastAPI(title="Rookery observe", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_answers(app)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts())

    @app.get("/targets", summary="Processes with /metrics, for Prometheus' HTTP service discovery")
    def targets(request: Request) -> list[dict[str, Any]]:
        if not _reader(request).up["git"] and not _reader(request).pipelines:
            # An error keeps the list that Prometheus has; an empty answer would empty it.
            raise Unavailable("git was not read yet")
        return _reader(request).targets()

    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Git was read")
    async def readyz(request: Request) -> dict[str, str]:
        if not _reader(request).read["git"]:
            raise Unavailable("git was not read yet")
        return {"status": "ready"}

    @app.get("/metrics", summary="Figures of the pipeline for Prometheus")
    def metrics(request: Request) -> Response:
        content = exposition(_reader(request))
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


def _reader(request: Request) -> Reader:
    reader = request.app.state.reader
    assert isinstance(reader, Reader)
    return reader
