"""The board in a real browser: login, hostile names as text, news without reloading; on a desktop and a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.board import HOSTILE, TOKEN, World, board

pytestmark = pytest.mark.browser
expect.set_options(timeout=30_000)

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
PATHS = (
    "/",
    "/applications/digits",
    "/applications/digits/staging",
    "/runs",
    "/decisions",
    "/labels",
    "/actions",
    "/submit",
    "/promote?application=digits&from=staging&to=canary",
    "/rollback?application=digits&environment=staging",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("board-page"))
    made.release(1)
    return made


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[httpx.Client]:
    with board(world) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.fail("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(params=SIZES)
def page(browser: Browser, server: httpx.Client, request: pytest.FixtureRequest) -> Iterator[Page]:
    width, height = SIZES[request.param]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        has_touch=request.param == "phone",
        base_url=str(server.base_url),
    )
    opened = context.new_page()
    problems: list[str] = []
    foreign: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    opened.on(
        "request",
        lambda sent: None if sent.url.startswith(str(server.base_url)) else foreign.append(sent.url),
    )
    yield opened
    context.close()
    assert foreign == []
    assert [text for text in problems if "status of 4" not in text] == []


def log_in(page: Page, to: str = "/", name: str = "Ada") -> None:
    page.goto(to)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{to}")


def whole(page: Page) -> bool:
    """Whether nothing sticks out to the right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_stranger_sees_the_login_and_goes_on_to_where_they_wanted(page: Page) -> None:
    page.goto("/runs")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Token").fill("a wrong token")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not the board's token")
    assert whole(page)
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Workflows", level=1)).to_be_visible()
    assert page.evaluate("document.cookie") == ""


def test_hostile_names_run_nothing_and_every_page_fits(page: Page, world: World) -> None:
    written = world.run("train-model", {"application": "digits", "data-source": HOSTILE})
    written.end(written.step("start", message=HOSTILE), "Failed", HOSTILE)
    written.save("Failed", HOSTILE)
    log_in(page, name="<img src=x onerror=window.broken=1>")
    for path in (*PATHS, f"/runs/{written.name}"):
        page.goto(path)
        page.wait_for_timeout(500)
        for details in page.locator("summary").all():
            details.click()
        assert page.evaluate("window.broken") is None, path
        assert whole(page), path
    page.goto("/decisions")
    expect(page.locator(".decisions")).to_contain_text("<script>window.broken=1</script>")


def test_news_are_seen_without_reloading(page: Page, world: World) -> None:
    log_in(page)
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("window.same = true")
    written = world.run("train-model", {"application": "digits"})
    start = written.step("start")
    now = page.locator(".now", has=page.get_by_role("link", name="train-model")).last
    expect(now).to_contain_text("running")
    page.get_by_role("link", name="train-model").first.click()
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("window.same = true")
    steps = page.locator('[data-part="steps"] tr')
    expect(steps.nth(1)).to_contain_text("running")
    written.end(start)
    written.step("train")
    expect(steps.nth(1)).to_contain_text("done")
    expect(steps.nth(2)).to_contain_text("running")
    written.save("Succeeded")
    expect(page.locator('[data-part="run"]')).to_contain_text("succeeded")
    assert page.evaluate("window.same") is True


def test_a_release_appears_on_the_overview_by_itself(page: Page, world: World) -> None:
    log_in(page)
    staging = page.locator('.env[data-environment="staging"]')
    expect(staging).to_contain_text("v")
    page.evaluate("window.same = true")
    before = staging.locator(".version").inner_text().split()[0]
    world.release(int(before.removeprefix("v")) + 1)
    expect(staging).to_contain_text(f"v{int(before.removeprefix('v')) + 1}")
    assert page.evaluate("window.same") is True


def test_the_pipeline_is_a_picture_and_on_a_phone_a_list(page: Page, world: World) -> None:
    written = world.run("promote-model", {
        "source-environment": "staging", "target-environment": "canary", "model-version": "1",
    })  # fmt: skip
    written.step("approve", kind="Suspend")
    log_in(page, f"/runs/{written.name}")
    phone = (page.viewport_size or {}).get("width") == SIZES["phone"][0]
    picture = page.get_by_role("img", name="Steps:")
    expect(page.locator("ol.stages" if phone else "svg.pipeline")).to_be_visible()
    if not phone:
        expect(picture).to_have_attribute(
            "aria-label", "Steps: check planned, approve waiting, commit planned, deliver planned"
        )
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    written.save("Failed")


def test_a_service_that_goes_away_is_said_and_the_rest_stays(page: Page, world: World) -> None:
    log_in(page, "/labels")
    expect(page.locator("main")).to_contain_text("93.0 %")
    world.away = {"labels"}
    expect(page.locator("main")).to_contain_text("is away")
    expect(page.locator("main")).to_contain_text("93.0 %")
    world.away = set()
    expect(page.locator("main")).not_to_contain_text("is away")


def test_a_logout_ends_the_page_in_another_tab(page: Page) -> None:
    log_in(page)
    expect(page.locator("#live")).to_have_text("live")
    other = page.context.new_page()
    other.goto("/")
    other.get_by_role("button", name="log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_dark_and_light_differ(browser: Browser, server: httpx.Client) -> None:
    colours = set()
    for scheme in ("dark", "light"):
        context = browser.new_context(color_scheme=scheme, base_url=str(server.base_url))  # type: ignore[arg-type]
        opened = context.new_page()
        opened.goto("/login")
        colours.add(opened.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert len(colours) == 2


def test_the_token_is_in_no_page(server: httpx.Client, world: World) -> None:
    text = server.get("/login", headers={"accept": "text/html"}).text
    assert TOKEN not in text
    stored = [path for path in Path(world.home / "board").rglob("*") if path.is_file()]
    assert all(TOKEN not in path.read_text(errors="replace") for path in stored)
