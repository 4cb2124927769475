"""The HTTP face of the train service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from services.common.answers import add_error_answers
from services.common.errors import InvalidInput, Unavailable
from services.common.hosts import KnownHosts
from services.data.source import SOURCES
from services.train import records
from services.train.families import FAMILIES
from services.train.hyperparameters import describe
from services.train.jobs import Jobs
from services.train.preflight import Preflight, check_key
from services.train.recipe import Recipes
from services.train.revision import code_revision
from services.train.settings import TrainSettings

_NAMES = ("application", "model_name", "data_source")


def create_app(settings: TrainSettings) -> FastAPI:
    """The application; its jobs are taken up when it starts and let go when it stops."""
    jobs = Jobs(settings, code_revision(settings.code_revision))
    preflight, recipes = Preflight(settings), Recipes(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs.start()
        preflight.warm_up()
        yield
        jobs.stop()
        recipes.close()

    app = FastAPI(title="Rookery train service", lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_answers(app)
    _add_training(app, jobs, preflight)
    _add_recipe(app, recipes, preflight)
    _add_lists(app)
    _add_operations(app, jobs)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts())
    return app


def _add_training(app: FastAPI, jobs: Jobs, preflight: Preflight) -> None:
    @app.post("/train", status_code=202, openapi_extra={"parameters": _documented()})
    def train(request: Request, idempotency_key: str | None = Header(None)) -> dict[str, Any]:
        """Start a training; answers at once with the id of its MLflow run."""
        query = dict(request.query_params)
        if len(request.query_params.multi_items()) != len(query):
            raise InvalidInput("a parameter is given twice", value=request.url.query)
        key = check_key(idempotency_key)
        application, model_name, data_source = (query.pop(name, "").strip() for name in _NAMES)
        job = jobs.submit(preflight.request(application, model_name, data_source, query), key)
        return {"run_id": job.run_id}

    @app.get("/runs/{run_id}")
    def run(run_id: str) -> dict[str, Any]:
        """How far a run is."""
        job, progress = jobs.find(run_id)
        return _described(job, progress, jobs)

    @app.post("/runs/{run_id}/cancel", status_code=202)
    def cancel(run_id: str) -> dict[str, Any]:
        """End a run as KILLED."""
        job = jobs.cancel(run_id)
        return _described(job, jobs.find(run_id)[1], jobs)


def _add_recipe(app: FastAPI, recipes: Recipes, preflight: Preflight) -> None:
    @app.get("/recipe", openapi_extra={"parameters": _documented()})
    def find(request: Request) -> Response:
        """What such a training would be made of, with a digest over all; 202 while the data is being read."""
        query = dict(request.query_params)
        application, model_name, data_source = (query.pop(name, "").strip() for name in _NAMES)
        asked = preflight.request(application, model_name, data_source, query)
        found = recipes.find(asked)
        if found is None:
            return JSONResponse({"state": "reading the data"}, 202, {"Retry-After": "2"})
        return JSONResponse(found)


def _add_lists(app: FastAPI) -> None:
    @app.get("/models")
    def models() -> dict[str, Any]:
        """The model families."""
        return {"models": [asdict(family) for family in FAMILIES.values()]}

    @app.get("/data-sources")
    def data_sources() -> dict[str, Any]:
        """What `data_source` may be."""
        return {"data_sources": [{"name": name, "description": text} for name, text in SOURCES.items()]}

    @app.get("/hyperparameters")
    def hyperparameters() -> dict[str, Any]:
        """Every hyperparameter with default, range and meaning."""
        return {"hyperparameters": describe()}


def _add_operations(app: FastAPI, jobs: Jobs) -> None:
    registry = CollectorRegistry()
    stages = Gauge("rookery_train_jobs", "Trainings by stage or final state", ["state"], registry=registry)
    answers = Counter(
        "rookery_train_answers", "Answers by path and status", ["path", "status"], registry=registry
    )

    @app.middleware("http")
    async def count(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        route = request.scope.get("route")
        answers.labels(getattr(route, "path", "unknown"), str(response.status_code)).inc()
        return response

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        """Whether trainings are looked after."""
        if not jobs.alive:
            raise Unavailable("the jobs are not looked after")
        return {"status": "ready"}

    @app.get("/metrics")
    def metrics() -> PlainTextResponse:
        """Counters for Prometheus."""
        for state, count_ in jobs.counts().items():
            stages.labels(state).set(count_)
        return PlainTextResponse(generate_latest(registry))


def _described(job: records.Job, progress: records.Progress, jobs: Jobs) -> dict[str, Any]:
    return {
        "run_id": job.run_id,
        "status": job.status,
        "stage": progress.stage if job.stage == "running" else job.stage,
        "reason": job.reason,
        "application": job.request.application,
        "model_name": job.request.model_name,
        "data_source": job.request.data_source,
        "epoch": progress.epoch,
        "epochs": progress.epochs,
        "metrics": progress.metrics,
        "restarts": job.restarts,
        "waiting_before": jobs.position(job) if job.stage == "queued" else 0,
        "cancelled": job.cancelled,
    }


def _documented() -> list[dict[str, Any]]:
    rows = [{"name": name, "default": "", "description": "", "allowed": ""} for name in _NAMES] + describe()
    return [
        {
            "name": row["name"],
            "in": "query",
            "required": row["name"] in ("model_name", "data_source"),
            "schema": {"type": "string", "default": row["default"]},
            "description": f"{row['description']} {row['allowed']}".strip(),
        }
        for row in rows
    ]
