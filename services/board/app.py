"""The HTTP face of the board: pages for people who are logged in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.board.actions import Actions
from services.board.asking import Asker
from services.board.audit import Audit
from services.board.cache import Cache
from services.board.live import Live
from services.board.place import Place, open_place
from services.board.render import FOLDER, PAGE_HEADERS, render
from services.board.routes import add_doing, add_login, add_reading
from services.board.sessions import Session, Sessions
from services.board.settings import BoardSettings
from services.board.sources import Sources
from services.board.token import ensure_token
from services.board.views import Views
from services.common.answers import as_error, as_invalid_input
from services.common.bearer import Unauthorized
from services.common.errors import RookeryError, Unavailable
from services.common.hosts import KnownHosts
from workflows.local.settings import PlatformSettings, load_settings


class Board:
    """What the routes share.

    Args:
        place: this machine or a cluster.
    """

    def __init__(self, settings: BoardSettings, place: Place, token: str) -> None:
        self.settings = settings
        self.place = place
        self.cache = Cache(settings.page_seconds)
        self.asker = Asker(settings.ask_seconds)
        self.sources = Sources(settings, place, self.cache, self.asker)
        self.audit = Audit(settings.state_dir / "actions.jsonl")
        self.sessions = Sessions(settings.state_dir / "sessions.json", token, settings.session_hours * 3600)
        self.views = Views(self.sources, self.audit)
        self.actions = Actions(self.sources, self.audit)
        self.live = Live(self.views, self.cache, settings.live_seconds, settings.viewers)
        self.registry = CollectorRegistry()
        self.pages = Counter("rookery_board_pages", "Answers by status", ["status"], registry=self.registry)
        self.streams = Gauge("rookery_board_streams", "Pages that are kept live", registry=self.registry)

    @property
    def cookie(self) -> str:
        """Cookies know no ports, so that two boards of one machine need two names."""
        return f"rookery-board-{self.settings.port}"

    def close(self) -> None:
        """Lets go of threads and connections."""
        self.cache.close()
        self.asker.close()


def create_app(settings: BoardSettings, platform: PlatformSettings | None = None) -> FastAPI:
    """The application; `platform` is this machine's, read from its settings if it is not given."""
    token = ensure_token(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as stack:
            place = stack.enter_context(open_place(settings, platform or load_settings()))
            board = Board(settings, place, token)
            stack.callback(board.close)
            app.state.board = board
            yield

    app = FastAPI(
        title="Rookery board",
        version="0.1.0",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    _add_answers(app)
    app.add_middleware(KnownHosts, hosts=settings.known_hosts())
    add_login(app)
    add_reading(app)
    add_doing(app)
    _add_operation(app)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"))
    return app


def _add_answers(app: FastAPI) -> None:
    app.add_middleware(_Finish, board=lambda: app.state.board)

    @app.exception_handler(RookeryError)
    async def on_error(request: Request, error: RookeryError) -> Response:
        return _problem(request, error, error.status)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        return _problem(request, as_error(request, error), error.status_code)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        found = as_invalid_input(error)
        return _problem(request, found, found.status)


class _Finish:
    """Adds the headers of every answer, and counts it; streams pass through as they are."""

    def __init__(self, app: ASGIApp, board: Callable[[], Board]) -> None:
        self._app = app
        self._board = board

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kept = scope["path"].startswith("/static/")

        async def finish(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in PAGE_HEADERS.items():
                    if not (kept and name == "Cache-Control"):
                        headers.setdefault(name, value)
                self._board().pages.labels(str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, finish)


def _problem(request: Request, error: RookeryError, status: int) -> Response:
    board: Board = request.app.state.board
    session: Session | None = board.sessions.find(request.cookies.get(board.cookie))
    if isinstance(error, Unauthorized) and _wants_page(request):
        query = f"?{request.url.query}" if request.url.query else ""
        target = request.url.path + query if request.method == "GET" else "/"
        return RedirectResponse(f"/login?{urlencode({'to': target}, safe='/')}", 303)
    headers = {"Retry-After": str(Unavailable.retry_after_seconds)} if status == Unavailable.status else {}
    if not _wants_page(request):
        return JSONResponse(error.as_dict(), status, headers)
    html = render(
        "problem.html", error=error, status=status, session=session, section="", place=board.place.title
    )
    return HTMLResponse(html, status, headers)


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _add_operation(app: FastAPI) -> None:
    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="There is a platform to show")
    async def readyz(request: Request) -> dict[str, str]:
        board: Board = request.app.state.board
        await run_in_threadpool(board.place.check)
        return {"status": "ready"}

    @app.get("/metrics", summary="Counters for Prometheus")
    async def metrics(request: Request) -> PlainTextResponse:
        board: Board = request.app.state.board
        board.streams.set(board.live.open)
        return PlainTextResponse(generate_latest(board.registry))
