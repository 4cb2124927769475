"""Golden inputs that could not be sent are never taken for a pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.common.errors import NotFound, RookeryError, Unavailable
from tests.support.release import evidence, gitops, make_remote
from workflows.local.verification import _golden
from workflows.release.image import ImageStore
from workflows.release.release import release


class Store(ImageStore):
    """Cannot unpack anything."""

    def __init__(self, root: Path, error: RookeryError) -> None:
        super().__init__(root)
        self.error = error

    def unpack(self, *_: Any) -> Path:
        raise self.error


def test_a_full_disk_is_no_pass_and_a_missing_image_is_told_by_the_places(tmp_path: Path) -> None:
    ops = gitops(make_remote(tmp_path), tmp_path / "cache")
    release(ops, evidence(1))
    with pytest.raises(Unavailable, match="no space"):
        _golden(Store(tmp_path, Unavailable("no space left")), ops.tree(), "digits", "staging", "http://x")
    missing = Store(tmp_path, NotFound("the image store has no such image"))
    assert _golden(missing, ops.tree(), "digits", "staging", "http://x") is None
