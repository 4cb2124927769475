"""The serving application: `/predict` on bare ASGI, everything else on FastAPI, one document for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from services.common.answers import add_error_answers
from services.serve.feedback import add_feedback
from services.serve.identity import identify
from services.serve.log import PredictionLog
from services.serve.models import UPLOAD, ErrorBody, PredictionBody, VersionBody
from services.serve.pages import add_pages
from services.serve.predict import Predict, Send, refuse
from services.serve.predictor import Predictor
from services.serve.settings import ServeSettings
from services.serve.shadow import Shadow
from services.serve.telemetry import Telemetry
from services.serve.upload import Receive, Scope, Uploads
from services.serve.work import Work

if TYPE_CHECKING:
    from services.bundle.reader import Bundle


class ServeApp:
    """The ASGI application of one bundle.

    Attributes:
        draining: set by the server on SIGTERM; `/readyz` answers 503 from then on.
    """

    def __init__(self, bundle: Bundle, settings: ServeSettings) -> None:
        self.settings = settings
        self.bundle = bundle
        self.draining = False
        self.hosts = settings.known_hosts()
        predictor = Predictor(bundle, threads=settings.threads, limits=settings.limits())
        self.identity = identify(bundle, settings, predictor.model_digest, predictor.novelty_digest)
        self.work = Work(settings.worker_count(), settings.waiting)
        self.uploads = Uploads(settings.max_bytes, settings.buffered_bytes)
        self.telemetry = Telemetry(self.identity.as_dict())
        self.telemetry.queued = lambda: self.work.queued
        self.telemetry.busy = lambda: self.work.inside
        self.log = (
            None
            if settings.log_dir is None
            else PredictionLog(settings, self.identity, bundle.manifest, bundle.golden.inputs)
        )
        self.telemetry.log = self.log
        self.shadow = Shadow(settings) if settings.shadow_url else None
        self.telemetry.shadow = self.shadow
        self.predict = Predict(
            predictor,
            self.identity,
            self.uploads,
            self.work,
            self.telemetry,
            settings.inline_milliseconds / 1000,
            self.log,
            self.shadow,
        )
        self.web = create_web(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Predictions take the short way, all else goes through FastAPI."""
        if scope["type"] == "http" and not self.hosts.admits(scope["headers"]):
            error = self.hosts.refusal(scope["headers"])
            self.telemetry.refused(error.status, error.code)
            await refuse(error, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/predict" and scope["method"] == "POST":
            await self.predict(scope, receive, send)
        else:
            await self.web(scope, receive, send)

    def close(self) -> None:
        """End the pool of threads, forget copies that wait, and bring the prediction log to the disk."""
        self.work.close()
        if self.shadow is not None:
            self.shadow.close()
        if self.log is not None:
            self.log.close()


def create_app(bundle: Bundle, settings: ServeSettings) -> ServeApp:
    """The application that serves `bundle`.

    Raises:
        InvalidInput: the models cannot be loaded or do not fit the manifest.
        IntegrityError: the settings expect another bundle.
    """
    return ServeApp(bundle, settings)


def create_web(app: ServeApp) -> FastAPI:
    """The routes that are not hot."""
    web = FastAPI(
        title=f"Rookery: {app.identity.application}",
        version=app.identity.model_version or "unreleased",
        description="Recognises sounds and pictures; says which model did.",
        docs_url=None,
        redoc_url=None,
    )
    add_error_answers(web)
    _add_probes(web, app)
    _add_facts(web, app)
    add_feedback(web, app)
    add_pages(web, app)
    return web


def _add_probes(web: FastAPI, app: ServeApp) -> None:
    @web.get("/healthz", tags=["operation"], summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @web.get("/readyz", tags=["operation"], summary="The models are loaded and requests are welcome")
    async def readyz() -> JSONResponse:
        if app.draining:
            return JSONResponse({"status": "draining"}, 503)
        return JSONResponse({"status": "ready"})

    @web.get("/metrics", tags=["operation"], summary="Counters for Prometheus")
    async def metrics() -> Response:
        return Response(app.telemetry.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_facts(web: FastAPI, app: ServeApp) -> None:
    manifest = app.bundle.manifest

    @web.post(
        "/predict",
        tags=["recognition"],
        summary="Recognise a sound or picture",
        description="A raw body or the form field `file`: wav, ogg, flac, mp3, png, jpeg or npy, told apart by "
        "content. `top` bounds the number of labels, `source` names the site or device for the "
        "prediction log. Long sounds are answered as a timeline of windows, with neighbouring "
        "windows of one label joined in `segments`.",
        response_model=PredictionBody,
        responses={code: {"model": ErrorBody} for code in (408, 413, 415, 422, 503)},
        openapi_extra={"requestBody": UPLOAD},
    )
    async def predict(request: Request, top: int | None = None, source: str | None = None) -> Any:
        raise AssertionError("answered by ServeApp before routing")

    @web.get("/version", tags=["operation"], summary="What is in memory", response_model=VersionBody)
    async def version() -> JSONResponse:
        return JSONResponse(app.identity.as_dict())

    @web.get("/labels", tags=["recognition"], summary="Everything that can be recognised")
    async def labels() -> dict[str, Any]:
        return {"task": manifest.task, "labels": manifest.labels, "threshold": manifest.threshold}
