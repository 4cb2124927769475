from __future__ import annotations

from pathlib import Path

import pytest

from services.bundle.reader import Bundle, read_bundle
from tests.support.bundles import tiny_audio_bundle, tiny_image_bundle


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(tiny_image_bundle(tmp_path_factory.mktemp("digits")))


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(tiny_audio_bundle(tmp_path_factory.mktemp("tones")))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve")
