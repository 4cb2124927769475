"""The board of a real platform: a model is trained, promoted and rolled back by its buttons alone, in a browser."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.platform import Platform, running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(900)]
_LONG = 240_000
expect.set_options(timeout=60_000)
WHO = "Ada Lovelace"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("board-e2e")) as made:
        yield made


@pytest.fixture
def page(running: Platform) -> Iterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("chromium is not installed: apt-get install chromium")
    port = json.loads((running.home / "platform.json").read_text())["ports"]["board"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_context(base_url=f"http://127.0.0.1:{port}").new_page()
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def token(running: Platform) -> str:
    path: Path = running.home / "board" / "token"
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text().strip()


def ended(page: Page, word: str = "succeeded") -> None:
    """The workflow that is shown ends so, without reloading."""
    page.evaluate("window.same = true")
    expect(page.locator('[data-part="run"] .pill', has_text=word)).to_be_visible(timeout=_LONG)
    assert page.evaluate("window.same") is True


def test_from_a_training_to_production_and_back_by_buttons(running: Platform, page: Page) -> None:
    page.goto("/submit?application=digits")
    page.get_by_label("Your name").fill(WHO)
    page.get_by_label("Token").fill(token(running))
    page.get_by_role("button", name="Log in").click()
    page.goto("/submit?application=digits")
    page.locator('[name="epochs"]').fill("8")
    page.get_by_role("button", name="Start train-model").click()
    ended(page)

    for source, target in (("staging", "canary"), ("canary", "production")):
        page.goto("/")
        page.locator(f'a[href="/promote?application=digits&from={source}&to={target}"]').click(timeout=_LONG)
        if target == "production":
            page.get_by_label("Wait for somebody's approval").check()
        page.get_by_role("button", name=f"Promote v1 to {target}").click()
        if target == "production":
            page.get_by_role("button", name="Approve").click(timeout=_LONG)
        ended(page)

    page.goto("/applications/digits/production")
    expect(page.locator(".lineage .holds")).to_have_count(8, timeout=_LONG)
    expect(page.locator(".lineage .breaks")).to_have_count(0)
    expect(page.locator('[data-part="history"]')).to_contain_text(WHO)
    page.get_by_role("link", name="Verify now").click()
    expect(page.locator("main")).to_contain_text("all agree", timeout=_LONG)

    page.goto("/rollback?application=digits&environment=production")
    page.get_by_label("Why").fill("only to see it")
    page.get_by_role("button", name="Roll back production").click()
    ended(page, "refused")
    expect(page.locator('[data-part="run"]')).to_contain_text("no earlier good release to go back to")

    page.goto("/actions")
    for word in ("submit train-model", "submit promote-model", "approve", "submit rollback-model", WHO):
        expect(page.locator("main")).to_contain_text(word)
    first = running.json("history", "production", "--application", "digits")[0]
    assert first["action"] == "promote" and first["model_version"] == "1"
    proof = running.json("why", "production", "--application", "digits")["evidence"]
    assert proof["requested_by"] == WHO
