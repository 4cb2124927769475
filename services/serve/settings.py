"""Every setting of the serving process, read once from `ROOKERY_SERVE_*` and the command line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from services.common.listening import ListeningSettings
from services.media.limits import MediaLimits


class ServeSettings(ListeningSettings):
    """How one bundle is served. Unknown keys are refused."""

    model_config = SettingsConfigDict(env_prefix="ROOKERY_SERVE_", extra="forbid", frozen=True)
    others = ("ROOKERY_SERVE_PYTHON",)

    bundle: Path = Field(Path("/bundle"), description="folder of the bundle to serve")
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 in the image")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one and prints it")
    fd: int | None = Field(
        None, ge=0, description="listening socket inherited from the starter, shared with a predecessor"
    )
    ready_fd: int | None = Field(
        None, ge=0, description="pipe of the starter that is told once, just before connections are accepted"
    )

    application: str = Field("", description="name of the application; empty: as the bundle says")
    environment: str = Field("", description="staging, canary or production, for `/version` and the page")
    model_version: str = Field("", description="registered model version, for `/version` and the page")
    image_digest: str = Field("", description="digest of the image that this process was started from")
    expected_digest: str = Field(
        "", description="refuse to start unless the bundle has this digest; empty: any bundle"
    )

    workers: int = Field(0, ge=0, le=256, description="predictions side by side; 0: one for each core")
    threads: int = Field(1, ge=1, le=64, description="threads of ONNX Runtime inside one prediction")
    waiting: int = Field(
        16, ge=0, le=10_000, description="predictions that may wait; one more is answered 503"
    )
    inline_milliseconds: float = Field(
        2.0, ge=0, description="small pictures are answered without a thread change if the models take less"
    )
    receipt_seconds: float = Field(
        30.0, gt=0, le=3600, description="a request not received whole by then is answered 408"
    )
    keep_alive_seconds: int = Field(30, ge=1, le=3600, description="an idle connection is closed after this")
    drain_seconds: float = Field(
        5.0,
        ge=0,
        le=60,
        description="after SIGTERM idle connections may still send one request for this long",
    )
    buffered_bytes: int = Field(
        256 << 20, ge=1 << 20, description="bytes of uploads held at once, over all connections"
    )
    max_bytes: int = Field(MediaLimits().max_bytes, ge=1024, description="bytes of one upload")
    max_seconds: float = Field(MediaLimits().max_seconds, gt=0, description="seconds of one sound")
    log_dir: Path | None = Field(
        None, description="folder of the prediction log's spool; none: predictions are not logged"
    )
    log_url: str = Field(
        "",
        description="monitor service that segments of the log are sent to; empty: it takes them from the folder",
    )
    log_token: SecretStr = Field(SecretStr(""), description="what the monitor service wants to be told")
    log_key: SecretStr = Field(
        SecretStr(""),
        description="signs request ids, the same for all servers of an environment; empty: made in the folder",
    )
    log_inputs: bool = Field(False, description="also keep the inputs themselves, by digest")
    log_bytes: int = Field(
        64 << 20, ge=1 << 16, description="largest spool; what finds no place in it is dropped and counted"
    )
    log_segment_bytes: int = Field(
        4 << 20, ge=1024, description="a segment of the log is closed at this size"
    )
    log_segment_seconds: float = Field(
        10.0, gt=0, le=3600, description="a segment of the log is closed at this age"
    )
    shadow_url: str = Field(
        "",
        description="server that gets a copy of the inputs answered here, such as the canary's; empty: none",
    )
    shadow_rate: float = Field(
        20.0,
        ge=1,
        le=10_000,
        description="copies a second at most; what is beyond is not copied, and counted",
    )
    shadow_waiting: int = Field(64, ge=1, le=100_000, description="copies that may wait to be sent")
    shadow_bytes: int = Field(32 << 20, ge=1024, description="bytes of all copies that wait")
    shadow_seconds: float = Field(
        5.0, gt=0, le=60, description="the other server is given up for a while after this"
    )
    feedback_days: float = Field(30.0, gt=0, description="feedback for older predictions is refused")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="of the server's log"
    )

    @field_validator("shadow_url")
    @classmethod
    def _address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._/-]*)?", url):
            raise ValueError("this is no address of a server, such as http://127.0.0.1:8080")
        return url

    def limits(self) -> MediaLimits:
        """What an upload may be."""
        return MediaLimits(max_bytes=self.max_bytes, max_seconds=self.max_seconds)

    def worker_count(self) -> int:
        """Predictions side by side, at least one; cores that this process may use, not those of the machine."""
        return self.workers or max(1, len(os.sched_getaffinity(0)) // self.threads)
