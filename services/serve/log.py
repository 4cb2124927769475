"""The prediction log: one record a prediction, written aside so that no request waits for it.

The event loop only appends to a queue; a thread brings what has gathered to the spool and, where an address is given,
closed segments to the monitor service. Lost on `kill -9`: what gathered since the last batch.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from services.common.digest import short
from services.serve.ids import RequestIds, find_key
from services.serve.sender import Sender
from services.serve.spool import INPUT, REFERENCE, Spool

if TYPE_CHECKING:
    from services.bundle.manifest import BundleManifest
    from services.serve.identity import Identity
    from services.serve.prediction import Prediction
    from services.serve.settings import ServeSettings

BATCH = 512
_QUEUED = 32 * BATCH
_QUEUED_INPUT_BYTES = 32 << 20
_TOP = 5
_PAUSE_SECONDS = 0.5
_FEATURES_A_SECOND = 50
_log = logging.getLogger(__name__)


class PredictionLog:
    """Records of one serving process. `predicted`, `failed` and `feedback` are called from the event loop only.

    Attributes:
        records: how many were taken.
        dropped: how many found no place in the queue; the spool counts its own.

    Args:
        golden: inputs of verifications; the monitor is told their digests, since they are nobody's.
    """

    def __init__(
        self,
        settings: ServeSettings,
        identity: Identity,
        manifest: BundleManifest,
        golden: Sequence[bytes] = (),
    ) -> None:
        assert settings.log_dir is not None
        folder = settings.log_dir
        head = {
            "application": identity.application,
            "environment": identity.environment or "local",
            "version": identity.model_version,
            "bundle_digest": identity.bundle_digest,
        }
        self.spool = Spool(
            folder,
            head,
            most_bytes=settings.log_bytes,
            segment_bytes=settings.log_segment_bytes,
            segment_seconds=settings.log_segment_seconds,
        )
        self.ids = RequestIds(
            find_key(settings.log_key.get_secret_value(), folder), head["application"], head["environment"]
        )
        self.records = 0
        self.dropped = 0
        self._features_left, self._features_until = 0, 0.0
        self._lines: deque[bytes] = deque()
        self._inputs: deque[tuple[str, bytes]] | None = deque() if settings.log_inputs else None
        self._input_bytes = 0
        self._wake, self._ended = threading.Event(), threading.Event()
        reference = {
            "schema": "rookery.reference/1",
            "bundle_digest": identity.bundle_digest,
            "labels": manifest.labels,
            "novelty_threshold": manifest.novelty.threshold,
            "reference": {name: value.model_dump() for name, value in manifest.reference.items()},
            "golden": [hashlib.sha256(data).hexdigest() for data in golden],
        }
        self._reference = (short(identity.bundle_digest) + REFERENCE, orjson.dumps(reference))
        self.sender = Sender(settings.log_url, settings.log_token.get_secret_value(), self.spool.folder)
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def wants_features(self) -> bool:
        """Whether to measure the next small picture: the first 50 of each second, since it costs as much as the rest
        of the log, and drift does not need more."""
        now = time.monotonic()
        if now >= self._features_until:
            self._features_left, self._features_until = _FEATURES_A_SECOND, now + 1
        self._features_left -= 1
        return self._features_left >= 0

    def predicted(
        self,
        prediction: Prediction,
        body: bytes,
        digest: str,
        source: str,
        seconds: float,
        *,
        copied: bool = False,
    ) -> str:
        """Take one answered prediction; returns its signed request id.

        Args:
            digest: SHA-256 of the input, hex.
            source: site or device that the client names; empty: none.
            seconds: from the request's first byte to the answer.
            copied: it is a copy of what another server was asked; its record begins with `s` in place of `p`.
        """
        now = time.time_ns() // 1_000_000
        request_id = self.ids.next(now)
        best = [(entry["label"], entry["probability"]) for entry in prediction.labels[:_TOP]]
        scores = (prediction.novelty, prediction.novel)
        kind = "s" if copied else "p"
        self._add([kind, now, request_id[:32], digest, best, *scores, seconds, source, prediction.features])
        if self._inputs is not None and not copied and self._input_bytes + len(body) <= _QUEUED_INPUT_BYTES:
            self._input_bytes += len(body)
            self._inputs.append((digest, body))
        return request_id

    def failed(self, status: int, seconds: float, *, copied: bool = False) -> None:
        """Take one prediction that the server owed and did not give (5xx); `g` for one of a copy."""
        self._add(["g" if copied else "f", time.time_ns() // 1_000_000, status, seconds])

    def feedback(self, request_id: str, labels: list[str]) -> str:
        """Take what somebody says of a prediction; `request_id` was checked and shortened by `ids.check`."""
        self._add(["b", time.time_ns() // 1_000_000, request_id, labels])
        return request_id

    def close(self) -> None:
        """Bring everything to the spool, and once to the monitor."""
        self._ended.set()
        self._wake.set()
        self._thread.join(10)

    def _add(self, record: list[Any]) -> None:
        lines = self._lines
        if len(lines) >= _QUEUED:
            self.dropped += 1
            return
        self.records += 1
        lines.append(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
        if len(lines) == BATCH:
            self._wake.set()

    def _run(self) -> None:
        self.spool.put(*self._reference)
        while not self._ended.is_set():
            self._wake.wait(_PAUSE_SECONDS)
            self._wake.clear()
            self._step()
        self._step()
        self._guard(self.spool.close)
        self._guard(self.sender.last)

    def _step(self) -> None:
        self._guard(self._write)
        self._guard(self.sender.send)

    def _write(self) -> None:
        lines = self._lines
        self.spool.write([lines.popleft() for _ in range(len(lines))])
        while self._inputs:
            digest, body = self._inputs.popleft()
            self._input_bytes -= len(body)
            self.spool.put(digest + INPUT, body)

    @staticmethod
    def _guard(function: Any) -> None:
        try:
            function()
        except Exception:
            _log.exception("the prediction log stumbled and goes on")
