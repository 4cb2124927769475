"""The routes: log in and out, read, do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from services.board.actions import TEMPLATES, Asked
from services.board.forms import check_csrf, check_origin, read_form
from services.board.render import render
from services.board.sessions import MOST_NAME, Session
from services.common.bearer import Unauthorized
from services.common.errors import InvalidInput, RookeryError
from services.common.names import check_name

if TYPE_CHECKING:
    from services.board.app import Board

_FIRST = ("application", "model-name", "data-source", "epochs", "lr", "seed")


def add_login(app: FastAPI) -> None:
    """Log in and out."""

    @app.get("/login", summary="The page to log in")
    async def login_page(request: Request, to: str = "/") -> HTMLResponse:
        return _login_page(_board(request), to, "")

    @app.post("/login", summary="Log in with a name and the token")
    async def login(request: Request) -> Response:
        board = _board(request)
        check_origin(request)
        fields = await read_form(request)
        name, address = fields.get("name", ""), _address(request)
        try:
            cookie, session = await run_in_threadpool(
                board.sessions.login, name, fields.get("token", ""), address
            )
        except RookeryError as error:
            # Of an address ten a minute: who sends more, or no name, fills no disk.
            if isinstance(error, Unauthorized):
                shown = " ".join(name.split())[:MOST_NAME]
                await run_in_threadpool(board.actions.told, shown, address, "login", "refused", error.message)
            return _login_page(board, fields.get("to", "/"), error.message, name, error.status)
        await run_in_threadpool(board.actions.told, session.name, address, "login", "done")
        answer = RedirectResponse(_inside(fields.get("to", "/")), 303)
        answer.set_cookie(
            board.cookie,
            cookie,
            max_age=int(board.settings.session_hours * 3600),
            httponly=True,
            secure=board.settings.secure_cookie,
            samesite="strict",
            path="/",
        )
        return answer

    @app.post("/logout", summary="Log out")
    async def logout(request: Request) -> Response:
        board = _board(request)
        session, _ = await _posted(request)
        await run_in_threadpool(board.sessions.logout, session)
        await run_in_threadpool(board.actions.told, session.name, _address(request), "logout", "done")
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(board.cookie, path="/", httponly=True, samesite="strict")
        return answer


def add_reading(app: FastAPI) -> None:
    """The pages, their news, and the pages before a button is pressed."""
    _add_pages(app)
    _add_news(app)
    _add_submit_page(app)
    _add_release_pages(app)


def _add_pages(app: FastAPI) -> None:

    async def show(request: Request) -> HTMLResponse:
        board, session = _board(request), _session(request)
        return await run_in_threadpool(_show, board, session, request.url.path)

    @app.get("/", include_in_schema=False)
    async def overview(request: Request) -> HTMLResponse:
        """All applications: environments, workflows at work, decisions."""
        return await show(request)

    for path, summary in (
        ("/applications/{application}", "One application: its environments and their history"),
        ("/applications/{application}/{environment}", "One environment: lineage, gate, drift, history"),
        ("/applications/{application}/{environment}/verify", "What the last comparison of its places found"),
        ("/runs", "The newest workflows"),
        ("/runs/{name}", "One workflow: its steps and what they wrote"),
        ("/decisions", "Why retrainings happened or did not"),
        ("/labels", "What waits to be labelled"),
        ("/actions", "What was done from the board, and by whom"),
    ):
        app.add_api_route(path, show, methods=["GET"], summary=summary, response_class=HTMLResponse)


def _add_news(app: FastAPI) -> None:
    @app.get("/live", summary="News of a page, as server-sent events")
    async def live(request: Request, path: str = Query("/", max_length=300)) -> StreamingResponse:
        board, session = _board(request), _session(request)
        board.live.admit()
        await run_in_threadpool(board.views.page, path, session)

        def valid() -> bool:
            return board.sessions.find(request.cookies.get(board.cookie)) is not None

        stream = board.live.stream(path, session, request.is_disconnected, valid)
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


def _add_submit_page(app: FastAPI) -> None:
    @app.get("/submit", summary="The form of a workflow")
    async def submit_page(request: Request, template: str = "train-model", application: str = "") -> Any:
        board, session = _board(request), _session(request)
        fields = await run_in_threadpool(board.actions.fields, template)
        reading = await run_in_threadpool(board.sources.applications)
        names = sorted(reading.value or {})
        chosen = application if application in names else (names[0] if names else "")
        first = [one for one in fields if one.name in _FIRST or template != "train-model"]
        return HTMLResponse(
            render(
                "submit.html", session=session, section="/submit", place=board.place.title, template=template,
                templates=TEMPLATES, first=first, more=[one for one in fields if one not in first],
                names=names, chosen=chosen, title="Start a workflow", crumbs=[],
            )
        )  # fmt: skip


def _add_release_pages(app: FastAPI) -> None:
    @app.get("/promote", summary="What a promotion would change, and the button for it")
    async def promote_page(
        request: Request, application: str, source: str = Query(alias="from"), target: str = Query(alias="to")
    ) -> HTMLResponse:
        board, session = _board(request), _session(request)
        check_name(application), check_name(source, "environment"), check_name(target, "environment")
        reading = await run_in_threadpool(board.sources.plan, application, source, target)
        return HTMLResponse(
            render(
                "promote.html", session=session, section="/", place=board.place.title, plan=reading.value,
                problem=reading.problem, application=application, source=source, target=target,
                title=f"Promote to {target}", crumbs=_crumbs(application),
            )
        )  # fmt: skip

    @app.get("/rollback", summary="What a rollback would leave, and the button for it")
    async def rollback_page(request: Request, application: str, environment: str) -> HTMLResponse:
        board, session = _board(request), _session(request)
        check_name(application), check_name(environment, "environment")
        past = await run_in_threadpool(board.sources.past, application, environment)
        return HTMLResponse(
            render(
                "rollback.html", session=session, section="/", place=board.place.title,
                steps=past.value or [], problem=past.problem, application=application,
                environment=environment, title=f"Roll back {environment}", crumbs=_crumbs(application),
            )
        )  # fmt: skip

    @app.get("/verify", summary="Compare git, registry, image and memory of an environment now")
    async def verify(request: Request, application: str, environment: str) -> Response:
        _session(request)
        check_name(application), check_name(environment, "environment")
        _board(request).sources.verify_again(application, environment)
        return RedirectResponse(f"/applications/{application}/{environment}/verify", 303)


def add_doing(app: FastAPI) -> None:
    """What changes something: always a form of a page of ours."""

    @app.post("/submit", summary="Begin a workflow of a template")
    async def submit(request: Request) -> Response:
        session, fields = await _posted(request)
        template = fields.pop("template", "")
        return await _begin(request, session, template, fields)

    @app.post("/promote", summary="Begin promote-model")
    async def promote(request: Request) -> Response:
        session, fields = await _posted(request)
        return await _begin(request, session, "promote-model", fields)

    @app.post("/rollback", summary="Begin rollback-model")
    async def rollback(request: Request) -> Response:
        session, fields = await _posted(request)
        fields["quarantine"] = "true" if fields.get("quarantine") else "false"
        return await _begin(request, session, "rollback-model", fields)

    @app.post("/runs/{name}/{what}", summary="approve, cancel or resume a workflow")
    async def change(request: Request, name: str, what: str) -> Response:
        session, fields = await _posted(request)
        actions, asked = _board(request).actions, Asked(session, _address(request))
        if what == "approve":
            await run_in_threadpool(actions.approve, asked, name, fields.get("step", ""))
        elif what == "cancel":
            await run_in_threadpool(actions.cancel, asked, name)
        elif what == "resume":
            await run_in_threadpool(actions.resume, asked, name)
        else:
            raise InvalidInput(
                "this cannot be done to a workflow", value=what, allowed="approve, cancel, resume"
            )
        return RedirectResponse(f"/runs/{name}", 303)


async def _begin(request: Request, session: Session, template: str, fields: dict[str, str]) -> Response:
    asked = Asked(session, _address(request))
    name = await run_in_threadpool(_board(request).actions.submit, asked, template, fields)
    return RedirectResponse(f"/runs/{name}", 303)


async def _posted(request: Request) -> tuple[Session, dict[str, str]]:
    """Who sends a form, and its fields.

    Raises:
        Unauthorized: nobody who is logged in.
        Forged: no page of this login sent it.
    """
    session = _session(request)
    check_origin(request)
    return session, check_csrf(await read_form(request), session)


def _show(board: Board, session: Session, path: str) -> HTMLResponse:
    page = board.views.page(path, session)
    return HTMLResponse(
        render(
            "page.html", session=session, section=page.section, place=board.place.title, title=page.title,
            crumbs=page.crumbs, parts=page.parts, path=path,
        )
    )  # fmt: skip


def _login_page(board: Board, to: str, problem: str, name: str = "", status: int = 200) -> HTMLResponse:
    html = render(
        "login.html",
        to=_inside(to),
        problem=problem,
        name=name,
        file="" if board.settings.token.get_secret_value() else str(board.settings.state_dir / "token"),
        place=board.place.title,
    )
    return HTMLResponse(html, status)


def _inside(path: str) -> str:
    """A path of ours to go on to; the first page for anything else."""
    parts = urlsplit(path)
    inside = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc
    return path if inside and path.isprintable() else "/"


def _crumbs(application: str) -> list[tuple[str, str]]:
    return [("Overview", "/"), (application, f"/applications/{application}")]


def _session(request: Request) -> Session:
    board = _board(request)
    session = board.sessions.find(request.cookies.get(board.cookie))
    if session is None:
        raise Unauthorized("log in first", allowed="/login")
    return session


def _board(request: Request) -> Board:
    board: Board = request.app.state.board
    return board


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"
