"""Other services asked over HTTP, with short waits and bounded answers."""

from __future__ import annotations

from typing import Any

import httpx

from services.common.errors import RookeryError, Unavailable
from services.common.trust import authorities

_MOST_BYTES = 4 << 20


class NotRunning(RookeryError):
    """A service that nobody started, or that the board was not told of."""

    code = "not-running"
    status = 503


class Asker:
    """Asks; one pool of connections for all places."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._http = httpx.Client(
            timeout=seconds,
            trust_env=False,
            limits=httpx.Limits(max_connections=40),
            follow_redirects=False,
            verify=authorities(),
        )

    def json(self, base: str, path: str, *, token: str = "", **params: str) -> Any:
        """The content of an answer.

        Raises:
            NotRunning: no address is known.
            Unavailable: no answer in time, not 200, too large, or no JSON.
        """
        answer = self._get(base, path, token, params)
        try:
            return answer.json()
        except ValueError as error:
            raise Unavailable("the answer is no JSON", value=f"{base}{path}") from error

    def text(self, base: str, path: str) -> str:
        """The same as text."""
        return self._get(base, path, "", {}).text

    def answers(self, base: str, path: str) -> bool:
        """Whether it says 200.

        Raises:
            NotRunning: no address is known.
            Unavailable: it says something else, or nothing.
        """
        self._get(base, path, "", {})
        return True

    def close(self) -> None:
        """Lets go of the connections."""
        self._http.close()

    def _get(self, base: str, path: str, token: str, params: dict[str, str]) -> httpx.Response:
        if not base:
            raise NotRunning("not running")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with self._http.stream("GET", base + path, params=params, headers=headers) as answer:
                content = bytearray()
                for block in answer.iter_bytes():
                    content += block
                    if len(content) > _MOST_BYTES:
                        raise Unavailable("the answer is too large", value=f"{base}{path}")
                found = httpx.Response(answer.status_code, content=bytes(content), request=answer.request)
        except httpx.TimeoutException as error:
            raise Unavailable(f"no answer within {self._seconds:g} s", value=base) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable("does not answer", value=base) from error
        if found.status_code != httpx.codes.OK:
            raise Unavailable(_said(found), value=f"{base}{path}")
        return found


def _said(answer: httpx.Response) -> str:
    try:
        message = str(answer.json()["message"])[:300]
    except (ValueError, KeyError, TypeError):
        message = ""
    return f"answers {answer.status_code}{': ' + message if message else ''}"
