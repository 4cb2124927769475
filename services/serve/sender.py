"""Closed segments to the monitor service, over HTTP, from the thread of the log."""

from __future__ import annotations

import http.client
import time
from pathlib import Path
from urllib.parse import urlsplit

from services.serve.spool import CLOSED, INPUT, REFERENCE

_TIMEOUT_SECONDS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_LAST_SECONDS = 5.0
_KINDS = {REFERENCE: "references", CLOSED: "segments", INPUT: "inputs"}


class Sender:
    """Puts files of the spool to `url` and removes those that arrived; does nothing without a url.

    Attributes:
        sent: files that arrived.
        refused: files that the monitor will never take; they are removed.
    """

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self.sent = 0
        self.refused = 0
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._folder = folder
        self._pause = _FIRST_PAUSE
        self._next = 0.0

    def send(self) -> bool:
        """Send what is closed, unless the monitor was away a moment ago; whether all of it went."""
        if not self._url or time.monotonic() < self._next:
            return not self._url
        files = self._files()
        if not files:
            return True
        try:
            self._send(files)
        except (OSError, http.client.HTTPException):
            self._next = time.monotonic() + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            return False
        self._pause = _FIRST_PAUSE
        return True

    def last(self) -> None:
        """Try for some seconds to send everything; what is left stays in the spool."""
        deadline = time.monotonic() + _LAST_SECONDS
        while time.monotonic() < deadline:
            self._next = 0.0
            if self.send():
                return
            time.sleep(0.5)

    def _files(self) -> list[Path]:
        found = [path for path in self._folder.iterdir() if path.suffix in _KINDS]
        order = list(_KINDS)
        return sorted(found, key=lambda path: (order.index(path.suffix), path.name))

    def _send(self, files: list[Path]) -> None:
        parts = urlsplit(self._url)
        make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = make(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
        try:
            for path in files:
                self._send_one(connection, parts.path, path)
        finally:
            connection.close()

    def _send_one(self, connection: http.client.HTTPConnection, root: str, path: Path) -> None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
        connection.request("PUT", f"{root}/{_KINDS[path.suffix]}/{path.stem}", data, self._headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status in (400, 409, 413, 415, 422):
            self.refused += 1
        elif answer.status >= 300:
            raise http.client.HTTPException(f"the monitor answered {answer.status}")
        else:
            self.sent += 1
        path.unlink(missing_ok=True)
