from __future__ import annotations

import pytest

from services.common.errors import TooLarge
from services.media.limits import MediaLimits


def test_a_file_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    limits = MediaLimits(max_bytes=10)
    limits.check_size(bytes(10))
    with pytest.raises(TooLarge, match="up to 10 bytes"):
        limits.check_size(bytes(11))
