"""The HTTP face of the notify service: it takes messages of the platform and of Alertmanager."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from services.common.answers import add_error_answers
from services.common.bearer import Bearer
from services.common.errors import InvalidInput, TooLarge
from services.common.hosts import KnownHosts
from services.notify.alerts import parse_alerts
from services.notify.channels import open_channels
from services.notify.courier import Courier
from services.notify.message import Message, parse_message
from services.notify.outbox import Outbox
from services.notify.settings import NotifySettings
from services.notify.telemetry import exposition

MOST_MESSAGE_BYTES, MOST_ALERT_BYTES = 64 << 10, 1 << 20
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_BODY = {"requestBody": {"required": True, "content": {"application/json": {}}}}


def create_app(settings: NotifySettings) -> FastAPI:
    """The application; the outbox is opened when it starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        outbox = Outbox(settings.state_dir / "outbox.sqlite", settings.most_waiting)
        app.state.courier = Courier(settings, outbox, open_channels(settings))
        app.state.courier.start()
        yield
        await run_in_threadpool(app.state.courier.close)

    app = FastAPI(title="Rookery notify", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_answers(app)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts())
    _add_taking(app, Bearer(settings.token, "messages are taken from those who know the token"))
    _add_operation(app)
    return app


def _add_taking(app: FastAPI, bearer: Bearer) -> None:
    known = [Depends(bearer)]

    @app.post("/messages", summary="Take a message", status_code=202, openapi_extra=_BODY, dependencies=known)
    async def messages(request: Request) -> JSONResponse:
        data = await _body(request, MOST_MESSAGE_BYTES)
        message = parse_message(data)
        key = request.headers.get("idempotency-key") or hashlib.sha256(data).hexdigest()
        if not _KEY.fullmatch(key):
            raise InvalidInput("this is no idempotency key", value=key, allowed="128 letters without blanks")
        return await _take(request, key, message)

    @app.post(
        "/alerts",
        summary="Take a notification of Alertmanager",
        status_code=202,
        openapi_extra=_BODY,
        dependencies=known,
    )
    async def alerts(request: Request) -> JSONResponse:
        return await _take(request, *parse_alerts(await _body(request, MOST_ALERT_BYTES)))

    @app.get("/messages", summary="The newest messages and what became of them", dependencies=known)
    def latest(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=500, description="how many")] = 50,
    ) -> list[dict[str, Any]]:
        return _courier(request).outbox.latest(limit)


def _add_operation(app: FastAPI) -> None:
    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="The outbox can be read")
    def readyz(request: Request) -> dict[str, str]:
        _courier(request).outbox.counts()
        return {"status": "ready"}

    @app.get("/metrics", summary="Counters for Prometheus")
    def metrics(request: Request) -> Response:
        courier = _courier(request)
        content = exposition(courier.outbox, [channel.name for channel in courier.channels])
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _take(request: Request, key: str, message: Message) -> JSONResponse:
    fresh = await run_in_threadpool(_courier(request).take, key, message)
    return JSONResponse({"key": key, "fresh": fresh}, 202)


def _courier(request: Request) -> Courier:
    courier = request.app.state.courier
    assert isinstance(courier, Courier)
    return courier


async def _body(request: Request, most: int) -> bytes:
    """The JSON of a request; a page in a browser cannot send this type to us without being asked first."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InvalidInput("the body must be JSON", allowed="Content-Type: application/json")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise TooLarge("the body is too large", allowed=f"{most:,} bytes")
    return bytes(data)
