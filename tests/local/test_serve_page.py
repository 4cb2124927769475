"""The page in a real browser: draw, choose, drop, record; on a desktop and on a phone."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.bundles import digit_label, digit_png, tiny_audio_bundle, tiny_image_bundle, tone_wav
from tests.support.servers import Server
from tests.support.serving import serve

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
HOSTILE = "<img src=x onerror=window.broken=1>"

ARC = [(0.3, 0.25), (0.5, 0.15), (0.68, 0.28), (0.6, 0.43), (0.45, 0.5)]
DRAWINGS = {
    "0": [
        [
            (0.5, 0.15),
            (0.33, 0.3),
            (0.3, 0.55),
            (0.4, 0.8),
            (0.55, 0.83),
            (0.68, 0.62),
            (0.66, 0.32),
            (0.5, 0.15),
        ]
    ],
    "1": [[(0.47, 0.24), (0.52, 0.15), (0.52, 0.85)]],
    "3": [[*ARC, (0.62, 0.55), (0.7, 0.72), (0.5, 0.87), (0.28, 0.78)]],
    "4": [[(0.5, 0.15), (0.3, 0.55), (0.7, 0.55)], [(0.58, 0.4), (0.56, 0.88)]],
    "6": [
        [
            (0.58, 0.14),
            (0.4, 0.35),
            (0.34, 0.62),
            (0.42, 0.84),
            (0.6, 0.84),
            (0.64, 0.66),
            (0.52, 0.56),
            (0.37, 0.66),
        ]
    ],
    "7": [[(0.3, 0.18), (0.68, 0.18), (0.55, 0.5), (0.45, 0.86)], [(0.36, 0.52), (0.66, 0.5)]],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page-digits")
    server = serve(tiny_image_bundle(folder), folder, environment="production", model_version="7").start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page-tones")
    labels = [HOSTILE, "middle", "high"]
    server = serve(tiny_audio_bundle(folder, labels=labels), folder, environment="canary").start()
    yield server
    server.stop()


@pytest.fixture(params=SIZES)
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, height = SIZES[request.param]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        has_touch=request.param == "phone",
        permissions=["microphone"],
    )
    opened = context.new_page()
    problems: list[str] = []
    foreign: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.on("request", lambda sent: None if _local(sent.url) else foreign.append(sent.url))
    yield opened
    context.close()
    assert foreign == []
    assert [text for text in problems if "status of 4" not in text] == []


def _local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "blob:", "data:"))


def draw(page: Page, strokes: list[list[tuple[float, float]]], scale: float = 1.0) -> None:
    box = page.locator("#board").bounding_box()
    assert box is not None
    for points in strokes:
        places = [
            (box["x"] + x * box["width"] * scale, box["y"] + y * box["height"] * scale) for x, y in points
        ]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=5)
        page.mouse.up()


def becomes_true(page: Page, condition: str, seconds: float = 60) -> None:
    """Ask until it holds; the page's own policy forbids Playwright to poll inside it."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"never true: {condition}"
        page.wait_for_timeout(100)


@pytest.mark.parametrize("digit", DRAWINGS)
def test_a_drawn_digit_is_recognised(page: Page, digits: Server, digit: str) -> None:
    page.goto(digits.url)
    draw(page, DRAWINGS[digit])
    expect(page.locator("#label")).to_have_text(digit)
    expect(page.locator("#bars li")).to_have_count(10)
    expect(page.locator("#bars li.best .name")).to_have_text(digit)


def test_the_size_of_the_drawing_does_not_matter(page: Page, digits: Server) -> None:
    page.goto(digits.url)
    draw(page, DRAWINGS["3"], scale=0.4)
    expect(page.locator("#label")).to_have_text("3")


def test_a_finger_draws(page: Page, digits: Server) -> None:
    page.goto(digits.url)
    page.evaluate(
        """(points) => {
          const board = document.getElementById("board"), box = board.getBoundingClientRect();
          const send = (kind, [x, y]) => board.dispatchEvent(new PointerEvent(kind, { pointerId: 1, button: 0,
            pointerType: "touch", isPrimary: true, bubbles: true, cancelable: true,
            clientX: box.left + x * box.width, clientY: box.top + y * box.height }));
          board.setPointerCapture = () => {};
          send("pointerdown", points[0]);
          for (const point of points.slice(1)) send("pointermove", point);
          send("pointerup", points.at(-1));
        }""",
        DRAWINGS["3"][0],
    )
    expect(page.locator("#label")).to_have_text("3")
    assert page.locator("#board").evaluate("board => getComputedStyle(board).touchAction") == "none"


