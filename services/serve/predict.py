"""The route `/predict`, written straight on ASGI: for a small picture the framework would cost more than the model."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import numpy as np
import orjson

from services.common.errors import InvalidInput, RookeryError, Unavailable
from services.serve.identity import Identity
from services.serve.prediction import Prediction
from services.serve.predictor import Predictor
from services.serve.shadow import HEADER
from services.serve.small import is_small
from services.serve.telemetry import Telemetry
from services.serve.upload import ClientGone, Receive, Scope, Uploads, linger
from services.serve.work import Work

if TYPE_CHECKING:
    from services.serve.log import PredictionLog
    from services.serve.shadow import Shadow

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_log = logging.getLogger(__name__)
_JSON: Headers = [(b"content-type", b"application/json")]
_TOP = re.compile("[0-9]{1,6}")
_SOURCE = re.compile("[A-Za-z0-9._:-]{1,64}")
_BROKEN = RookeryError("the prediction failed; the log of the server says why")


class Predict:
    """Answers predictions: upload, models, JSON, counters.

    Small pictures run on the event loop when the models take less than `inline_seconds`, because a thread change
    costs more than they do; everything else runs in the pool.
    """

    def __init__(
        self,
        predictor: Predictor,
        identity: Identity,
        uploads: Uploads,
        work: Work,
        telemetry: Telemetry,
        inline_seconds: float,
        log: PredictionLog | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        self.predictor = predictor
        self.log = log
        self.shadow = shadow
        self.uploads = uploads
        self.work = work
        self.telemetry = telemetry
        picture = predictor.manifest.preprocessing.kind == "image"
        self.inline = picture and measure(predictor) < inline_seconds
        self._names = {"version": identity.model_version, "bundle_digest": identity.bundle_digest}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from its first byte to its answer."""
        began = time.perf_counter()
        copied = is_copy(scope["headers"])
        try:
            body = await self.uploads.read(scope, receive)
            top, source = None, ""
            if query := scope["query_string"]:
                top, source = top_of(query), source_of(query)
            if self.inline and is_small(body):
                prediction, digest = self._predict_small(body), self._digest(body)
            else:
                prediction, digest = await self.work.run(self._predict, body)
            request_id = self._count(prediction, body, digest, source, began, copied)
            answer = self._answer(prediction, top, request_id)
        except ClientGone:
            late = "rookery.late" in scope
            self.telemetry.refused(408 if late else 499, "too-slow" if late else "client-gone")
            return
        except RookeryError as error:
            self._fail(error.status, error.code, began, copied)
            await refuse(error, receive, send)
            return
        except Exception:
            _log.exception("a prediction failed")
            self._fail(500, "internal", began, copied)
            await refuse(_BROKEN, receive, send)
            return
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [*_JSON, (b"content-length", b"%d" % len(answer))],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    def quick(self, body: bytes, began: float, copied: bool = False) -> tuple[int, bytes] | None:
        """Status and JSON for a small body, computed here and now; None if it must go the usual way.

        Args:
            copied: it is a copy of what another server was asked.
        """
        if not self.inline or not is_small(body):
            return None
        try:
            prediction = self._predict_small(body)
            request_id = self._count(prediction, body, self._digest(body), "", began, copied)
            return 200, self._answer(prediction, None, request_id)
        except RookeryError as error:
            self._fail(error.status, error.code, began, copied)
            return error.status, orjson.dumps(error.as_dict())
        except Exception:
            _log.exception("a prediction failed")
            self._fail(500, "internal", began, copied)
            return 500, orjson.dumps(_BROKEN.as_dict())

    def _predict_small(self, body: bytes) -> Prediction:
        return self.predictor.predict_small(body, measure=self.log is not None and self.log.wants_features())

    def _predict(self, body: bytes) -> tuple[Prediction, str]:
        return self.predictor.predict(body), self._digest(body)

    def _digest(self, body: bytes) -> str:
        return "" if self.log is None else hashlib.sha256(body).hexdigest()

    def _count(
        self, prediction: Prediction, body: bytes, digest: str, source: str, began: float, copied: bool
    ) -> str | None:
        best = prediction.labels[0]
        seconds = time.perf_counter() - began
        windows = 1 if prediction.timeline is None else len(prediction.timeline)
        self.telemetry.predicted(best["label"], best["probability"], prediction.novel, seconds, windows)
        # A copy is not copied again, whatever the settings of two servers say of each other.
        if self.shadow is not None and not copied:
            self.shadow.copy(body, source)
        if self.log is None:
            return None
        return self.log.predicted(prediction, body, digest, source, seconds, copied=copied)

    def _fail(self, status: int, code: str, began: float, copied: bool) -> None:
        self.telemetry.refused(status, code)
        if self.log is not None and status >= 500:
            self.log.failed(status, time.perf_counter() - began, copied=copied)

    def _answer(self, prediction: Prediction, top: int | None, request_id: str | None) -> bytes:
        body = prediction.as_dict()
        if top is not None:
            body["labels"] = body["labels"][:top]
        body.update(self._names)
        if request_id is not None:
            body["request_id"] = request_id
        return orjson.dumps(body)


async def refuse(error: RookeryError, receive: Receive, send: Send) -> None:
    """Answer with the error and close the connection after what the client is still sending."""
    answer = orjson.dumps(error.as_dict())
    headers = [*_JSON, (b"content-length", b"%d" % len(answer)), (b"connection", b"close")]
    if isinstance(error, Unavailable):
        headers.append((b"retry-after", b"%d" % error.retry_after_seconds))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer, "more_body": True})
    await linger(receive)
    await send({"type": "http.response.body", "body": b""})


def is_copy(headers: Headers) -> bool:
    """Whether another server sent this, as a copy of what it was asked."""
    return any(name == HEADER for name, _ in headers)


def top_of(query: bytes) -> int | None:
    """How many labels are wanted, from the query string.

    Raises:
        InvalidInput: `top` is no whole number from 1.
    """
    values = parse_qs(query.decode("latin-1")).get("top")
    if values is None:
        return None
    if not _TOP.fullmatch(values[-1]) or not 1 <= int(values[-1]) <= 100_000:
        raise InvalidInput("`top` is not a number of labels", value=values[-1], allowed="1 to 100000")
    return int(values[-1])


def source_of(query: bytes) -> str:
    """The site or device that the query string names; empty: none.

    Raises:
        InvalidInput: `source` is not a short plain name.
    """
    values = parse_qs(query.decode("latin-1")).get("source")
    if values is None:
        return ""
    if not _SOURCE.fullmatch(values[-1]):
        raise InvalidInput(
            "`source` is no name of a site",
            value=values[-1],
            allowed="up to 64 letters, digits, dots, colons, hyphens and underscores",
        )
    return values[-1]


def measure(predictor: Predictor, runs: int = 20) -> float:
    """Seconds that the models take for one window: the median of some runs, which also warm them up."""
    zeros = np.zeros(predictor.input_shape, dtype=np.float32)
    seconds = []
    for _ in range(runs):
        began = time.perf_counter()
        predictor.scores(zeros)
        seconds.append(time.perf_counter() - began)
        if sum(seconds) > 0.5:
            break
    return sorted(seconds)[len(seconds) // 2]
