"""From the bytes that a user uploads to the tensor that a model takes, in training and serving alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.bundle.manifest import AudioPreprocessing, ImagePreprocessing, Preprocessing
from services.common.errors import TooLarge
from services.media.audio import decode_audio, decode_samples, resample
from services.media.features import audio_features, image_features
from services.media.image import decode_image, fit_image
from services.media.limits import DEFAULT_LIMITS, MediaLimits
from services.media.mel import log_mel
from services.media.sniff import sniff
from services.media.windows import count_windows, split_windows


@dataclass(frozen=True)
class Prepared:
    """One input, ready for a model.

    Attributes:
        tensor: float32 [windows, channels, height or mel bands, width or frames]; one window for a picture.
        starts: seconds where the windows begin; [0.0] for a picture.
        duration: seconds; 0 for a picture.
        features: what the input is like, see `services.media.features`.
    """

    tensor: npt.NDArray[np.float32]
    starts: list[float]
    duration: float
    features: dict[str, float]


def prepare(data: bytes, p: Preprocessing, limits: MediaLimits = DEFAULT_LIMITS) -> Prepared:
    """Decodes, checks, fits and normalises one file.

    Raises:
        UnsupportedMedia, TooLarge, InvalidInput: as `decode_audio` and `decode_image`.
    """
    if isinstance(p, ImagePreprocessing):
        return _prepare_image(data, p, limits)
    return _prepare_audio(data, p, limits)


def _prepare_image(data: bytes, p: ImagePreprocessing, limits: MediaLimits) -> Prepared:
    pixels = decode_image(data, limits)
    return Prepared(fit_image(pixels, p)[None], [0.0], 0.0, image_features(pixels))


def _prepare_audio(data: bytes, p: AudioPreprocessing, limits: MediaLimits) -> Prepared:
    limits.check_size(data)
    given = sniff(data) == "npy"
    sound = decode_samples(data, p.sample_rate, limits) if given else decode_audio(data, limits)
    transform = log_mel(p)
    length, hop = round(p.window_seconds * p.sample_rate), round(p.hop_seconds * p.sample_rate)
    count = round(sound.duration * p.sample_rate)
    shape = (count_windows(count, length, max(1, hop)), 1, p.n_mels, transform.frames(length))
    check_work(count, shape, limits)
    samples = resample(sound.samples, sound.sample_rate, p.sample_rate)
    starts, windows = split_windows(samples, p.sample_rate, p.window_seconds, p.hop_seconds)
    tensor = np.empty((len(starts), *shape[1:]), np.float32)
    for index, window in enumerate(windows):
        tensor[index, 0] = transform(window)
    return Prepared(tensor, starts, sound.duration, audio_features(samples, p.sample_rate))


def check_work(samples: int, shape: tuple[int, ...], limits: MediaLimits) -> None:
    """Refuse a sound before memory is taken for it.

    Args:
        samples: at the model's rate.
        shape: of the float32 tensor of its spectrograms, windows first.

    Raises:
        TooLarge: more samples, windows or bytes than the limits.
    """
    if samples > limits.max_frames:
        raise TooLarge(
            "the sound has too many samples at the model's rate",
            value=samples,
            allowed=f"up to {limits.max_frames:,}",
        )
    if shape[0] > limits.max_windows:
        raise TooLarge(
            "the sound gives too many windows", value=shape[0], allowed=f"up to {limits.max_windows}"
        )
    size = int(np.prod(shape, dtype=np.int64)) * 4
    if size > limits.max_tensor_bytes:
        raise TooLarge(
            "the spectrograms of the sound are too large",
            value=size,
            allowed=f"up to {limits.max_tensor_bytes:,} bytes",
        )
