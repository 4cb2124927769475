"""News for open pages, as server-sent events: the parts that changed, as HTML, in the moment in which it is known."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from services.board.cache import Cache
from services.board.sessions import Session
from services.board.views import Views, unlike
from services.common.errors import RookeryError, Unavailable

_COMMENT_SECONDS = 15.0
_LONGEST_SECONDS = 3600.0


class Live:
    """Keeps open pages up to date.

    Args:
        seconds: pause between two looks.
        viewers: streams at the same time; one more is refused, and its page asks again later.
    """

    def __init__(self, views: Views, cache: Cache, seconds: float, viewers: int) -> None:
        self._views = views
        self._cache = cache
        self._seconds = seconds
        self._viewers = viewers
        self.open = 0

    def admit(self) -> None:
        """Pass when there is room for one more.

        Raises:
            Unavailable: too many pages are open.
        """
        if self.open >= self._viewers:
            raise Unavailable("too many pages are open to keep all of them live", value=self.open)

    async def stream(
        self,
        path: str,
        session: Session,
        gone: Callable[[], Awaitable[bool]],
        valid: Callable[[], bool],
    ) -> AsyncIterator[str]:
        """Events `parts` {name: html} until the reader is gone or logged out.

        Nothing is rendered while nothing that the page read has changed.
        """
        self.open += 1
        try:
            parts, used, generation = await run_in_threadpool(self._look, path, session)
            yield _event("parts", {name: str(html) for name, html in parts.items()})
            quiet = passed = 0.0
            while passed < _LONGEST_SECONDS and valid() and not await gone():
                await asyncio.sleep(self._seconds)
                quiet, passed = quiet + self._seconds, passed + self._seconds
                self._cache.touch(used)
                if self._cache.generation != generation:
                    try:
                        fresh, used, generation = await run_in_threadpool(self._look, path, session)
                    except RookeryError:
                        generation = self._cache.generation
                        continue
                    changed = unlike(parts, fresh)
                    parts = fresh
                    if changed:
                        quiet = 0.0
                        yield _event("parts", changed)
                if quiet >= _COMMENT_SECONDS:
                    quiet = 0.0
                    yield ": still here\n\n"
            if not valid():
                yield _event("leave", {})
        finally:
            self.open -= 1

    def _look(self, path: str, session: Session) -> tuple[dict[str, Markup], set[str], int]:
        # Read before the page is made: what changes meanwhile is found at the next look.
        generation = self._cache.generation
        with self._cache.recording() as used:
            parts = self._views.page(path, session).parts
        return parts, used, generation


def _event(name: str, content: dict[str, str]) -> str:
    return f"event: {name}\ndata: {json.dumps(content)}\n\n"