def test_undo_and_clear(page: Page, digits: Server) -> None:
    page.goto(digits.url)
    expect(page.locator("#clear")).to_be_disabled()
    draw(page, DRAWINGS["4"])
    expect(page.locator("#label")).to_have_text("4")
    page.click("#undo")
    page.click("#clear")
    expect(page.locator("#hint")).to_be_visible()
    expect(page.locator("#undo")).to_be_disabled()


def test_a_chosen_picture_an_example_and_a_refusal(page: Page, digits: Server) -> None:
    page.goto(digits.url)
    page.set_input_files("#file", {"name": "8.png", "mimeType": "image/png", "buffer": digit_png(18)})
    expect(page.locator("#label")).to_have_text(digit_label(18))
    expect(page.locator("#picture")).to_be_visible()
    page.locator("[data-example='4']").click()
    expect(page.locator("#label")).to_have_text("4")
    page.set_input_files(
        "#file", {"name": "note.png", "mimeType": "image/png", "buffer": b"no picture at all"}
    )
    expect(page.locator("#problem")).to_contain_text("not read here")
    expect(page.locator("#result")).to_be_hidden()
    draw(page, DRAWINGS["1"])
    expect(page.locator("#label")).to_have_text("1")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_dropped_picture_is_recognised(page: Page, digits: Server) -> None:
    page.goto(digits.url)
    drop(page, digit_png(15), "5.png", "image/png")
    expect(page.locator("#label")).to_have_text(digit_label(15))


def drop(page: Page, data: bytes, name: str, kind: str) -> None:
    transfer = page.evaluate_handle(
        """([content, name, type]) => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name, { type }));
          return transfer;
        }""",
        [base64.b64encode(data).decode(), name, kind],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})


def test_what_only_the_browser_reads_is_converted(page: Page, digits: Server) -> None:
    page.goto(digits.url)
    webp: list[int] = page.evaluate(
        """async (content) => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
          const canvas = new OffscreenCanvas(64, 64);
          const pen = canvas.getContext("2d");
          pen.imageSmoothingEnabled = false;
          pen.drawImage(bitmap, 0, 0, 64, 64);
          const blob = await canvas.convertToBlob({ type: "image/webp", quality: 1 });
          return [...new Uint8Array(await blob.arrayBuffer())];
        }""",
        base64.b64encode(digit_png(3)).decode(),
    )
    drop(page, bytes(webp), "3.webp", "image/webp")
    expect(page.locator("#label")).to_have_text("3")


def test_the_page_says_who_answers(page: Page, digits: Server) -> None:
    page.goto(digits.url)
    expect(page.locator(".badge")).to_contain_text("production")
    expect(page.locator("#version")).to_have_text("7")
    digest = page.locator("footer code").first
    assert (digest.get_attribute("title") or "").startswith("sha256:")


def test_a_sound_gets_spectrogram_timeline_and_warning(page: Page, tones: Server) -> None:
    page.goto(tones.url)
    clip = tone_wav([2000.0, 2000.0, 3600.0, 6000.0], 1.0)
    page.set_input_files("#file", {"name": "x.wav", "mimeType": "audio/wav", "buffer": clip})
    expect(page.locator("#novel")).to_contain_text("1 of 4 windows")
    expect(page.locator(".lane")).to_have_count(3)
    expect(page.locator(".lane button.novel")).to_have_count(1)
    becomes_true(page, "document.getElementById('spectrogram').naturalWidth > 100")
    block = page.locator(".lane", has_text="middle").locator("button").first
    assert (block.get_attribute("aria-label") or "").startswith("Play middle: 0.0 to 2.0 s")


def test_a_recording_is_recognised(page: Page, tones: Server) -> None:
    page.goto(tones.url)
    page.click("#record")
    expect(page.locator("#record")).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(1500)
    page.click("#record")
    expect(page.locator("#label")).not_to_be_empty()
    becomes_true(page, "document.getElementById('player').duration > 1")


def test_labels_are_only_ever_text(page: Page, tones: Server) -> None:
    page.goto(tones.url)
    clip = tone_wav([400.0, 3600.0], 1.0)
    page.set_input_files("#file", {"name": "x.wav", "mimeType": "audio/wav", "buffer": clip})
    expect(page.locator("#label")).to_have_text(HOSTILE)
    page.wait_for_timeout(200)
    assert page.evaluate("window.broken") is None
    assert page.locator("main img[src='x']").count() == 0


def test_everything_has_a_name_and_fits_the_width(page: Page, digits: Server, tones: Server) -> None:
    for server in (digits, tones):
        page.goto(server.url)
        nameless: list[Any] = page.evaluate(
            """() => [...document.querySelectorAll("button, input, a, canvas:not([aria-hidden])")]
              .filter((e) => !e.hidden && !(e.textContent.trim() || e.ariaLabel || e.labels?.length))
              .map((e) => e.outerHTML)"""
        )
        assert nameless == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
