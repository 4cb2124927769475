"""The HTTP face of the arbiter: it takes events, and shows what was decided and why."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from services.arbiter.arbiter import Arbiter
from services.arbiter.engines import open_engine
from services.arbiter.facts import Facts
from services.arbiter.settings import ArbiterSettings
from services.arbiter.store import Store, quarantined
from services.arbiter.telemetry import exposition
from services.common.answers import add_error_answers
from services.common.bearer import Bearer
from services.common.bounded import BoundedBody
from services.common.errors import InvalidInput, Unavailable
from services.common.hosts import KnownHosts
from services.common.names import check_name

_JSON = "application/json"
_STUCK_SECONDS = 120.0
_MOST_BYTES = 64 << 10
Application = Annotated[str, Query(max_length=40, description="only of this application; empty: of all")]
About = Annotated[int, Query(ge=0, lt=1 << 63, description="only about this event; 0: about any")]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many, the newest first")]


class EventBody(BaseModel):
    """Something that may be a reason to train."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["data", "code", "drift", "labels", "schedule", "manual"]
    application: str = Field(max_length=40)
    subject: str = Field("", max_length=400, description="digest, commit or window that it is about")
    detail: dict[str, Any] = Field(
        default_factory=dict,
        description="`source`: train on this from now on; `parameters`: of train-model; `force`; anything for people",
    )
    by: str = Field("", max_length=200, description="who says so")


class QuarantineBody(BaseModel):
    """Data that nobody shall train on."""

    model_config = ConfigDict(extra="forbid")

    application: str = Field(max_length=40)
    data: str = Field(max_length=100, description="digest of the dataset")
    reason: str = Field("", max_length=400)
    by: str = Field("", max_length=200)
    release: bool = Field(False, description="let them go again")


def create_app(settings: ArbiterSettings) -> FastAPI:
    """The application; the database is opened, and deciding begins, when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        store = Store(settings.database.get_secret_value())
        app.state.arbiter = Arbiter(settings, store, Facts(settings), open_engine(settings))
        app.state.arbiter.start()
        yield
        await run_in_threadpool(app.state.arbiter.close)
        store.close()

    app = FastAPI(title="Rookery arbiter", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_answers(app)
    app.add_middleware(BoundedBody, most_bytes=_MOST_BYTES)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts())
    bearer = Bearer(settings.token, "the arbiter listens to those who know the token")

    def known(request: Request) -> None:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if request.method == "POST" and request.headers.get("content-length", "0") != "0" and kind != _JSON:
            # A page of another site cannot send this type without asking first.
            raise InvalidInput("the body must be JSON", value=kind, allowed=f"Content-Type: {_JSON}")
        bearer(request)

    _add_taking(app, known)
    _add_answers(app, known)
    _add_operation(app)
    return app


def _add_taking(app: FastAPI, known: Any) -> None:
    checks = [Depends(known)]

    @app.post("/events", summary="Take an event", status_code=202, dependencies=checks)
    def take(request: Request, event: EventBody) -> dict[str, int]:
        arbiter = _arbiter(request)
        return {"event": arbiter.take(event.kind, event.application, event.subject, event.detail, event.by)}

    @app.post(
        "/look", summary="Compare an application's data and code with those seen last", dependencies=checks
    )
    def look(request: Request, application: Annotated[str, Query(max_length=40)]) -> dict[str, list[int]]:
        return {"events": _arbiter(request).look(check_name(application))}

    @app.post("/quarantine", summary="Keep data from being trained on", status_code=202, dependencies=checks)
    def quarantine(request: Request, body: QuarantineBody) -> dict[str, str]:
        _arbiter(request).quarantine(body.application, body.data, body.reason, body.by, release=body.release)
        return {"data": body.data, "state": "released" if body.release else "in quarantine"}


def _add_answers(app: FastAPI, known: Any) -> None:
    checks = [Depends(known)]

    @app.get("/decisions", summary="What was decided, with rule and reason", dependencies=checks)
    def decisions(
        request: Request, application: Application = "", limit: Limit = 100, event: About = 0
    ) -> list[dict[str, Any]]:
        return _arbiter(request).store.decisions(application, limit, event)

    @app.get("/events", summary="What was heard", dependencies=checks)
    def events(request: Request, application: Application = "", limit: Limit = 100) -> list[dict[str, Any]]:
        return _arbiter(request).store.events(application, limit)

    @app.get("/quarantine", summary="Data that nobody trains on", dependencies=checks)
    def quarantine(request: Request, application: Annotated[str, Query(max_length=40)]) -> dict[str, str]:
        return quarantined(_arbiter(request).store.seen(check_name(application)))


def _add_operation(app: FastAPI) -> None:
    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="The database can be read, and somebody decides")
    def readyz(request: Request) -> dict[str, str]:
        arbiter = _arbiter(request)
        arbiter.store.open_count()
        if time.monotonic() - arbiter.last_round > _STUCK_SECONDS:
            raise Unavailable("nothing was decided for two minutes")
        return {"status": "ready"}

    @app.get("/metrics", summary="Counters for Prometheus")
    def metrics(request: Request) -> Response:
        content = exposition(_arbiter(request))
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


def _arbiter(request: Request) -> Arbiter:
    arbiter = request.app.state.arbiter
    assert isinstance(arbiter, Arbiter)
    return arbiter
