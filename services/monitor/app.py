"""The HTTP face of the monitor: it takes the log of the servers, and says what has changed and what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from services.common.answers import add_error_answers
from services.common.bearer import Bearer
from services.common.errors import InvalidInput, TooLarge
from services.common.hosts import KnownHosts
from services.common.names import check_name
from services.data.store import ObjectStoreSettings
from services.monitor.archive import Archive
from services.monitor.canary import asked_questions, judge_canary
from services.monitor.charts import histograms as numbers
from services.monitor.keeper import MOST_INPUT_BYTES, Keeper
from services.monitor.objects import open_objects
from services.monitor.pictures import picture_of
from services.monitor.report import (
    PAGE_HEADERS,
    PICTURE_HEADERS,
    drift_page,
    index_page,
    judge_page,
    shadow_page,
)
from services.monitor.segment import MOST_BYTES
from services.monitor.settings import MonitorSettings
from services.monitor.shadow import compare_shadow
from services.monitor.telemetry import Gauges, exposition
from services.monitor.watch import Watch
from services.monitor.windows import Window, compare_window
from services.monitor.writers import Writers

_DAY = timedelta(days=1)
_MOST_JUDGED = timedelta(days=31)
_MOST_SHOWN = 20
_PUT = {"requestBody": {"required": True, "content": {"application/octet-stream": {}}}}
Application = Annotated[str, Query(max_length=40, description="name of an application")]
Environment = Annotated[str, Query(max_length=40, description="name of an environment")]
Begin = Annotated[datetime | None, Query(alias="from", description="begin, ISO 8601; a day before the end")]
End = Annotated[datetime | None, Query(alias="to", description="end, ISO 8601; now")]
Version = Annotated[str, Query(max_length=40, description="model version; empty: the one most used")]

Without = Annotated[
    str,
    Query(max_length=100, description="questions that do not count, such as disagreement, joined by commas"),
]


@dataclass(frozen=True)
class Asked:
    """Whose answers a query asks for, and of when."""

    application: Application
    environment: Environment = "production"
    begin: Begin = None
    end: End = None
    version: Version = ""


@dataclass(frozen=True)
class AskedPair:
    """Which two environments a query compares, and when."""

    application: Application
    canary: Environment = "canary"
    production: Environment = "production"
    begin: Begin = None
    end: End = None
    version: Version = ""

    def span(self) -> tuple[datetime, datetime]:
        """Begin and end of what is compared.

        Raises:
            InvalidInput: a name that is none, one environment twice, or a window of no or more than 31 days.
        """
        check_name(self.application)
        check_name(self.canary, "environment"), check_name(self.production, "environment")
        if self.canary == self.production:
            raise InvalidInput("canary and production are the same environment", value=self.canary)
        begin, end = _span(self.begin, self.end)
        if not timedelta() < end - begin <= _MOST_JUDGED:
            raise InvalidInput("the window is empty or too long", value=str(end - begin), allowed="31 days")
        return begin, end


One = Annotated[Asked, Depends()]
Two = Annotated[AskedPair, Depends()]


class Service:
    """What the routes share."""

    def __init__(self, settings: MonitorSettings, store: ObjectStoreSettings) -> None:
        self.settings = settings
        self.archive = Archive(open_objects(settings.store, store))
        self.keeper = Keeper(self.archive, settings)
        self.gauges = Gauges()
        self.watch = Watch(
            self.archive.environments,
            self._latest,
            settings.watch_seconds,
            settings.arbiter_url,
            settings.arbiter_token,
        )

    def _latest(self, application: str, environment: str, begin: datetime, end: datetime) -> Window:
        thresholds = self.settings.thresholds()
        window = compare_window(self.archive, application, environment, begin, end, thresholds)
        self.gauges.saw(window)
        return window

    def window(
        self, asked: Asked, baseline: tuple[datetime | None, datetime | None] = (None, None)
    ) -> Window:
        """A comparison; the metrics tell of the last one that any reader would get who asks for nothing else."""
        check_name(asked.application), check_name(asked.environment, "environment")
        given = [at for at in baseline if at is not None]
        if len(given) == 1:
            raise InvalidInput("a baseline has a begin and an end", allowed="baseline-from and baseline-to")
        other = (_aware(given[0]), _aware(given[1])) if given else None
        window = compare_window(
            self.archive,
            asked.application,
            asked.environment,
            *_span(asked.begin, asked.end),
            self.settings.thresholds(),
            version=asked.version,
            baseline=other,
        )
        if other is None and asked == Asked(asked.application, asked.environment):
            self.gauges.saw(window)
        return window

    def judge(self, asked: AskedPair, without: str = "") -> dict[str, Any]:
        """The verdict on a canary; `without` are questions that do not count, joined by commas.

        Raises:
            InvalidInput: as `AskedPair.span`, or a question that must count.
        """
        return judge_canary(
            self.archive,
            asked.application,
            asked.canary,
            asked.production,
            *asked.span(),
            version=asked.version,
            slow_quantile=self.settings.slow_quantile,
            slow_floor=self.settings.slow_floor_seconds,
            policy=self.settings.policy(),
            questions=asked_questions(without),
        )

    def shadow(self, asked: AskedPair) -> dict[str, Any]:
        """What both said of the same inputs. Raises InvalidInput as `AskedPair.span`."""
        found = compare_shadow(
            self.archive,
            asked.application,
            asked.canary,
            asked.production,
            *asked.span(),
            version=asked.version,
        )
        return found.as_dict()


def create_app(settings: MonitorSettings, store: ObjectStoreSettings | None = None) -> FastAPI:
    """The application; `store` is the object store that `s3://` stands for."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(settings, store or ObjectStoreSettings.read())
        app.state.service.keeper.start()
        app.state.service.watch.start()
        yield
        await run_in_threadpool(app.state.service.watch.close)
        await run_in_threadpool(app.state.service.keeper.close)

    app = FastAPI(title="Rookery monitor", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_answers(app)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts())
    reads = Bearer(settings.token, "what was served is told to those who know the token", people=True)
    _add_taking(app, Writers(settings.token))
    _add_answers(app, reads)
    _add_pages(app, reads)
    _add_operation(app)
    return app


