"""The HTTP face of labelling: the queue, inputs for those who label, and a bell for Label Studio."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from services.common.answers import add_error_answers
from services.common.bearer import Bearer
from services.common.bounded import BoundedBody
from services.common.errors import Refused, RookeryError
from services.common.hosts import KnownHosts
from services.common.names import check_name
from services.data.dataset import Dataset
from services.data.store import ObjectStoreSettings
from services.labels.book import Book
from services.labels.clerk import Clerk
from services.labels.desk import Desk, FolderDesk
from services.labels.media import CONTENT_TYPES, Media
from services.labels.office import Office, Place
from services.labels.settings import LabelsSettings
from services.labels.sources import applications, load_base
from services.labels.standing import standing
from services.labels.studio import LateDesk
from services.labels.telemetry import exposition
from services.monitor.archive import Archive
from services.monitor.objects import Objects, open_objects
from services.serve.ids import find_key

Application = Annotated[str, Query(max_length=40, description="name of an application")]
_COUNTED_SECONDS = 60.0
_MOST_BYTES = 64 << 10
_RANGE = re.compile("bytes=([0-9]{1,18})-([0-9]{0,18})")
_SHOWN = {
    "Cache-Control": "private, max-age=86400",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class ClassBody(BaseModel):
    """A class that the dataset does not have yet."""

    model_config = ConfigDict(extra="forbid")

    application: str = Field(max_length=40)
    name: str = Field(min_length=1, max_length=120, description="as people wrote it")
    by: str = Field(min_length=1, max_length=100, description="who allows it")


class Service:
    """What the routes share."""

    def __init__(self, settings: LabelsSettings, store: ObjectStoreSettings) -> None:
        self.settings = settings
        self._queues: list[dict[str, Any]] = []
        self._counted = -_COUNTED_SECONDS
        folder = settings.state_dir
        folder.mkdir(parents=True, exist_ok=True)
        key = find_key("", folder)

        def datasets(application: str) -> tuple[Objects, str]:
            place = settings.dataset_place(application)
            return open_objects(place, store), place

        def base(application: str) -> Dataset:
            place = settings.dataset_place(application)
            return load_base(settings.applications_dir, application, place, store, settings.cache_dir)

        self.book = Book(folder / "book.sqlite")
        self.media = Media(folder / "inputs", key)
        place = Place(
            book=self.book,
            media=self.media,
            desk=_desk(settings),
            archive=lambda: Archive(open_objects(settings.monitor_store, store)),
            datasets=datasets,
            base=base,
            key=key,
            public_url=settings.address(),
        )
        self.office = Office(place, settings.rules(), environment=settings.environment)
        self.clerk = Clerk(
            self.office,
            lambda: applications(settings.applications_dir),
            choose_seconds=settings.choose_seconds,
            poll_seconds=settings.poll_seconds,
            quiet_seconds=settings.quiet_seconds,
            arbiter=(settings.arbiter_url.rstrip("/"), settings.arbiter_token.get_secret_value()),
        )

    def queues(self) -> list[dict[str, Any]]:
        """How all applications stand, at most a minute ago: with many tasks it takes a second."""
        if time.monotonic() - self._counted > _COUNTED_SECONDS:
            found = []
            for name in self.book.applications():
                try:
                    found.append(standing(self.office, name))
                except RookeryError:
                    # Such as a version that cannot be read: the figures of the others, and our own, are wanted still.
                    continue
            self._queues, self._counted = found, time.monotonic()
        return self._queues

    def close(self) -> None:
        """End the thread, then close the book."""
        self.clerk.close()
        self.book.close()


def create_app(settings: LabelsSettings, store: ObjectStoreSettings | None = None) -> FastAPI:
    """The application; `store` is the object store that `s3://` stands for."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(settings, store or ObjectStoreSettings.read())
        app.state.service.clerk.start()
        yield
        await run_in_threadpool(app.state.service.close)

    app = FastAPI(title="Rookery labels", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_answers(app)
    app.add_middleware(BoundedBody, most_bytes=_MOST_BYTES)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts())
    bearer = Bearer(settings.token, "labelling is for those who know the token")
    _add_queue(app, bearer)
    _add_changes(app, bearer)
    _add_media(app)
    _add_operation(app)
    return app


