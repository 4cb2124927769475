"""The few calls of MLflow's REST API that Rookery makes, with bounded retries.

Importing the MLflow client costs 1.6 s; a workflow step that only asks for a run's state should not pay it.
Source: MLflow REST API reference, version 2.0 of the API.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from services.common.errors import InvalidInput, NotFound, RookeryError, Unavailable
from services.common.mlflow_answers import is_collision, is_missing, message_of, object_of
from services.common.patience import pauses
from services.common.trust import trust_for

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_TERMINAL = frozenset({"FINISHED", "FAILED", "KILLED"})
_RETRIED = frozenset({429, 500, 502, 503, 504})
_ERROR_BYTES = 1 << 16
_TAG_CREATION = "rookery.creation"

T = TypeVar("T")


class MlflowError(RookeryError):
    """MLflow refused a call; its own message is kept."""

    code = "mlflow"
    status = 502


class _NoAnswer(Exception):
    """A call that broke off, or that the server asks to repeat; it may have been carried out."""

    status = 0


class MlflowClient:
    """A client for one tracking server.

    Args:
        url: address of the tracking server, such as `http://127.0.0.1:8000`.
        patience_seconds: how long calls that meet no answer or a 5xx are repeated before `Unavailable`.
        timeout_seconds: bound of one call.
    """

    def __init__(self, url: str, *, patience_seconds: float = 30.0, timeout_seconds: float = 20.0) -> None:
        self.url = url.rstrip("/")
        self._patience = patience_seconds
        self._http = httpx.Client(base_url=self.url, timeout=timeout_seconds, verify=trust_for(url))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # Experiments and runs

    def experiment_id(self, name: str) -> str:
        """The id of an experiment, made when there is none."""
        found = self._get("/experiments/get-by-name", {"experiment_name": name}, missing_ok=True)
        if found is not None:
            return str(found["experiment"]["experiment_id"])
        try:
            return str(self._post("/experiments/create", {"name": name})["experiment_id"])
        except MlflowError:
            # Somebody made it between the two calls.
            again = self._get("/experiments/get-by-name", {"experiment_name": name})
            assert again is not None
            return str(again["experiment"]["experiment_id"])

    def create_run(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """Start a run; returns its id. A lost answer makes no second one."""
        creation = uuid.uuid4().hex
        body = {
            "experiment_id": experiment_id,
            "run_name": name,
            "start_time": _now_ms(),
            "tags": _pairs({**tags, _TAG_CREATION: creation}),
        }
        search = {
            "experiment_ids": [experiment_id],
            "filter": f"tags.`{_TAG_CREATION}` = '{creation}'",
            "order_by": ["attributes.start_time"],
        }

        def made() -> dict[str, Any] | None:
            found = object_of(self._once("POST", f"{_API}/runs/search", json=search)).get("runs")
            return {"run": found[0]} if found else None

        return str(self._create("/runs/create", body, made)["run"]["info"]["run_id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """The run as MLflow describes it: `info`, `data` with params, tags and metrics as lists.

        Raises:
            NotFound: there is no such run.
        """
        found = self._get("/runs/get", {"run_id": run_id}, missing_ok=True)
        if found is None:
            raise NotFound("MLflow has no such run", value=run_id)
        return dict(found["run"])

    def search_runs(
        self, experiment_ids: list[str], condition: str, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Runs that fit a condition in MLflow's search language, newest first."""
        body = {"experiment_ids": experiment_ids, "filter": condition, "max_results": limit}
        return list(self._post("/runs/search", body).get("runs", []))

    def end_run(self, run_id: str, status: str) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        self._post("/runs/update", {"run_id": run_id, "status": status, "end_time": _now_ms()})

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
    ) -> None:
        """Log parameters, tags and metrics in one call; values of parameters are made text."""
        now = _now_ms()
        body = {
            "run_id": run_id,
            "params": _pairs({key: str(value) for key, value in (params or {}).items()}),
            "tags": _pairs(tags or {}),
            "metrics": [
                {"key": key, "value": value, "timestamp": now, "step": step}
                for key, value in (metrics or {}).items()
            ],
        }
        self._post("/runs/log-batch", body)

    # Artifacts

    def upload(self, run: Mapping[str, Any], path: str, data: bytes) -> None:
        """Put one artifact; `run` is what `run()` gave, `path` is relative to the run's artifacts."""
        self._send("PUT", f"{_ARTIFACTS}/{_artifact_path(run, path)}", content=data)

    def download(self, run: Mapping[str, Any], path: str, *, max_bytes: int) -> bytes:
        """Get one artifact.

        Raises:
            NotFound: the run has no such artifact.
            MlflowError: it is larger than `max_bytes`; no more of it than that is read.
        """
        place = f"{_ARTIFACTS}/{_artifact_path(run, path)}"

        def attempt() -> httpx.Response | None:
            try:
                answer = self._once("GET", place, missing_ok=True, max_bytes=max_bytes)
            except _NoAnswer as error:
                # In front of an object store, MLflow 3 answers 500 when there is no such object.
                if error.status == httpx.codes.INTERNAL_SERVER_ERROR and not self._lists(run, path):
                    return None
                raise
            return None if is_missing(answer) else answer

        answer = self._repeat(attempt)
        if answer is None:
            raise NotFound("the run has no such artifact", value=path)
        return answer.content

    def artifacts(self, run_id: str, folder: str = "") -> dict[str, int]:
        """Path → size in bytes of the files in a folder of a run's artifacts; empty when there is none."""
        query = {"run_id": run_id} | ({"path": folder} if folder else {})
        found = self._get("/artifacts/list", query, missing_ok=True) or {}
        return {
            str(file["path"]): int(file.get("file_size") or 0)
            for file in found.get("files", [])
            if not file.get("is_dir")
        }

    def _lists(self, run: Mapping[str, Any], path: str) -> bool:
        """Whether a file is among the artifacts of a run."""
        query = {"run_id": str(run["info"]["run_id"]), "path": path.rpartition("/")[0]}
        found = object_of(self._once("GET", f"{_API}/artifacts/list", params=query))
        return any(file["path"] == path for file in found.get("files", []))

    # Registry

    def ensure_registered_model(self, name: str) -> None:
        """Make the registered model when there is none."""
        if self._get("/registered-models/get", {"name": name}, missing_ok=True) is None:
            try:
                self._post("/registered-models/create", {"name": name})
            except MlflowError:
                self._get("/registered-models/get", {"name": name})

    def create_version(self, name: str, source: str, run_id: str, tags: Mapping[str, str]) -> str:
        """Register a version; returns its number as text. A lost answer makes no second one."""
        creation = uuid.uuid4().hex
        pairs = _pairs({**tags, _TAG_CREATION: creation})
        body = {"name": name, "source": source, "run_id": run_id, "tags": pairs}
        query = {"filter": f"tags.`{_TAG_CREATION}` = '{creation}'"}

        def made() -> dict[str, Any] | None:
            answer = self._once("GET", f"{_API}/model-versions/search", params=query)
            found = object_of(answer).get("model_versions")
            return {"model_version": min(found, key=lambda item: int(item["version"]))} if found else None

        return str(self._create("/model-versions/create", body, made)["model_version"]["version"])

    def version(self, name: str, version: str) -> dict[str, Any]:
        """One version with its `tags` as a mapping.

        Raises:
            InvalidInput: this is no number of a version.
            NotFound: there is no such version.
        """
        if not (version.isascii() and version.isdecimal() and len(version) < 10):
            raise InvalidInput(
                f"this is no version of {name}", value=version, allowed="a whole number, such as 3"
            )
        found = self._get("/model-versions/get", {"name": name, "version": version}, missing_ok=True)
        if found is None:
            raise NotFound(f"the registry has no such version of {name}", value=version)
        return _version(found["model_version"])

    def versions(self, name: str, limit: int = 200) -> list[dict[str, Any]]:
        """All versions of a model, newest first."""
        escaped = name.replace("'", "\\'")
        query = {"filter": f"name='{escaped}'", "max_results": str(limit)}
        found = self._get("/model-versions/search", query) or {}
        versions = [_version(item) for item in found.get("model_versions", [])]
        return sorted(versions, key=lambda item: -int(item["version"]))

    def version_by_alias(self, name: str, alias: str) -> dict[str, Any] | None:
        """The version an alias points to, or nothing."""
        found = self._get("/registered-models/alias", {"name": name, "alias": alias}, missing_ok=True)
        return None if found is None else _version(found["model_version"])

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias to a version."""
        self._post("/registered-models/alias", {"name": name, "alias": alias, "version": version})

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; it is no error when there is none."""
        self._send(
            "DELETE",
            f"{_API}/registered-models/alias",
            json={"name": name, "alias": alias},
            missing_ok=True,
        )

    def set_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        """Set one tag of a version."""
        body = {"name": name, "version": version, "key": key, "value": value}
        self._post("/model-versions/set-tag", body)

    # Transport

    def healthy(self) -> bool:
        """Whether the server answers at all, asked once."""
        try:
            return self._http.get("/health").status_code == httpx.codes.OK
        except httpx.RequestError:
            return False

    def _get(self, path: str, query: Mapping[str, str], *, missing_ok: bool = False) -> dict[str, Any] | None:
        answer = self._send("GET", _API + path, params=dict(query), missing_ok=missing_ok)
        return None if answer is None else object_of(answer)

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._send("POST", _API + path, json=dict(body))
        assert answer is not None
        return object_of(answer)

    def _create(
        self, path: str, body: Mapping[str, Any], made: Callable[[], dict[str, Any] | None]
    ) -> dict[str, Any]:
        """A POST that is not repeated before `made` has looked for what the last one may have left."""
        tried = False

        def attempt() -> dict[str, Any]:
            nonlocal tried
            found = made() if tried else None
            tried = True
            return found or object_of(self._once("POST", _API + path, json=dict(body)))

        return self._repeat(attempt)

    def _send(
        self, method: str, path: str, *, missing_ok: bool = False, **request: Any
    ) -> httpx.Response | None:
        def attempt() -> httpx.Response | None:
            answer = self._once(method, path, missing_ok=missing_ok, **request)
            return None if missing_ok and is_missing(answer) else answer

        return self._repeat(attempt)

    def _repeat(self, attempt: Callable[[], T]) -> T:
        last: object = None
        for pause in pauses(self._patience):
            try:
                return attempt()
            except _NoAnswer as error:
                last = error
            time.sleep(pause)
        raise Unavailable(f"MLflow at {self.url} did not answer for {self._patience:.0f} s: {last}")

    def _once(
        self,
        method: str,
        path: str,
        *,
        missing_ok: bool = False,
        max_bytes: int | None = None,
        **request: Any,
    ) -> httpx.Response:
        try:
            if max_bytes is None:
                answer = self._http.request(method, path, **request)
            else:
                answer = self._bounded(method, path, max_bytes)
        except httpx.RequestError as error:
            raise _NoAnswer(error) from error
        if answer.is_success or (missing_ok and is_missing(answer)):
            return answer
        said = f"{answer.status_code}: {message_of(answer)}"
        if answer.status_code in _RETRIED or is_collision(answer):
            again = _NoAnswer(said)
            again.status = answer.status_code
            raise again
        raise MlflowError(f"MLflow answered {said}", value=path)

    def _bounded(self, method: str, path: str, max_bytes: int) -> httpx.Response:
        content = bytearray()
        with self._http.stream(method, path) as answer:
            for block in answer.iter_bytes():
                content += block
                if len(content) > max_bytes and answer.is_success:
                    raise MlflowError(
                        "the artifact is too large", value=path, allowed=f"at most {max_bytes} bytes"
                    )
                if len(content) > _ERROR_BYTES and not answer.is_success:
                    break
        return httpx.Response(answer.status_code, content=bytes(content))


def is_terminal(status: str) -> bool:
    """Whether a run in this state will never change again."""
    return status in _TERMINAL


def tags_of(run: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a run as a mapping."""
    return {item["key"]: item["value"] for item in run.get("data", {}).get("tags", [])}


def params_of(run: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a run as a mapping."""
    return {item["key"]: item["value"] for item in run.get("data", {}).get("params", [])}


def _artifact_path(run: Mapping[str, Any], path: str) -> str:
    uri = str(run["info"]["artifact_uri"])
    prefix = "mlflow-artifacts:/"
    if not uri.startswith(prefix):
        raise MlflowError(
            "the run's artifacts are not served by MLflow; start it with --serve-artifacts", value=uri
        )
    root = uri.removeprefix(prefix).strip("/")
    return quote(f"{root}/{path}", safe="/")


def _version(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **item,
        "version": str(item["version"]),
        "tags": {t["key"]: t["value"] for t in item.get("tags", [])},
    }


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now_ms() -> int:
    return int(time.time() * 1000)
