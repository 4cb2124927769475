"""Errors as every HTTP service answers them: one body, and Retry-After where waiting may help."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from services.common.bearer import Unauthorized
from services.common.errors import InvalidInput, NotFound, RookeryError, Unavailable


class WrongMethod(RookeryError):
    """An address that does not take this method."""

    code = "wrong-method"
    status = 405


def add_error_answers(app: FastAPI) -> None:
    """Answer the errors of `services.common.errors`, and requests that no route takes, with their sentence."""
    app.add_exception_handler(RookeryError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)


async def _on_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RookeryError)
    status, body = error.answer()
    headers = {}
    if status == Unavailable.status:
        headers["Retry-After"] = str(Unavailable.retry_after_seconds)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = error.challenge
    return JSONResponse(body, status, headers)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return await _on_error(request, as_invalid_input(error))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    """What the routing itself refuses."""
    assert isinstance(error, HTTPException)
    answer = as_error(request, error)
    return JSONResponse(answer.as_dict(), error.status_code, error.headers)


def as_error(request: Request, error: HTTPException) -> RookeryError:
    """What the routing refused, as a sentence that names it."""
    if error.status_code == NotFound.status:
        return NotFound("there is nothing at this address", value=request.url.path)
    if error.status_code == WrongMethod.status:
        allowed = (error.headers or {}).get("Allow")
        return WrongMethod(
            f"{request.url.path} does not take this method", value=request.method, allowed=allowed
        )
    return RookeryError(str(error.detail))


def as_invalid_input(error: RequestValidationError) -> InvalidInput:
    """The first parameter that is not valid, as a sentence."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return InvalidInput(f"the body is no JSON, at character {first['loc'][-1]}: {first['ctx']['error']}")
    name = ".".join(str(part) for part in first["loc"][1:])
    return InvalidInput(f"parameter `{name}`: {first['msg']}", value=first.get("input"))
