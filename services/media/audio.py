"""Sound files to mono float32 samples, with every bound checked before memory is taken."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from services.common.errors import InvalidInput, TooLarge, UnsupportedMedia
from services.media.limits import DEFAULT_LIMITS, MediaLimits
from services.media.npy import parse_npy
from services.media.sniff import AUDIO_TYPES, sniff
from services.media.wav import read_wav_header

Samples = npt.NDArray[np.float32]

_BLOCK = 1 << 16
_CONTAINERS = {"wav": {"WAV", "WAVEX"}, "ogg": {"OGG"}, "flac": {"FLAC"}, "mp3": {"MP3"}}
_MAX_AMPLITUDE = 1e6
_MP3_TOLERANCE = 0.01
# RFC 9639, 8.2: STREAMINFO counts the samples in 36 bits, 0 where the encoder did not know.
_FLAC_TOTAL_MASK = 0xF_FFFF_FFFF


@dataclass(frozen=True)
class Sound:
    """Mono samples, nominally -1 to 1, float32 [n]; `sample_rate` in Hz."""

    samples: Samples
    sample_rate: int

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate


def decode_audio(data: bytes, limits: MediaLimits = DEFAULT_LIMITS) -> Sound:
    """Decodes WAV, Ogg (Vorbis, Opus), FLAC or MP3 and mixes the channels to their mean.

    Raises:
        UnsupportedMedia: no sound that can be read.
        TooLarge: longer, or more channels or samples per second, than the limits.
        InvalidInput: no samples, cut off, not finite, or a sample rate under the limit.
    """
    limits.check_size(data)
    media_type = sniff(data)
    if media_type not in AUDIO_TYPES:
        raise UnsupportedMedia(
            f"a sound was expected, and this is {media_type}", allowed=", ".join(AUDIO_TYPES)
        )
    if media_type == "wav":
        _check_wav(data, limits)
    elif media_type == "ogg":
        _check_ogg(data)
    elif media_type == "flac" and int.from_bytes(data[21:26], "big") & _FLAC_TOTAL_MASK == 0:
        raise InvalidInput("the FLAC header does not say how long the sound is")
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.format not in _CONTAINERS[media_type]:
                raise UnsupportedMedia(f"this is no readable {media_type} sound", value=file.format)
            promised = int(file.frames)
            _check_claims(file.channels, file.samplerate, promised, limits)
            samples, rate = _read(file, promised), int(file.samplerate)
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", str(error))
        raise UnsupportedMedia(f"this {media_type} sound cannot be decoded: {reason}") from error
    tolerance = _MP3_TOLERANCE * promised if media_type == "mp3" else 0
    if len(samples) < promised - tolerance:
        raise _cut_off(promised, len(samples))
    if len(samples) > promised + tolerance:
        raise InvalidInput(f"the sound goes on after the {promised} frames that its header promises")
    return Sound(_checked(samples), rate)


def decode_samples(data: bytes, sample_rate: int, limits: MediaLimits = DEFAULT_LIMITS) -> Sound:
    """Mono samples given as a .npy file, float [n] at `sample_rate`.

    Raises:
        UnsupportedMedia, TooLarge, InvalidInput: as `decode_audio`.
    """
    limits.check_size(data)
    array = parse_npy(data, kinds="f")
    if array.ndim != 1:
        raise UnsupportedMedia(
            "samples in a .npy file must be one-dimensional", value=array.shape, allowed="mono float32 [n]"
        )
    _check_claims(1, sample_rate, len(array), limits)
    with np.errstate(over="ignore"):
        samples = array.astype(np.float32)
    return Sound(_checked(samples), sample_rate)


def resample(samples: Samples, source_rate: int, target_rate: int) -> Samples:
    """Samples at another rate (soxr, HQ: 20 bits, pass band 91 %); float32 [round(n · target / source)]."""
    if source_rate == target_rate:
        return samples
    result: Samples = soxr.resample(samples, source_rate, target_rate, quality="HQ")
    return result


def _check_wav(data: bytes, limits: MediaLimits) -> None:
    header = read_wav_header(data)
    _check_claims(header.channels, header.sample_rate, header.frames, limits)
    if header.held < header.frames:
        raise _cut_off(header.frames, header.held)


def _check_ogg(data: bytes) -> None:
    """The last page must be whole: its header says how many segments of which length it has (RFC 3533, 6)."""
    last = data.rfind(b"OggS\x00")
    if last < 0 or last + 27 > len(data):
        raise InvalidInput("the sound is cut off: its last Ogg page is not whole")
    segments = data[last + 27 : last + 27 + data[last + 26]]
    if len(segments) < data[last + 26] or last + 27 + len(segments) + sum(segments) > len(data):
        raise InvalidInput("the sound is cut off: its last Ogg page is not whole")


def _cut_off(promised: int, held: int) -> InvalidInput:
    return InvalidInput(f"the sound is cut off: its header promises {promised} frames", value=held)


def _check_claims(channels: int, rate: int, frames: int, limits: MediaLimits) -> None:
    if channels < 1:
        raise UnsupportedMedia("the sound has no channels", value=channels)
    if channels > limits.max_channels:
        raise TooLarge(
            "the sound has too many channels", value=channels, allowed=f"1 to {limits.max_channels}"
        )
    if not limits.min_sample_rate <= rate <= limits.max_sample_rate:
        raise InvalidInput(
            "the sample rate is out of range",
            value=rate,
            allowed=f"{limits.min_sample_rate} to {limits.max_sample_rate} Hz",
        )
    if frames < 1:
        raise InvalidInput("the sound has no samples", value=frames)
    if frames > limits.max_seconds * rate:
        raise TooLarge(
            "the sound is too long", value=f"{frames / rate:.1f} s", allowed=f"up to {limits.max_seconds:g} s"
        )
    if frames > limits.max_frames:
        raise TooLarge("the sound has too many samples", value=frames, allowed=f"up to {limits.max_frames:,}")


def _read(file: Any, promised: int) -> Samples:
    """Reads in blocks, at most one block more than was promised, whatever the stream goes on with."""
    mono = np.empty(promised + _BLOCK, np.float32)
    weights = np.full(file.channels, 1 / file.channels, np.float32)
    frames = np.empty((_BLOCK, file.channels), np.float32)
    total = 0
    while total <= promised:
        place = mono[total : total + _BLOCK]
        if file.channels == 1:
            count = len(file.read(out=place))
        else:
            block = file.read(out=frames)
            count = len(block)
            np.dot(block, weights, out=place[:count])
        if count == 0:
            break
        total += count
    return mono[:total]


def _checked(samples: Samples) -> Samples:
    if len(samples) == 0:
        raise InvalidInput("the sound has no samples")
    peak = max(float(samples.max()), -float(samples.min()))
    if not np.isfinite(peak):
        raise InvalidInput("the sound has samples that are not finite numbers (NaN or infinity)")
    if peak > _MAX_AMPLITUDE:
        raise InvalidInput("the sound has samples far over full scale", value=peak, allowed="about -1 to 1")
    return samples
