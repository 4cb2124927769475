from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.errors import DatasetError
from services.data.dataset import Dataset
from services.data.splits import SPLITS
from services.data.trainable import check_trainable

from .conftest import png, wav

Files = dict[str, int | bytes | str]
GOOD: Files = {f"{label}/{n}.png": ord(label) * 100 + n for label in "ab" for n in range(5)}


def test_a_small_dataset_with_all_it_needs(write: Callable[..., Path], load: Callable[..., Dataset]) -> None:
    check_trainable(load(write(GOOD)))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no item that can be used"),
        ({"a/1.png": "x", "b/1.png": "x"}, "no item that can be used.*2 unreadable"),
        ({f"a/{n}.png": n for n in range(9)}, "1 classes"),
        (GOOD | {"c/1.png": 1, "c/2.png": 2}, "c: 2.*at least 3.*min_items=3"),
        (GOOD | {"c/1.png": b""}, "c: 0"),
        (GOOD | {"a/1.wav": wav(1)}, "mixes pictures and sounds.*a/1.wav"),
        ({f"{label}/{n}.wav": wav(ord(label) * 9 + n) for label in "ab" for n in range(4)}
         | {"a/0.png": png(1)}, "1 files are not audio"),
        ({f"training/{label}/{n}.png": ord(label) * 9 + n for label in "ab" for n in range(5)}
         | {"evaluation/a/1.png": "x", "validation/a/2.png": 2}, "no evaluation items"),
        ({f"{split}/{label}/{n}.png": ord(label) * 99 + n + 9 * place for place, split in enumerate(SPLITS)
          for label in "ab"[place == 0:] for n in range(3)}, "no training items.*a"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on(
    write: Callable[..., Path], load: Callable[..., Dataset], files: Files, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        check_trainable(load(write(files)))


def test_recordings_of_one_author_alone_leave_nothing_to_judge_on(
    write: Callable[..., Path], load: Callable[..., Dataset]
) -> None:
    rows = "".join(f"{label},[],me,{label}/{n}.wav\n" for label in "ab" for n in range(4))
    files: Files = {f"train_audio/{label}/{n}.wav": ord(label) * 9 + n for label in "ab" for n in range(4)}
    files["train.csv"] = "primary_label,secondary_labels,author,filename\n" + rows
    with pytest.raises(DatasetError, match=r"no validation items.*authors"):
        check_trainable(load(write(files, sound=True)))
