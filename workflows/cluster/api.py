"""The Kubernetes API over HTTP: the few calls that the command line needs, with errors in one sentence."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import httpx

from services.common.errors import Conflict, InvalidInput, NotFound, RookeryError, Unavailable
from services.common.trust import trust_for
from workflows.cluster.kubeconfig import Access

Object = dict[str, Any]
_SECONDS = 30.0
_PATIENCE_SECONDS = 60.0
_MERGE = {"Content-Type": "application/merge-patch+json"}


class Forbidden(RookeryError):
    """The cluster knows who asks and does not allow it, or does not know."""

    code: ClassVar[str] = "forbidden"
    status: ClassVar[int] = 403


_BY_STATUS: dict[int, type[RookeryError]] = {
    400: InvalidInput, 401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict, 422: InvalidInput,
}  # fmt: skip


class Kubernetes:
    """The API server of one access.

    Args:
        patience_seconds: how long a read is tried again while nobody answers.
    """

    def __init__(self, access: Access, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self.access = access
        self._patience = patience_seconds
        self._client = httpx.Client(
            base_url=access.server,
            headers=access.headers,
            auth=_Token(access.token) if access.token is not None else None,
            verify=access.tls if access.tls is not None else trust_for(access.server),
            timeout=_SECONDS,
            trust_env=False,
        )

    def get(self, path: str, **params: str) -> Object:
        """An object or list.

        Raises:
            NotFound, Forbidden, InvalidInput: the server's own words.
            Unavailable: nobody answers, for as long as the patience lasts.
        """
        deadline = time.monotonic() + self._patience
        pause = 0.2
        while True:
            try:
                return self._send("GET", path, params=params)
            except Unavailable:
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def create(self, path: str, body: Mapping[str, Any]) -> Object:
        """Makes an object; tried once only."""
        return self._send("POST", path, json=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Object:
        """A JSON merge patch; with `metadata.resourceVersion` in it only if nobody was faster (Conflict)."""
        return self._send("PATCH", path, json=body, headers=_MERGE)

    def lines(self, path: str, **params: str) -> Iterator[str]:
        """Text line by line, as it comes, without line ends."""
        limits = httpx.Timeout(_SECONDS, read=None if params.get("follow") == "true" else _SECONDS)
        try:
            with self._client.stream("GET", path, params=params, timeout=limits) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _error(answer, path)
                yield from answer.iter_lines()
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def close(self) -> None:
        """Lets go of its connections."""
        self._client.close()

    def _send(self, method: str, path: str, **more: Any) -> Object:
        try:
            answer = self._client.request(method, path, **more)
        except httpx.TransportError as error:
            raise self._silent(error) from error
        if not answer.is_success:
            raise _error(answer, path)
        return dict(answer.json())

    def _silent(self, error: httpx.TransportError) -> Unavailable:
        where = f"the cluster of context {self.access.context} at {self.access.server}"
        return Unavailable(f"{where} does not answer: {type(error).__name__}: {error}")


class _Token(httpx.Auth):
    """The token that a file holds at the time of each request."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        try:
            token = self._file.read_text().strip()
        except OSError as error:
            raise Unavailable(f"there is no token for the Kubernetes API: {error.strerror}") from error
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


def _error(answer: httpx.Response, path: str) -> RookeryError:
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = answer.text[:300] or path
    kind = _BY_STATUS.get(answer.status_code, Unavailable)
    return kind(f"the cluster says {answer.status_code}: {' '.join(message.split())[:500]}")
