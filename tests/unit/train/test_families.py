from __future__ import annotations

import pytest

from services.common.errors import InvalidInput
from services.train.families import FAMILIES, check_kind, find_family


def test_an_unknown_family_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InvalidInput, match="did you mean resnet18"):
        find_family("resnet-18")


def test_a_family_for_sounds_is_refused_on_pictures() -> None:
    with pytest.raises(
        InvalidInput, match=r"mel-cnn is trained on sounds, but digits holds pictures.*cnn, resnet18"
    ):
        check_kind(FAMILIES["mel-cnn"], "image", "digits")
    check_kind(FAMILIES["cnn"], "image", "digits")
