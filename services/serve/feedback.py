"""`POST /feedback`: what somebody says that an input really was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.common.errors import InvalidInput, NotFound, TooLarge
from services.serve.models import ErrorBody

if TYPE_CHECKING:
    from services.serve.app import ServeApp

_MOST_BYTES = 8 << 10
Label = Annotated[str, StringConstraints(min_length=1, max_length=120)]


class FeedbackBody(BaseModel):
    """What `POST /feedback` takes. The label may be one that the model does not know."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(description="as `/predict` gave it")
    labels: list[Label] = Field(max_length=20, description="what is there; empty: nothing of interest")


def add_feedback(web: FastAPI, app: ServeApp) -> None:
    """Add the route. Feedback for a prediction that was not made here is refused by the id's signature."""

    @web.post(
        "/feedback",
        tags=["recognition"],
        summary="Say what an input really was",
        status_code=202,
        responses={code: {"model": ErrorBody} for code in (404, 409, 413, 422)},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": FeedbackBody.model_json_schema()}},
            }
        },
    )
    async def feedback(request: Request) -> JSONResponse:
        if app.log is None:
            raise NotFound("predictions are not logged here", allowed="ROOKERY_SERVE_LOG_DIR=folder")
        given = parse(await _small_body(request))
        name = app.log.ids.check(given.request_id, oldest_seconds=app.settings.feedback_days * 86_400)
        app.log.feedback(name, given.labels)
        return JSONResponse({"status": "taken", "labels": given.labels}, 202)


def parse(data: bytes) -> FeedbackBody:
    """The body. Raises InvalidInput that names the field, also for labels with control characters."""
    try:
        given = FeedbackBody.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        value: Any = None if first["loc"] == () else first.get("input")
        raise InvalidInput(f"feedback: {place}: {first['msg']}", value=value) from error
    for label in given.labels:
        if not label.isprintable():
            raise InvalidInput("feedback: a label has characters that cannot be printed", value=label)
    return given


async def _small_body(request: Request) -> bytes:
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _MOST_BYTES:
            raise TooLarge("the feedback is too large", allowed=f"up to {_MOST_BYTES} bytes")
    return data
