"""The page in a real browser: upload, search, listen, mark, share, change, remove."""

from __future__ import annotations

import re
import socket
import wave
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import PHONE, Watched, chromium, watched
from playwright.sync_api import Browser, Page, Route, expect
from servers import EXAMPLES, Running, make_key, running

CALL = EXAMPLES / "support_call.opus"
VOICEMAIL = EXAMPLES / "voicemail.opus"
QUERY = "cancelling my contract"
AT = 50.0  # seconds of the call, where that is said

expect.set_options(timeout=60_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server without keys; recordings come through the page."""
    with running(tmp_path_factory.mktemp("page") / "library") as one:
        one.upload(CALL, title="A call", tag="phone")
        yield one


@pytest.fixture
def seen(browser: Browser) -> Iterator[Watched]:
    """A page that has nothing to complain of."""
    with watched(browser) as one:
        yield one
        assert one.complaints == []


def searched(page: Page, server: Running, query: str = QUERY) -> None:
    """Type a query and wait for its mentions."""
    page.goto(server.url)
    page.get_by_role("searchbox", name="Search for what was said").fill(query)
    page.keyboard.press("Enter")
    page.locator(".mention").first.wait_for()


def seconds(page: Page) -> float:
    """Where the player is."""
    return float(page.evaluate("document.querySelector('video').currentTime"))


def test_a_file_is_uploaded_and_found(seen: Watched, server: Running) -> None:
    page = seen.page
    page.goto(server.url)
    page.set_input_files("#files", VOICEMAIL)
    expect(page.get_by_role("list", name="Recordings").get_by_text("voicemail")).to_be_visible()
    expect(page.locator(".wave path")).not_to_have_count(0)
    page.set_input_files("#files", VOICEMAIL)
    expect(page.get_by_text("was in the library already")).to_be_visible()
    searched(page, server, "Voltarix 2000")
    expect(page.locator(".group h2").first).to_contain_text("voicemail")


def test_what_is_no_recording_is_told_in_words(
    seen: Watched, server: Running, tmp_path: Path
) -> None:
    page = seen.page
    page.goto(server.url)
    bad = tmp_path / "minutes.wav"
    bad.write_bytes(b"not sound at all")
    page.set_input_files("#files", bad)
    expect(page.locator(".transfers .failed .note")).to_contain_text(re.compile("failed: .{10,}"))
    empty = tmp_path / "empty.wav"
    empty.touch()
    page.set_input_files("#files", empty)
    expect(page.get_by_text("failed: the file is empty")).to_be_visible()


def test_a_click_plays_from_before_the_mention(seen: Watched, server: Running) -> None:
    page = seen.page
    searched(page, server)
    expect(page.locator(".mention mark").first).to_have_text(QUERY)  # spelled around it
    page.locator(".mention .play").first.click()
    page.wait_for_function(
        f"() => document.querySelector('video').currentTime > {AT - 1.9}", timeout=60_000
    )
    assert AT - 2.5 < seconds(page) < AT + 8
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("Escape")
    page.locator("h1").evaluate("one => one.closest('main').focus()")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    here = seconds(page)
    page.keyboard.press("ArrowLeft")
    assert seconds(page) == pytest.approx(here - 5, abs=0.5)


def test_keys_walk_through_mentions_and_mark_them(seen: Watched, server: Running) -> None:
    page = seen.page
    searched(page, server, "contract | account | minutes")
    page.locator("main").focus()
    mentions = page.locator(".mention")
    assert mentions.count() > 1
    expect(mentions.nth(0)).to_have_attribute("aria-current", "true")
    page.keyboard.press("j")
    expect(mentions.nth(1)).to_have_attribute("aria-current", "true")
    page.keyboard.press("k")
    page.keyboard.press("r")
    expect(mentions.nth(0).get_by_role("button", name="Mark as right")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.keyboard.press("j")
    page.keyboard.press("w")
    expect(mentions.nth(1).get_by_role("button", name="Mark as wrong")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.get_by_role("link", name="Marks").click()
    expect(page.get_by_text("1 right, 1 wrong: a measured precision of 50 %.")).to_be_visible()
    page.go_back()
    page.locator(".mention").first.wait_for()
    expect(page.get_by_text("Of 2 marked, 50 % are right.")).to_be_visible()
    page.locator("main").focus()
    page.keyboard.press("u")
    expect(mentions.nth(0).get_by_role("button", name="Mark as right")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_confidence_and_filters_are_in_the_link(seen: Watched, server: Running) -> None:
    page = seen.page
    searched(page, server, "contract | account")
    before = page.locator(".mention").count()
    slider = page.get_by_role("slider", name="Least confidence")
    slider.fill("0.9")
    page.wait_for_url("**min=0.9**")
    page.locator(".count", has_text="searched in").wait_for()
    assert page.locator(".mention").count() < before
    page.get_by_role("searchbox", name="Filters").fill("tag:none")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing like it was heard")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename.endswith(".csv")


def test_a_query_that_is_wrong_is_told_where(browser: Browser, server: Running) -> None:
    with watched(browser) as one:  # the browser complains of the answer 400 itself
        page = one.page
        page.goto(server.url)
        page.get_by_role("searchbox", name="Search for what was said").fill("refund NEAR/ manager")
        page.keyboard.press("Enter")
        expect(page.locator("#query-error")).to_be_visible()
        expect(page.locator("#query-error mark")).to_have_count(1)


def test_a_moment_is_shared_by_its_link(seen: Watched, browser: Browser, server: Running) -> None:
    searched(seen.page, server)
    link = seen.page.locator(".mention .at").first.get_attribute("href")
    assert link and parse_qs(urlsplit(link).query)["q"] == [QUERY]
    with watched(browser) as other:
        page = other.page
        page.goto(server.url + link)
        expect(page.get_by_role("heading", name="A call")).to_be_visible()
        expect(
            page.get_by_role("heading", name=re.compile("What the network heard"))
        ).to_be_visible()
        picture = page.locator("img.activations")
        page.wait_for_function("one => one.naturalWidth > 0", arg=picture.element_handle())
        page.wait_for_function("() => document.querySelector('#player video').readyState > 0")
        assert seconds(page) == pytest.approx(AT - 2, abs=1)
        page.get_by_role("searchbox", name="Search in this recording").fill("help you today")
        page.get_by_role("button", name="Add a search").click()
        expect(page.locator(".searched")).to_have_count(2)
        assert other.complaints == []


def test_a_recording_is_edited_deleted_and_undone(seen: Watched, server: Running) -> None:
    page = seen.page
    with wave.open(str(server.library.parent / "noise.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        noise = np.random.default_rng(0).normal(0, 900, 48_000)
        file.writeframes(noise.astype("<i2").tobytes())
    server.upload(server.library.parent / "noise.wav", title="Rain")
    page.goto(server.url)
    page.get_by_role("button", name="Edit Rain").click()
    page.get_by_label("Title").fill("Heavy rain")
    page.get_by_label("Tags, with commas").fill("weather, short")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".tag", has_text="weather")).to_be_visible()
    page.get_by_role("searchbox", name="Filter the list").fill("tag:weather")
    expect(page.locator(".recording")).to_have_count(1)
    page.get_by_role("button", name="Delete Heavy rain").click()
    expect(page.locator(".recording:visible")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".recording:visible")).to_have_count(1)
    page.get_by_role("button", name="Delete Heavy rain").click()
    page.locator(".toast").get_by_role("button", name="Close").click()
    expect(page.locator(".recording")).to_have_count(0)
    assert server.client.get("/recordings", params={"where": "tag:weather"}).json()["total"] == 0


def test_an_upload_goes_on_when_the_server_is_back(browser: Browser, tmp_path: Path) -> None:
    sound = tmp_path / "long.wav"
    with wave.open(str(sound), "wb") as file:  # three parts
        file.setparams((2, 2, 48_000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 2 * 48_000 * 50))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    library = tmp_path / "library"
    with running(library, "--port", port) as first, watched(browser) as one:
        page = one.page
        sent = 0

        def killed_at_the_second(route: Route) -> None:
            nonlocal sent
            sent += route.request.method == "PATCH"
            if sent == 2 and first.process.poll() is None:
                first.kill()
            route.continue_()

        page.route("**/api/v1/uploads/*", killed_at_the_second)
        page.goto(first.url)
        page.set_input_files("#files", sound)
        expect(page.get_by_text("the server cannot be reached; it is tried again")).to_be_visible()
        with running(library, "--port", port) as second:
            row = page.get_by_role("list", name="Recordings").get_by_text("long", exact=True)
            expect(row).to_be_visible()
            assert second.client.get("/recordings").json()["total"] == 1
        assert sent < 6  # what had arrived was not sent again


def test_a_key_signs_in_and_stays_out_of_addresses(browser: Browser, tmp_path: Path) -> None:
    library = tmp_path / "library"
    key = make_key(library, "admin")
    with running(library, key=key) as server, watched(browser) as one:
        server.upload(CALL, title="A call")
        page = one.page
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        page.get_by_label("API key").fill("0" * 40)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("This API key is not known here.")).to_be_visible()
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("1 recording")).to_be_visible()
        page.get_by_role("button", name="Play A call").click()
        page.wait_for_function("() => document.querySelector('video').currentTime > 0.2")
        assert page.evaluate("document.cookie") == ""
        assert key not in "".join(asked) and key not in server.log.read_text("utf-8")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        assert page.request.get(f"{server.url}/api/v1/recordings").status == 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found_by_axe(browser: Browser, server: Running, scheme: str) -> None:
    identity = server.client.get("/recordings").json()["recordings"][0]["id"]
    ways = ("/", f"/search?q={QUERY}", "/marks", f"/recordings/{identity}?q={QUERY}")
    with watched(browser, color_scheme=scheme) as one:
        for way in ways:
            one.page.goto(server.url + way)
            one.page.locator("h1").wait_for(state="attached")
            one.page.wait_for_load_state("networkidle")
            found = Axe().run(one.page).response["violations"]
            serious = [f"{way}: {each['id']}: {each['nodes'][0]['html']}" for each in found
                       if each["impact"] in ("serious", "critical")]  # fmt: skip
            assert serious == []


@pytest.mark.parametrize("size", [PHONE, {"width": 600, "height": 400}], ids=["phone", "zoomed"])
def test_nothing_is_wider_than_the_screen(
    browser: Browser, server: Running, size: dict[str, int]
) -> None:
    identity = server.client.get("/recordings").json()["recordings"][0]["id"]
    with watched(browser, viewport=size) as one:
        for way in ("/", f"/search?q={QUERY}", "/marks", f"/recordings/{identity}?q={QUERY}"):
            one.page.goto(server.url + way)
            one.page.locator("h1").wait_for(state="attached")
            one.page.wait_for_load_state("networkidle")
            wide = "() => document.documentElement.scrollWidth - innerWidth"
            assert one.page.evaluate(wide) <= 0, way


def test_the_document_forbids_what_it_does_not_need(server: Running) -> None:
    import httpx  # the servers' client asks under /api/v1

    answer = httpx.get(server.url + "/")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy and "default-src 'none'" in policy
    assert httpx.get(server.url + "/").headers["content-security-policy"] != policy
    assert httpx.get(server.url + "/page/..%2fapp.py").status_code == 404
    script = httpx.get(server.url + "/page/app.js")
    again = httpx.get(
        server.url + "/page/app.js", headers={"If-None-Match": script.headers["etag"]}
    )
    assert (script.status_code, again.status_code) == (200, 304)
    assert "javascript" in script.headers["content-type"]
