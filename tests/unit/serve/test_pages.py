from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx

from services.bundle.reader import Bundle
from services.serve.app import ServeApp, create_app
from services.serve.settings import ServeSettings
from tests.support.bundles import tone_wav


def _draw(app: ServeApp, sound: bytes) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app.web)
        async with httpx.AsyncClient(transport=transport, base_url="http://serve") as client:
            return await client.post("/spectrogram", content=sound)

    return asyncio.run(ask())


def test_a_spectrogram_that_would_fill_the_memory_is_refused_before_it_is_computed(tones: Bundle) -> None:
    fine = tones.manifest.preprocessing.model_copy(update={"hop_length": 16, "n_mels": 256})
    app = create_app(
        replace(tones, manifest=tones.manifest.model_copy(update={"preprocessing": fine})), ServeSettings()
    )
    try:
        assert _draw(app, tone_wav(400.0, 1.0)).status_code == 200
        refused = _draw(app, tone_wav([400.0] * 300, 1.0))
        assert (refused.status_code, refused.json()["error"]) == (413, "too-large")
        assert "spectrograms" in refused.json()["message"]
    finally:
        app.close()
