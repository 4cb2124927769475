"""The page for people, its files, and what only the page asks for: examples, spectrograms, the API's description."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.staticfiles import StaticFiles

from services.bundle.manifest import AudioPreprocessing
from services.common.errors import NotFound
from services.media.audio import decode_audio, decode_samples, resample
from services.media.mel import log_mel
from services.media.prepare import check_work
from services.media.sniff import sniff
from services.media.spectrogram import spectrogram_png
from services.serve.models import UPLOAD
from services.serve.upload import ClientGone

if TYPE_CHECKING:
    from services.serve.app import ServeApp

_FOLDER = Path(__file__).parent / "page"
_EXAMPLES = 8
_SCAN_SIDE = 8
_MEDIA_TYPES = {
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "png": "image/png",
    "jpeg": "image/jpeg",
}
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=(self)",
    "cache-control": "no-cache",
}


def add_pages(web: FastAPI, app: ServeApp) -> None:
    """Add the page and its helpers to the application."""
    templates = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=select_autoescape(["html"]), trim_blocks=True
    )
    page = templates.get_template("index.html").render(**_facts(app))

    @web.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        """A page to draw, drop or record an input and see the answer."""
        return HTMLResponse(page, headers=_HEADERS)

    @web.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        text = templates.get_template("docs.html").render(api=web.openapi(), **_facts(app))
        return HTMLResponse(text, headers=_HEADERS)

    _add_examples(web, app)
    _add_spectrogram(web, app)
    web.mount("/static", StaticFiles(directory=_FOLDER / "static"))


def _facts(app: ServeApp) -> dict[str, Any]:
    manifest = app.bundle.manifest
    preprocessing = manifest.preprocessing
    settings: dict[str, Any] = {
        "kind": preprocessing.kind,
        "task": manifest.task,
        "threshold": manifest.threshold,
        "max_bytes": app.settings.max_bytes,
        "max_seconds": app.settings.max_seconds,
    }
    if isinstance(preprocessing, AudioPreprocessing):
        settings["sample_rate"] = preprocessing.sample_rate
    else:
        scans = manifest.dataset.source.split("?")[0] == "digits"
        settings["draw"] = preprocessing.channels == 1
        settings["draw_size"] = _SCAN_SIDE if scans else preprocessing.height
    return {
        "identity": app.identity,
        "manifest": manifest,
        "settings": settings,
        "examples": list(enumerate(app.bundle.golden.media_types[:_EXAMPLES])),
        "sound": preprocessing.kind == "audio",
    }


def _add_examples(web: FastAPI, app: ServeApp) -> None:
    golden = app.bundle.golden

    @web.get("/examples/{number}", tags=["recognition"], summary="An input that the model was verified with")
    async def example(number: int) -> Response:
        if not 0 <= number < min(len(golden.inputs), _EXAMPLES):
            raise NotFound("no such example", value=number, allowed=f"0 to {len(golden.inputs) - 1}")
        media_type = _MEDIA_TYPES.get(golden.media_types[number], "application/octet-stream")
        return Response(
            golden.inputs[number], media_type=media_type, headers={"x-content-type-options": "nosniff"}
        )


def _add_spectrogram(web: FastAPI, app: ServeApp) -> None:
    preprocessing = app.bundle.manifest.preprocessing
    if not isinstance(preprocessing, AudioPreprocessing):
        return
    limits = app.settings.limits()

    def draw(data: bytes) -> bytes:
        if sniff(data) == "npy":
            sound = decode_samples(data, preprocessing.sample_rate, limits)
        else:
            sound = decode_audio(data, limits)
        count = round(sound.duration * preprocessing.sample_rate)
        check_work(count, (1, 1, preprocessing.n_mels, log_mel(preprocessing).frames(count)), limits)
        samples = resample(sound.samples, sound.sample_rate, preprocessing.sample_rate)
        return spectrogram_png(samples, preprocessing)

    @web.post(
        "/spectrogram",
        tags=["recognition"],
        summary="The sound as the model sees it, a PNG",
        openapi_extra={"requestBody": UPLOAD},
    )
    async def spectrogram(request: Request) -> Response:
        try:
            data = await app.uploads.read(request.scope, request.receive)
        except ClientGone:
            return Response(status_code=499)
        picture = await app.work.run(draw, data)
        return Response(picture, media_type="image/png", headers={"cache-control": "no-store"})
