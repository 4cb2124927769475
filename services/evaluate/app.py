"""The HTTP face of the evaluate service."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from services.common.answers import add_error_answers
from services.common.errors import Conflict, NotFound, RookeryError, Unavailable
from services.common.hosts import KnownHosts
from services.common.mlflow_rest import MlflowClient, tags_of
from services.evaluate.files import ANSWER, METRICS, REPORT, RunFiles, is_run_id
from services.evaluate.jobs import Jobs
from services.evaluate.policy import find_policy
from services.evaluate.publish import recover
from services.evaluate.settings import EvaluateSettings
from services.evaluate.telemetry import exposition

_RETRY_SECONDS = 1
_STALE_SECONDS = 3600.0
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
RunId = Annotated[str, Query(max_length=64, description="id of a finished run in MLflow")]


class Service:
    """What the routes share: settings, a client for MLflow, and the processes at work."""

    def __init__(self, settings: EvaluateSettings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self.jobs = Jobs(settings, environment)
        self._told: dict[tuple[str, float], float] = {}
        self.mlflow = MlflowClient(
            str(settings.mlflow_url), patience_seconds=0, timeout_seconds=settings.mlflow_timeout_seconds
        )

    def close(self) -> None:
        """Stop what is at work."""
        self.jobs.close()
        self.mlflow.close()

    def files(self, run_id: str) -> RunFiles:
        """The files of a run.

        Raises:
            NotFound: the text cannot be an id.
        """
        if not is_run_id(run_id):
            raise NotFound("no such run", value=run_id, allowed="an id of a run in MLflow")
        return RunFiles(self.settings.state_dir, run_id)

    def answer(self, run_id: str) -> dict[str, Any] | None:
        """The answer for a run; nothing while it is being worked out.

        Raises:
            NotFound, Conflict: there is no such run, or it did not finish.
            Unavailable: MLflow is away, or too many evaluations are waiting.
            RookeryError: the evaluation failed a moment ago; a later call tries again.
        """
        files = self.files(run_id)
        if (answer := files.json(ANSWER)) is not None:
            return answer
        if self.jobs.phase(run_id) is not None:
            return None
        # It may have ended between the two looks.
        if (answer := files.json(ANSWER)) is not None:
            return answer
        self._report_failure(run_id)
        self._check_finished(run_id)
        self.jobs.submit(run_id)
        return None

    def document(self, run_id: str, name: str) -> bytes:
        """The report or the metrics of a run that was judged.

        Raises:
            NotFound: it was not judged, or there is no such run.
            Unavailable: MLflow, asked for what is not here, is away.
        """
        files = self.files(run_id)
        content = files.read(name)
        if content is None and recover(self.mlflow, self.mlflow.run(run_id), files):
            content = files.read(name)
        if content is None:
            raise NotFound("this run was not evaluated yet", value=run_id, allowed="ask /get-version first")
        return content

    def _report_failure(self, run_id: str) -> None:
        """Raise what the last evaluation failed with, at least once however seldom a client asks."""
        failure = self.jobs.failure(run_id)
        if failure is None or time.time() - failure["at"] > _STALE_SECONDS:
            return
        now = time.monotonic()
        told = self._told.setdefault((run_id, failure["at"]), now)
        if now - told <= self.settings.failure_seconds:
            raise _Failed(failure)
        self._told = {key: since for key, since in self._told.items() if now - since < _STALE_SECONDS}

    def _check_finished(self, run_id: str) -> None:
        run = self.mlflow.run(run_id)
        status, stage = run["info"]["status"], run["info"].get("lifecycle_stage")
        if stage == "deleted":
            raise NotFound("the run was deleted", value=run_id)
        if status != "FINISHED":
            reason = tags_of(run).get("rookery.reason", "")
            raise Conflict(
                f"the run is {status}, and only a finished one is evaluated"
                + (f": {reason}" if reason else ""),
                value=run_id,
                allowed="FINISHED",
            )


class _Failed(RookeryError):
    """An evaluation that ended with an error, as the worker wrote it down."""

    def __init__(self, failure: Mapping[str, Any]) -> None:
        super().__init__(str(failure["message"]))
        self._failure = failure

    def answer(self) -> tuple[int, dict[str, Any]]:
        """As the error would have been answered where it occurred."""
        body = {key: value for key, value in self._failure.items() if key not in ("status", "at")}
        return int(self._failure["status"]), body


def create_app(settings: EvaluateSettings, environment: Mapping[str, str] | None = None) -> FastAPI:
    """The application; `environment` is what worker processes get, by default that of this process."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(settings, os.environ if environment is None else environment)
        yield
        app.state.service.close()

    app = FastAPI(title="Rookery evaluate", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_answers(app)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts())
    _add_verdicts(app)
    _add_operation(app)
    return app


def _add_verdicts(app: FastAPI) -> None:
    @app.get("/get-version", summary="Judge a finished run; accepted, it gets a version in the registry")
    def get_version(request: Request, run_id: RunId) -> JSONResponse:
        service: Service = request.app.state.service
        answer = service.answer(run_id)
        if answer is not None:
            return JSONResponse(answer)
        phase = service.jobs.phase(run_id) or "finishing"
        body = {"run_id": run_id, "status": "working", "phase": phase}
        return JSONResponse(body, 202, {"Retry-After": str(_RETRY_SECONDS)})

    @app.get("/reports/{run_id}", summary="The report as one page", response_class=HTMLResponse)
    def report(request: Request, run_id: str) -> HTMLResponse:
        service: Service = request.app.state.service
        return HTMLResponse(service.document(run_id, REPORT), headers=_PAGE_HEADERS)

    @app.get("/reports/{run_id}/metrics.json", summary="Everything that was measured")
    def metrics_json(request: Request, run_id: str) -> Response:
        service: Service = request.app.state.service
        return Response(service.document(run_id, METRICS), media_type="application/json")

    @app.get("/policy", summary="The policy that an application is judged by")
    def policy(
        request: Request, application: Annotated[str, Query(description="name of an application")]
    ) -> dict[str, Any]:
        service: Service = request.app.state.service
        found = find_policy(application, service.settings.policy_dir)
        return {"application": application, "policy_digest": found.digest, "policy": found.model_dump()}


def _add_operation(app: FastAPI) -> None:
    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="MLflow answers, so runs can be judged")
    def readyz(request: Request) -> dict[str, str]:
        service: Service = request.app.state.service
        if not service.mlflow.healthy():
            raise Unavailable(f"MLflow at {service.mlflow.url} does not answer")
        return {"status": "ready"}

    @app.get("/metrics", summary="Counters for Prometheus")
    async def metrics(request: Request) -> Response:
        service: Service = request.app.state.service
        return Response(exposition(service.jobs), media_type="text/plain; version=0.0.4; charset=utf-8")