def _add_taking(app: FastAPI, writers: Writers) -> None:
    takes: dict[str, Any] = {"status_code": 201, "openapi_extra": _PUT, "dependencies": [Depends(writers)]}

    @app.put("/segments/{name}", summary="Take a segment of a prediction log", **takes)
    async def segment(request: Request, name: str, environment: str = Depends(writers)) -> dict[str, str]:
        data = await _body(request, MOST_BYTES)
        keeper = _service(request).keeper
        return {"segment": await run_in_threadpool(keeper.take_segment, data, environment)}

    @app.put("/references/{name}", summary="Take the reference of a bundle", **takes)
    async def reference(request: Request, name: str) -> dict[str, str]:
        data = await _body(request, MOST_BYTES)
        return {"bundle_digest": await run_in_threadpool(_service(request).keeper.take_reference, data)}

    @app.put("/inputs/{digest}", summary="Take an input under its digest", **takes)
    async def given(request: Request, digest: str) -> dict[str, str]:
        data = await _body(request, MOST_INPUT_BYTES)
        await run_in_threadpool(_service(request).keeper.take_input, digest, data)
        return {"digest": digest}


def _add_answers(app: FastAPI, bearer: Bearer) -> None:
    known = [Depends(bearer)]

    @app.get("/environments", summary="What was logged", dependencies=known)
    def environments(request: Request) -> list[dict[str, str]]:
        found = _service(request).archive.environments()
        return [
            {"application": application, "environment": environment} for application, environment in found
        ]

    @app.get("/drift", summary="Whether inputs or answers have changed, in whole hours", dependencies=known)
    def drift(
        request: Request,
        asked: One,
        baseline_begin: Annotated[datetime | None, Query(alias="baseline-from")] = None,
        baseline_end: Annotated[datetime | None, Query(alias="baseline-to")] = None,
        histograms: Annotated[bool, Query(description="also give the histograms, as shares")] = False,
    ) -> dict[str, Any]:
        baseline = (baseline_begin, baseline_end)
        window = _service(request).window(asked, baseline)
        more = {"histograms": numbers(window.pairs, window.labels)} if histograms else {}
        return window.as_dict() | more

    @app.get("/judge", summary="Promote, hold, roll back, or not enough evidence", dependencies=known)
    def judge(request: Request, asked: Two, without: Without = "") -> dict[str, Any]:
        return _service(request).judge(asked, without)

    @app.get("/shadow", summary="What production and the canary said of the same inputs", dependencies=known)
    def shadow(request: Request, asked: Two) -> dict[str, Any]:
        return _service(request).shadow(asked)


def _add_pages(app: FastAPI, bearer: Bearer) -> None:
    shown: dict[str, Any] = {"response_class": HTMLResponse, "dependencies": [Depends(bearer)]}

    @app.get("/", include_in_schema=False, **shown)
    def index(request: Request) -> HTMLResponse:
        """A page that lists what was logged."""
        return HTMLResponse(index_page(_service(request).archive.environments()), headers=PAGE_HEADERS)

    @app.get("/report", summary="The comparison of `/drift` as a page with pictures", **shown)
    def report(request: Request, asked: One) -> HTMLResponse:
        window = _service(request).window(asked)
        return HTMLResponse(drift_page(window), headers=PAGE_HEADERS)

    @app.get("/judge/report", summary="The verdict of `/judge` as a page", **shown)
    def judge_report(request: Request, asked: Two, without: Without = "") -> HTMLResponse:
        facts = _service(request).judge(asked, without)
        return HTMLResponse(judge_page(facts), headers=PAGE_HEADERS)

    @app.get("/shadow/report", summary="The disagreements of `/shadow` with their inputs", **shown)
    def shadow_report(request: Request, asked: Two) -> HTMLResponse:
        service = _service(request)
        facts = service.shadow(asked)
        for number, item in enumerate(facts["classes"]):
            for one in item["examples"]:
                at = datetime.fromisoformat(one["time"])
                shown = number < _MOST_SHOWN
                one["picture"] = picture_of(service.archive, one["input_digest"], at) if shown else ""
        return HTMLResponse(shadow_page(facts), headers=PICTURE_HEADERS)


def _add_operation(app: FastAPI) -> None:
    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="The store can be written to")
    def readyz(request: Request) -> dict[str, str]:
        _service(request).archive.objects.check()
        return {"status": "ready"}

    @app.get("/metrics", summary="Counters for Prometheus")
    def metrics(request: Request) -> Response:
        service = _service(request)
        content = exposition(service.keeper, service.gauges)
        return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLarge("the body is too large", allowed=f"up to {most:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _span(begin: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    last = _aware(end) if end is not None else datetime.now(UTC)
    return (_aware(begin) if begin is not None else last - _DAY), last


def _aware(at: datetime) -> datetime:
    """Without a zone it is UTC. Raises InvalidInput outside the years that times can be in."""
    if not 2000 <= at.year < 2100:
        raise InvalidInput("this time is out of range", value=at.isoformat(), allowed="2000 to 2099")
    return at.astimezone(UTC) if at.tzinfo is not None else at.replace(tzinfo=UTC)