def _add_queue(app: FastAPI, bearer: Bearer) -> None:
    known = [Depends(bearer)]

    @app.get(
        "/queue",
        summary="How labelling stands, and accuracy in production with its interval",
        dependencies=known,
    )
    def queue(request: Request, application: Application) -> dict[str, Any]:
        service = _service(request)
        return standing(service.office, application) | {"url": service.settings.studio_address()}

    @app.get(
        "/applications",
        summary="Names of the applications that inputs are chosen for",
        dependencies=known,
    )
    def names(request: Request) -> list[str]:
        return applications(_service(request).settings.applications_dir)


def _add_changes(app: FastAPI, bearer: Bearer) -> None:
    def check(request: Request) -> None:
        origin = request.headers.get("origin")
        elsewhere = origin is not None and origin.partition("://")[2] != request.headers.get("host", "")
        if elsewhere or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise _Elsewhere("a page of another site sent this")
        bearer(request)

    guarded = [Depends(check)]

    @app.post(
        "/choose", summary="Choose inputs from what was served since the last time", dependencies=guarded
    )
    def choose(request: Request, application: Application) -> dict[str, Any]:
        chosen = _service(request).clerk.choose(check_name(application))
        return {"application": application, "chosen": chosen}

    @app.post(
        "/sync",
        summary="Lay tasks on the desk, bring answers home, publish what people agree on",
        dependencies=guarded,
    )
    def sync(request: Request, application: Application) -> dict[str, Any]:
        return _service(request).clerk.sync(check_name(application))

    @app.post(
        "/classes", summary="Let a name that people gave be a class", status_code=201, dependencies=guarded
    )
    def allow(request: Request, body: Annotated[ClassBody, Body()]) -> dict[str, Any]:
        name = _service(request).office.allow(body.application, body.name, body.by)
        return {"application": body.application, "name": name}

    @app.post("/desk", summary="Somebody answered: look soon", status_code=202, dependencies=guarded)
    async def bell(request: Request) -> dict[str, str]:
        """What it says is not believed: the desk is asked."""
        _service(request).clerk.wake()
        return {"status": "taken"}


def _add_media(app: FastAPI) -> None:
    @app.get("/media/{digest}", summary="An input of a task, by its signed address", response_class=Response)
    def given(request: Request, digest: str, signature: Annotated[str, Query(max_length=64)]) -> Response:
        media = _service(request).media
        media.check(digest, signature)
        data, media_type = media.read(digest)
        return _ranged(request, data, CONTENT_TYPES[media_type])

    @app.get("/media/{digest}/spectrogram", summary="A picture of a sound of a task", response_class=Response)
    def spectrogram(
        request: Request, digest: str, signature: Annotated[str, Query(max_length=64)]
    ) -> Response:
        media = _service(request).media
        media.check(digest, signature)
        return Response(media.spectrogram(digest), media_type="image/png", headers=_SHOWN)


def _add_operation(app: FastAPI) -> None:
    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="The state can be read; whether the desk answers is said, not required")
    def readyz(request: Request) -> dict[str, str]:
        service = _service(request)
        service.book.applications()
        return {"status": "ready", "trouble": service.clerk.trouble}

    @app.get("/metrics", summary="Counters for Prometheus")
    def metrics(request: Request) -> Response:
        service = _service(request)
        content = exposition(service.clerk, service.queues())
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


class _Elsewhere(Refused):
    """A browser that shows another site."""

    code = "cross-site"
    status = 403


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _desk(settings: LabelsSettings) -> Desk:
    if settings.desk is not None:
        return FolderDesk(settings.desk)
    hook = (f"{settings.address()}/desk", settings.token.get_secret_value()) if settings.hook else None
    return LateDesk(settings.studio_url, settings.find_token, blind=settings.blind, hook=hook)


def _ranged(request: Request, data: bytes, content_type: str) -> Response:
    """The bytes, or the one range of them that a player asks for (RFC 9110, 14.2)."""
    headers = {**_SHOWN, "Accept-Ranges": "bytes"}
    said = request.headers.get("range", "")
    found = _RANGE.fullmatch(said)
    if found is None:
        return Response(data, media_type=content_type, headers=headers)
    begin, end = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
    if begin >= len(data) or end < begin:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {begin}-{end}/{len(data)}"
    return Response(data[begin : end + 1], 206, headers, content_type)
