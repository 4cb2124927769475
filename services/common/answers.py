"""Errors as every HTTP service answers them: one body, and Retry-After where waiting may help."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from services.common.bearer import Unauthorized
from services.common.errors import InvalidInput, RookeryError, Unavailable


def add_error_answers(app: FastAPI) -> None:
    """Answer the errors of `services.common.errors`, and parameters that are not valid, with their sentence."""
    app.add_exception_handler(RookeryError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)


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


def as_invalid_input(error: RequestValidationError) -> InvalidInput:
    """The first parameter that is not valid, as a sentence."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return InvalidInput(f"the body is no JSON, at character {first['loc'][-1]}: {first['ctx']['error']}")
    name = ".".join(str(part) for part in first["loc"][1:])
    return InvalidInput(f"parameter `{name}`: {first['msg']}", value=first.get("input"))
