"""A copy of production's inputs for a canary: bounded, in its own time, and forgotten where there is trouble.

The event loop only appends to a queue. A thread looks there now and then and posts what it finds to the other server,
whatever that thinks of it: both servers log their answers, and the monitor pairs them by the digest of the input.
"""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from services.serve.settings import ServeSettings

HEADER = b"x-rookery-shadow"
_LOOK_SECONDS = 0.05
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_log = logging.getLogger(__name__)


class Shadow:
    """Sends copies to `shadow_url`. `copy` is called from the event loop only.

    Attributes:
        sent: copies that were answered, with whatever status.
        dropped: copies that were not made: more than the rate allows, or no place in the queue.
        lost: copies that lay in the queue, or were under way, when the other server was away or too slow.
    """

    def __init__(self, settings: ServeSettings) -> None:
        parts = urlsplit(settings.shadow_url)
        self.sent = self.dropped = self.lost = 0
        self._host, self._port = parts.hostname or "", parts.port
        self._secure, self._path = parts.scheme == "https", f"{parts.path.rstrip('/')}/predict"
        self._most, self._most_bytes = settings.shadow_waiting, settings.shadow_bytes
        self._seconds, self._rate = settings.shadow_seconds, settings.shadow_rate
        self._left, self._until = 0.0, 0.0
        self._queue: deque[tuple[bytes, str]] = deque()
        # One written by the event loop, the other by the thread: no sum of both can be lost between them.
        self._taken = self._gone = 0
        self._ended = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def copy(self, body: bytes, source: str) -> None:
        """Take an input that was answered here."""
        now = time.monotonic()
        if now >= self._until:
            self._left, self._until = self._rate, now + 1
        size = len(body)
        full = len(self._queue) >= self._most or self._taken - self._gone + size > self._most_bytes
        if self._left < 1 or full:
            self.dropped += 1
            return
        self._left -= 1
        self._taken += size
        self._queue.append((body, source))

    def waiting(self) -> int:
        """Copies in the queue."""
        return len(self._queue)

    def close(self) -> None:
        """Forget what waits, and end."""
        self._ended.set()
        self._thread.join(self._seconds + 1)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        # Nobody wakes this thread: it would take the interpreter from the very answer that it is to copy.
        while not self._ended.wait(_LOOK_SECONDS):
            while self._queue and not self._ended.is_set():
                body, source = self._queue.popleft()
                self._gone += len(body)
                try:
                    self._send(body, source)
                except (OSError, http.client.HTTPException) as error:
                    _log.debug("a copy was lost: %s", error)
                    self.lost += 1
                    self._hang_up()
                    self._ended.wait(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
                    self._forget()
                except Exception:
                    _log.exception("the shadow stumbled and goes on")
                    self.lost += 1
                    self._hang_up()
                else:
                    pause = _FIRST_PAUSE
                    self.sent += 1
                    self._ended.wait(0.25 / self._rate)
        self._hang_up()

    def _send(self, body: bytes, source: str) -> None:
        """Post one; a kept connection that the other side closed meanwhile is opened again once."""
        headers = {"content-type": "application/octet-stream", HEADER.decode(): "1"}
        path = f"{self._path}?source={quote(source)}" if source else self._path
        kept = self._connection is not None
        try:
            self._post(path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError, BrokenPipeError):
            if not kept:
                raise
            self._hang_up()
            self._post(path, body, headers)

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        if self._connection is None:
            make = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._connection = make(self._host, self._port, timeout=self._seconds)
            self._connection.connect()
            # Head and body are two writes; without this the second waits for an acknowledgement.
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.request("POST", path, body, headers)
        answer = self._connection.getresponse()
        answer.read()

    def _forget(self) -> None:
        """What has gathered while the other server was away is stale."""
        while self._queue:
            body, _ = self._queue.popleft()
            self._gone += len(body)
            self.lost += 1

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
