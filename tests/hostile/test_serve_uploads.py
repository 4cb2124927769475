"""Hostile uploads to a real serving process: refused with a clear sentence, memory bounded, the next one served."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support import web
from tests.support.bundles import digit_label, digit_png, tiny_audio_bundle, tiny_image_bundle, tone_wav
from tests.support.servers import Server
from tests.support.serving import resident_bytes, serve

GIB = 1 << 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def digits(folder: Path) -> Iterator[Server]:
    server = serve(tiny_image_bundle(folder), folder).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("hasty")
    server = serve(tiny_image_bundle(folder), folder, receipt_seconds="2").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tones(folder: Path) -> Iterator[Server]:
    server = serve(tiny_audio_bundle(folder), folder).start()
    yield server
    server.stop()


def wav_header(channels: int, rate: int, data_bytes: int, bits: int = 16) -> bytes:
    block = channels * bits // 8
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", (36 + data_bytes) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, channels,
                       rate, (rate * block) & 0xFFFFFFFF, block, bits)  # fmt: skip
    return head + b"data" + struct.pack("<I", data_bytes & 0xFFFFFFFF)


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def wav(samples: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


SOUNDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "header that claims 2^32 frames": (lambda: wav_header(1, 16_000, 0xFFFFFFFF) + bytes(1000), "sound"),
    "zero samples": (lambda: wav_header(1, 16_000, 0), "no samples"),
    "1 Hz": (lambda: wav_header(1, 1, 200) + bytes(200), "sample rate"),
    "64 channels": (lambda: wav_header(64, 16_000, 12_800) + bytes(12_800), "channels"),
    "NaN": (lambda: wav(np.full(1000, np.nan, np.float32), subtype="FLOAT"), "finite"),
    "picture named .wav": (lambda: digit_png(0), "a sound was expected"),
    "text": (lambda: b"hello, I am a sound", "unknown kind"),
    "cut off": (lambda: tone_wav(400.0, 1.0)[:2000], "cut off"),
    "pickle": (lambda: b"\x80\x04\x95\x10\x00\x00\x00", "not read here"),
    "flac of nothing": (lambda: b"fLaC" + bytes(500), "FLAC"),
    "ogg of nothing": (lambda: b"OggS" + bytes(500), "ogg"),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_hostile_sounds_get_a_sentence(tones: Server, name: str) -> None:
    make, words = SOUNDS[name]
    answer = web.post(tones.url + "/predict", files={"file": ("song.wav", make())}, timeout=60)
    assert 400 <= answer.status_code < 500, answer.text
    assert words in answer.json()["message"]
    served(tones, tone_wav(400.0, 1.0))


PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "60,000 x 60,000 PNG": (lambda: png(60_000, 60_000, zlib.compress(bytes(1 << 20))), "too many pixels"),
    "PNG that inflates": (
        lambda: png(6_000, 6_000, zlib.compress(bytes(40_000_000))[:3000]),
        "cannot be decoded",
    ),
    "sound named .png": (lambda: tone_wav(400.0, 0.1), "a picture was expected"),
    "npy of objects": (lambda: _npy_header("|O", (1,)) + b"\x80\x04N.", "another kind of values"),
    "npy that claims 2^40 bytes": (lambda: _npy_header("|u1", (1 << 20, 1 << 20)), "claims a shape"),
    "npy header without end": (lambda: b"\x93NUMPY\x01\x00\xff\xff{", "header of the .npy"),
    "cut-off PNG": (lambda: digit_png(0)[:60], "png"),
}


def _npy_header(kind: str, shape: tuple[int, ...]) -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("name", PICTURES)
def test_hostile_pictures_get_a_sentence(digits: Server, name: str) -> None:
    make, words = PICTURES[name]
    before = resident_bytes(digits.pid)
    answer = web.post(digits.url + "/predict", content=make(), timeout=60)
    assert 400 <= answer.status_code < 500, answer.text
    assert words in answer.json()["message"]
    assert resident_bytes(digits.pid) - before < GIB // 4
    served(digits, digit_png(0))


def test_ten_gigabytes_without_a_length_are_refused_early(digits: Server) -> None:
    before = resident_bytes(digits.pid)
    block = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", digits.port), timeout=30) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while sent < 10 * GIB:
                client.sendall(block)
                sent += len(block)
        except OSError:
            pass
        answer = client.recv(4096)
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert b"the upload is too large" in answer
    assert sent < GIB // 4
    assert resident_bytes(digits.pid) - before < GIB // 4
    served(digits, digit_png(0))


def test_a_length_of_ten_gigabytes_is_refused_unread(digits: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10737418240\r\nExpect: 100-continue\r\n\r\n"
    answer = _talk(digits, head)
    assert answer.startswith(b"HTTP/1.1 413")
    served(digits, digit_png(0))


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"POST /predict HTT",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400\r\n\r\nslow",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nslow",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nslow\r\n",
    ],
)
def test_a_slow_client_is_cut_off_at_the_deadline(hasty: Server, beginning: bytes) -> None:
    began = time.monotonic()
    answer = b""
    with socket.create_connection(("127.0.0.1", hasty.port), timeout=0.1) as client:
        client.sendall(beginning)
        while time.monotonic() - began < 40:
            try:
                part = client.recv(4096)
                if not part:
                    break
                answer += part
            except TimeoutError:
                _drip(client, beginning)
            except OSError:
                break
    took = time.monotonic() - began
    assert 1 < took < 25
    assert answer == b"" if not beginning else answer.startswith(b"HTTP/1.1 408")
    served(hasty, digit_png(0))


def _drip(client: socket.socket, beginning: bytes) -> None:
    """Another byte, as a client does that wants to hold the connection open."""
    if b"\r\n" not in beginning:
        return
    with contextlib.suppress(OSError):
        client.send(b"1\r\nx\r\n" if b"chunked" in beginning else b"x")


def test_clients_that_vanish_leave_nothing_behind(digits: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n\r\n"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", digits.port), timeout=30) as client:
            client.sendall(head + bytes(200_000))
    served(digits, digit_png(0))

    def forgotten() -> bool:
        text = web.get(digits.url + "/metrics", timeout=30).text
        idle = re.search(r"^rookery_serve_busy\{.*\} 0\.0$", text, re.MULTILINE)
        return 'code="client-gone"' in text and idle is not None

    end = time.monotonic() + 30
    while not forgotten():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_pipelined_small_requests_are_answered_in_order(digits: Server) -> None:
    bodies = [digit_png(index) for index in range(5)]
    requests = b"".join(
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        for body in bodies
    )
    answer = _talk(
        digits, requests + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 6
    labels = [part.split(b'"')[3].decode() for part in answer.split(b"\r\n\r\n")[1:6]]
    assert labels == [digit_label(index) for index in range(5)]
    assert answer.rindex(b'"status":"ok"') > answer.rindex(b'"novelty_threshold"')


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_malformed_requests_are_refused(digits: Server, request_: bytes) -> None:
    assert _talk(digits, request_).startswith(b"HTTP/1.1 400")
    served(digits, digit_png(0))


def _talk(server: Server, data: bytes) -> bytes:
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(data)
        while True:
            try:
                part = client.recv(1 << 16)
            except OSError:
                return answer
            if not part:
                return answer
            answer += part


def served(server: Server, data: bytes) -> None:
    """The next request is answered as always."""
    answer = web.post(server.url + "/predict", content=data, timeout=60)
    assert answer.status_code == 200, answer.text
