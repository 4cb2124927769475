"""What `bundle.json` says: everything about a model that is not a weight.

The models are strict: an unknown key is refused, so a bundle of a later format is not half understood.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Task = Literal["single-label", "multi-label"]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImagePreprocessing(_Strict):
    """A picture becomes float32 [channels, height, width]: convert, fit, resize, scale to 0..1, normalise."""

    kind: Literal["image"] = "image"
    height: int = Field(gt=0, le=1024, description="pixels")
    width: int = Field(gt=0, le=1024, description="pixels")
    channels: Literal[1, 3]
    mean: list[float]
    std: list[float]
    invert: bool = Field(
        False,
        description="strokes are bright on dark in the training data: invert pictures that are mostly bright",
    )


class AudioPreprocessing(_Strict):
    """A window of sound becomes a log-mel spectrogram, float32 [1, mel bands, frames]."""

    kind: Literal["audio"] = "audio"
    sample_rate: int = Field(ge=4_000, le=96_000, description="Hz after resampling")
    window_seconds: float = Field(gt=0, le=60)
    hop_seconds: float = Field(gt=0, le=60, description="distance of the windows of one recording")
    n_fft: int = Field(ge=128, le=8192, description="samples")
    hop_length: int = Field(ge=16, le=8192, description="samples")
    n_mels: int = Field(ge=8, le=512)
    fmin: float = Field(ge=0, description="Hz")
    fmax: float = Field(gt=0, description="Hz, at most half the sample rate")
    mean: float = Field(description="of the log-mel values of the training split, in dB")
    std: float = Field(gt=0, description="dB")


Preprocessing = Annotated[ImagePreprocessing | AudioPreprocessing, Field(discriminator="kind")]


class Novelty(_Strict):
    """An input whose score is above the threshold is unlike the training data."""

    threshold: float
    percentile: float = Field(gt=0, le=100, description="of the scores of `split`, where the threshold lies")
    split: Literal["validation"] = "validation"


class Dataset(_Strict):
    """Which data the model was made from."""

    source: str
    digest: Digest
    class_counts: dict[str, int] = Field(description="training items for each label")
    split_sizes: dict[str, int] = Field(description="items in training, validation and evaluation")


class Histogram(_Strict):
    """Counts of one feature of the validation split between fixed edges: one count less than edges."""

    edges: list[float]
    counts: list[int]

    @model_validator(mode="after")
    def _fits(self) -> Histogram:
        if len(self.counts) != len(self.edges) - 1:
            raise ValueError(f"{len(self.counts)} counts do not fit {len(self.edges)} edges")
        return self


class Export(_Strict):
    """How the ONNX file was made and how near it is to the trained model."""

    opset: int
    torch_version: str
    max_difference: float = Field(
        description="largest absolute difference of logits, torch against ONNX Runtime"
    )


class BundleManifest(_Strict):
    """The content of `bundle.json`."""

    schema_: Literal["rookery.bundle/1"] = Field("rookery.bundle/1", alias="schema")
    application: str
    model_name: str = Field(description="the family, such as cnn or mel-resnet18")
    task: Task
    labels: list[str] = Field(min_length=2, max_length=10_000)
    preprocessing: Preprocessing
    temperature: float = Field(gt=0, description="logits are divided by it before softmax or sigmoid")
    threshold: float = Field(
        0.5, ge=0, le=1, description="multi-label: a label with at least this probability is present"
    )
    novelty: Novelty
    metrics: dict[str, float] = Field(description="of the validation split, at the end of training")
    dataset: Dataset
    run_id: str
    code_revision: str
    export: Export
    reference: dict[str, Histogram] = Field(description="what inputs and answers look like, for drift")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
