from __future__ import annotations

import io
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from services.data import checks
from services.data.checks import check_bytes, check_files
from services.data.encoding import encode_sound
from services.data.scan import Found, scan
from services.media.limits import MediaLimits

REPOSITORY = Path(__file__).parents[3]
LIMITS = MediaLimits()
NOISE = np.random.default_rng(0).normal(0, 0.1, 8000)


def picture(pixels: np.ndarray, format_: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=format_)
    return file.getvalue()


def raw_wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 8000, format="WAV", subtype="FLOAT")
    return file.getvalue()


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty"),
        (b"words", "unreadable"),
        (encode_sound(np.zeros(8000), 8000, "wav"), "silent"),
        (encode_sound(np.full(8000, 1e-5), 8000, "flac"), "silent"),
        (encode_sound(np.full(8000, 0.5), 8000, "wav"), "constant"),
        (encode_sound(np.zeros(0), 8000, "wav"), "unreadable"),
        (encode_sound(NOISE, 8000, "wav")[:-100], "unreadable"),
        (encode_sound(NOISE, 8000, "flac")[:500], "unreadable"),
        (raw_wav(np.array([0.1, np.nan, 0.2])), "unreadable"),
        (picture(np.full((8, 8), 7, np.uint8)), "constant"),
        (picture(np.full((8, 8, 3), [1, 2, 3], np.uint8)), "constant"),
        (picture(GREY)[:-30], "unreadable"),
        (b"\x93NUMPY\x01\x00", "unreadable"),
        (encode_sound(NOISE, 8000, "wav"), ""),
        (encode_sound(NOISE, 8000, "ogg"), ""),
        (picture(GREY), ""),
        (picture(GREY, "JPEG"), ""),
    ],
)
def test_what_is_wrong_with_a_file(data: bytes, fault: str) -> None:
    check = check_bytes(data, LIMITS)
    assert check.fault == fault
    assert bool(check.detail) == bool(fault)


def test_facts_of_good_files() -> None:
    sound = check_bytes(encode_sound(NOISE, 8000, "wav"), LIMITS)
    assert (sound.kind, sound.seconds, sound.sample_rate) == ("audio", 1.0, 8000)
    shape = check_bytes(picture(np.stack([GREY[:4]] * 3, axis=-1)), LIMITS)
    assert (shape.kind, shape.height, shape.width, shape.channels) == ("image", 4, 8, 3)


def found(root: Path) -> list[Found]:
    return scan(root)[0]


def test_a_file_is_checked_again_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir()
    for number in range(4):
        (root / f"{number}.wav").write_bytes(encode_sound(NOISE + number / 100, 8000, "wav"))
    first = check_files(root, found(root), cache)
    (root / "2.wav").write_bytes(encode_sound(NOISE, 16_000, "wav"))
    read: list[str] = []
    whole = Path.read_bytes

    def reading(path: Path) -> bytes:
        read.append(path.name)
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", reading)
    second = check_files(root, found(root), cache)

    assert read == ["2.wav"]
    assert second["2.wav"].sample_rate == 16_000
    assert {name for name in first if first[name] != second[name]} == {"2.wav"}


@pytest.mark.parametrize(
    "spoiled", ["", "not json\n", '["0.wav", 3]\n', "[]\n", "{}\n", "3\n", '["0.wav", 16044, ']
)
def test_a_spoiled_journal_of_checks_is_made_good(tmp_path: Path, spoiled: str) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir()
    (root / "0.wav").write_bytes(encode_sound(NOISE, 8000, "wav"))
    first = check_files(root, found(root), cache)
    (journal,) = cache.glob("checks/*.jsonl")
    journal.write_text(spoiled)
    assert check_files(root, found(root), cache) == first
    kept = journal.read_bytes()
    assert check_files(root, found(root), cache) == first
    assert journal.read_bytes() == kept


def test_the_journal_does_not_grow_without_end(tmp_path: Path) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir()
    (root / "0.wav").write_bytes(b"")
    first = check_files(root, found(root), cache)
    (journal,) = cache.glob("checks/*.jsonl")
    journal.write_text(journal.read_text() * 1500)
    assert check_files(root, found(root), cache) == first
    assert journal.read_text().count("\n") == 1


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "long.wav").open("wb") as file:
        file.truncate(1 << 40)
    assert check_files(tmp_path, found(tmp_path), tmp_path / "cache")["long.wav"].fault == "too-large"


def test_two_that_check_the_same_folder_decode_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir()
    for number in range(20):
        (root / f"{number}.wav").write_bytes(encode_sound(NOISE * (number + 1) / 20, 8000, "wav"))
    decoded: list[bytes] = []

    def slow(data: bytes, limits: MediaLimits) -> checks.FileCheck:
        decoded.append(data)
        time.sleep(0.01)
        return check_bytes(data, limits)

    monkeypatch.setattr(checks, "check_bytes", slow)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: check_files(root, found(root), cache), range(4)))
    assert len(decoded) == 20
    assert all(answer == answers[0] for answer in answers)
    assert len(answers[0]) == 20


def test_one_that_was_killed_while_it_checked_leaves_no_lock(tmp_path: Path) -> None:
    root, cache = tmp_path / "data", tmp_path / "cache"
    root.mkdir()
    (root / "0.wav").write_bytes(encode_sound(NOISE, 8000, "wav"))
    first = check_files(root, found(root), cache)
    (journal,) = cache.glob("checks/*.jsonl")
    code = "import os; from pathlib import Path; from services.data.lock import locked\n"
    code += f"with locked(Path({str(journal.with_suffix('.lock'))!r})): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False, timeout=60)
    journal.unlink()
    assert check_files(root, found(root), cache) == first
