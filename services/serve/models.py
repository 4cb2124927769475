"""The bodies of the answers, for the API's description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

UPLOAD: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}


class LabelBody(BaseModel):
    """One label with its probability."""

    label: str
    probability: float


class WindowBody(BaseModel):
    """One window of a sound; times in seconds."""

    start: float
    end: float
    label: str = Field(description="the likeliest")
    probability: float
    labels: list[LabelBody] = Field(description="the likeliest, and every one over the threshold")
    novelty: float
    novel: bool


class SegmentBody(BaseModel):
    """Neighbouring windows with one label; times in seconds."""

    label: str
    start: float
    end: float
    probability: float = Field(description="the highest inside")


class PredictionBody(BaseModel):
    """The answer of `/predict`."""

    label: str = Field(description="the likeliest")
    probability: float
    labels: list[LabelBody] = Field(description="likeliest first")
    novel: bool = Field(description="the input is unlike the training data")
    novelty: float
    novelty_threshold: float
    timeline: list[WindowBody] | None = Field(None, description="sounds only")
    segments: list[SegmentBody] | None = Field(None, description="sounds only")
    duration: float | None = Field(None, description="seconds, sounds only")
    version: str = Field(description="registered model version")
    bundle_digest: str
    request_id: str | None = Field(None, description="for `/feedback`; only where predictions are logged")


class VersionBody(BaseModel):
    """The answer of `/version`; empty: not known."""

    application: str
    model_name: str
    model_version: str
    run_id: str
    bundle_digest: str = Field(description="of the files that the models in memory were made from")
    model_digest: str
    novelty_digest: str
    image_digest: str
    environment: str
    code_revision: str
    dataset_digest: str

    model_config = ConfigDict(protected_namespaces=())


class ErrorBody(BaseModel):
    """Every refusal: what was wrong, the value, and what is allowed."""

    error: str
    message: str
    value: str | None
    allowed: str | None
