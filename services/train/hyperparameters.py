"""Every hyperparameter: name, default, range and meaning, in one place.

The fields are the query parameters of `POST /train`, the rows of `GET /hyperparameters`, the parameters of the
MLflow run and a section of the reference.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.errors import InvalidInput

AUTO = "auto"


class Hyperparameters(BaseModel):
    """What a training can be told. A field that may be None is spelled `auto`: the data or the machine decides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(16, ge=1, le=1000, description="passes over the training split at most")
    lr: float = Field(
        0.003, gt=0, le=1, description="highest learning rate of AdamW: 10 % warm-up, then cosine"
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="of AdamW, not on biases and norms")
    batch_size: int = Field(64, ge=2, le=4096, description="items or windows in one step")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of weights, order and augmentation")
    patience: int = Field(
        5, ge=0, le=1000, description="stop after so many epochs without a better validation score; 0: never"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="before the last layer")
    label_smoothing: float = Field(
        0.0, ge=0, le=0.5, description="share of the target spread over all classes"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: rare classes weigh more in the loss, by the square root of their rarity",
    )
    augmentation: float = Field(
        0.5,
        ge=0,
        le=1,
        description="strength of shifts, turns and brightness; for sounds shifts, gain and noise",
    )
    horizontal_flip: bool = Field(
        False, description="also show mirrored pictures (not for digits or letters)"
    )
    mixup: float | None = Field(
        None, ge=0, le=2, description="alpha of mixup, 0: off; auto: 0.2 for sounds, 0 for pictures"
    )
    specaugment: int = Field(
        1, ge=0, le=4, description="masks over time and as many over mel bands, for sounds"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto: bf16 on a GPU that has it, fp16 on other GPUs, fp32 on a CPU"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU when there is one")
    threads: int = Field(
        0, ge=0, le=256, description="CPU threads of torch; 0: one for cnn, else one for each core"
    )
    width: int = Field(16, ge=4, le=256, description="channels of the first layer of the small CNN")
    pretrained: str = Field(
        "",
        max_length=1000,
        description="weights to start from, for resnets: a .safetensors or .pt file by absolute path or s3:// address",
    )
    image_size: int | None = Field(
        None, ge=8, le=512, description="pixels of the square input; auto: what suits the pictures"
    )
    sample_rate: int | None = Field(
        None, ge=4_000, le=96_000, description="Hz; auto: that of the recordings, at most 32000"
    )
    window_seconds: float | None = Field(
        None,
        gt=0.1,
        le=60,
        description="length of one window of sound; auto: 5, or the median recording's length if that is shorter",
    )
    hop_seconds: float | None = Field(
        None, gt=0.05, le=60, description="distance of windows; auto: one window, so they do not overlap"
    )
    n_fft: int = Field(1024, ge=128, le=8192, description="samples of one Fourier transform")
    hop_length: int = Field(640, ge=64, le=8192, description="samples between frames of the spectrogram")
    n_mels: int = Field(64, ge=16, le=256, description="mel bands")
    fmin: float = Field(150.0, ge=0, le=40_000, description="Hz, lowest edge of the mel bands")
    fmax: float | None = Field(
        None, gt=0, le=48_000, description="Hz, highest edge; auto: half the sample rate, at most 15000"
    )
    max_items: int = Field(
        0, ge=0, le=10_000_000, description="train on so many items only, chosen by the seed; 0: on all"
    )
    label_noise: float = Field(
        0.0,
        ge=0,
        le=1,
        description="fault injection: this share of the training labels is shuffled, to see a gate refuse the model",
    )
    novelty_epochs: int = Field(30, ge=1, le=500, description="passes of the novelty model's training")
    novelty_percentile: float = Field(
        99.0, ge=50, le=100, description="of the validation split's novelty scores, where the threshold lies"
    )

    def as_params(self) -> dict[str, str]:
        """Name to text, as logged to MLflow and accepted again by `parse`."""
        return {name: _text(value) for name, value in self.model_dump().items()}


def parse(values: Mapping[str, str]) -> Hyperparameters:
    """Hyperparameters from text; an empty value means the default, as an unset template parameter arrives.

    Raises:
        InvalidInput: an unknown name (with the nearest known one), or a value outside its range.
    """
    for name in values:
        if name not in Hyperparameters.model_fields:
            raise InvalidInput("unknown hyperparameter", value=name, allowed=_likely(name))
    given: dict[str, Any] = {}
    for name, text in values.items():
        if text.strip() == "":
            continue
        optional = Hyperparameters.model_fields[name].default is None
        given[name] = None if optional and text.strip() == AUTO else text.strip()
    try:
        return Hyperparameters.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise InvalidInput(
            f"hyperparameter {name}: {first['msg'].lower()}", value=first["input"], allowed=allowed(name)
        ) from error


def names() -> list[str]:
    """The names, in the order of the documentation."""
    return list(Hyperparameters.model_fields)


def allowed(name: str) -> str:
    """The range or choices of one hyperparameter, in words."""
    row = _schema(name)
    if "enum" in row:
        return ", ".join(row["enum"])
    low, high = (
        row.get("minimum", row.get("exclusiveMinimum")),
        row.get("maximum", row.get("exclusiveMaximum")),
    )
    if row["type"] == "boolean":
        return "true or false"
    if row["type"] == "string":
        return f"text of at most {row.get('maxLength')} characters"
    above = "above " if "exclusiveMinimum" in row else ""
    below = "below " if "exclusiveMaximum" in row else ""
    auto = " or auto" if row["optional"] else ""
    return f"{row['type']} from {above}{low:g} to {below}{high:g}{auto}"


def describe() -> list[dict[str, Any]]:
    """One row for each hyperparameter, for `GET /hyperparameters` and the reference."""
    return [
        {
            "name": name,
            "type": _schema(name)["type"],
            "default": _text(field.default),
            "allowed": allowed(name),
            "description": field.description,
        }
        for name, field in Hyperparameters.model_fields.items()
    ]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was likely meant, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def _likely(name: str) -> str:
    meant = nearest(name, names())
    return f"did you mean {meant}?" if meant else ", ".join(names())


def _schema(name: str) -> dict[str, Any]:
    row = dict(Hyperparameters.model_json_schema()["properties"][name])
    row["optional"] = "anyOf" in row
    for choice in row.pop("anyOf", []):
        if choice["type"] != "null":
            row |= choice
    return row


def _text(value: object) -> str:
    if value is None:
        return AUTO
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
