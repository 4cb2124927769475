from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.bundle.golden import MAX_BYTES, Golden
from services.common.errors import InvalidInput, TooLarge
from tests.support.media import golden


@given(
    st.lists(
        st.tuples(st.binary(max_size=50), st.sampled_from(["png", "wav", "flac"])), min_size=1, max_size=5
    )
)
def test_it_comes_back_equal_and_as_the_same_bytes(pairs: list[tuple[bytes, str]]) -> None:
    count = len(pairs)
    probabilities = np.linspace(0, 1, 4 * count, dtype=np.float32).reshape(count, 4)
    made = Golden(
        [d for d, _ in pairs], [t for _, t in pairs], probabilities, np.arange(count, dtype=np.float32)
    )
    data = made.to_bytes()
    back = Golden.from_bytes(data)
    assert (back.inputs, back.media_types) == (made.inputs, made.media_types)
    np.testing.assert_array_equal(back.probabilities, made.probabilities)
    np.testing.assert_array_equal(back.novelty, made.novelty)
    assert back.to_bytes() == data


def test_numpy_reads_it_without_pickle() -> None:
    with np.load(io.BytesIO(golden().to_bytes()), allow_pickle=False) as archive:
        assert archive["inputs_1"].dtype == np.uint8
        assert archive["media_types"].tolist() == ["png", "png"]


@pytest.mark.parametrize(
    ("probabilities", "novelty", "named"),
    [
        (np.ones((3, 2)), np.zeros(2), "do not fit"),
        (np.ones((2, 2)), np.zeros(3), "do not fit"),
        (np.full((2, 2), np.nan), np.zeros(2), "finite"),
        (np.full((2, 2), 1.5), np.zeros(2), "out of range"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    probabilities: np.ndarray, novelty: np.ndarray, named: str
) -> None:
    made = Golden([b"a", b"b"], ["png", "png"], probabilities.astype(np.float32), novelty.astype(np.float32))
    with pytest.raises(InvalidInput, match=named):
        made.to_bytes()


def _archive(compression: int, **members: np.ndarray) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, array in members.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            archive.writestr(f"{name}.npy", buffer.getvalue())
    return out.getvalue()


def test_a_decompression_bomb_is_refused() -> None:
    data = _archive(zipfile.ZIP_DEFLATED, inputs_0=np.zeros(50 << 20, np.uint8))
    assert len(data) < 1 << 20
    with pytest.raises(InvalidInput, match="compressed"):
        Golden.from_bytes(data)


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(TooLarge):
        Golden.from_bytes(bytes(MAX_BYTES + 1))


def test_objects_are_refused() -> None:
    parts = {"inputs_0": np.zeros(1, np.uint8), "media_types": np.array(["png"]), "novelty": np.zeros(1)}
    with pytest.raises(InvalidInput, match="cannot be read"):
        Golden.from_bytes(_archive(zipfile.ZIP_STORED, probabilities=np.array([{}], dtype=object), **parts))
    with pytest.raises(InvalidInput, match="cannot be read"):
        Golden.from_bytes(_archive(zipfile.ZIP_STORED, **parts))


@given(st.integers(0, 1_500), st.binary(min_size=1, max_size=4))
def test_damage_ends_in_the_content_or_a_refusal(place: int, damage: bytes) -> None:
    data = bytearray(golden().to_bytes())
    place %= len(data)
    data[place : place + len(damage)] = damage
    try:
        Golden.from_bytes(bytes(data))
    except (InvalidInput, TooLarge) as error:
        assert str(error)
