"""How large an input may be; checked from the header before memory is taken for the content."""

from __future__ import annotations

from dataclasses import dataclass

from services.common.errors import TooLarge

MIB = 1 << 20


@dataclass(frozen=True)
class MediaLimits:
    """Bounds of one input; the defaults keep the peak memory of one request under about 0.6 GiB.

    Attributes:
        max_bytes: of the file as uploaded.
        max_seconds: of sound.
        max_frames: samples per channel; with it a high sample rate cannot multiply `max_seconds`.
        min_sample_rate, max_sample_rate: Hz.
        max_channels: of sound; they are mixed to one.
        max_pixels: width times height of a picture.
        max_windows: windows that one recording is cut into.
        max_tensor_bytes: of the float32 tensor that all its windows become.
    """

    max_bytes: int = 32 * MIB
    max_seconds: float = 600.0
    max_frames: int = 30_000_000
    min_sample_rate: int = 4_000
    max_sample_rate: int = 384_000
    max_channels: int = 8
    max_pixels: int = 40_000_000
    max_windows: int = 2_000
    max_tensor_bytes: int = 256 * MIB

    def check_size(self, data: bytes) -> None:
        """Raises TooLarge when the file has more bytes than allowed."""
        if len(data) > self.max_bytes:
            raise TooLarge(
                "the file is too large", value=len(data), allowed=f"up to {self.max_bytes:,} bytes"
            )


DEFAULT_LIMITS = MediaLimits()
