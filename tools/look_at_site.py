"""``python -m tools.look_at_site``: open the site as a person does, in Chromium, at two widths.

It serves build/site on this machine, opens every page of the navigation by clicking, and searches for some words. Pictures
of pages go to build/site-shots. What is wrong is printed, and the exit status is 1.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import BrowserContext, Request, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
SHOTS = ROOT / "build" / "site-shots"

WIDTHS = (1280, 390)
"""Pixels: a laptop and a telephone."""
HEIGHT = 900

WORDS = {
    "threshold": "arguments",
    "max_usd": "costs",
    "HF_TOKEN": "environment",
    "zero-shot-classification": "tasks",
    "Redis": "cluster",
    "embeddings": "tasks",
    "credits": "troubleshooting",
    "predict_batches": "python",
    "dask": "distributed",
    "budget": "costs",
    "key refused": "troubleshooting",
    "all predictions are NULL": "troubleshooting",
    "slow query": "speed",
    "bill": "costs",
    "model not served": "troubleshooting",
    "text too long": "long_texts",
    "cold endpoint": "troubleshooting",
    "503": "troubleshooting",
    "migration": "coming_over",
    "guarantee": "guarantees",
    "cascade": "cascade",
    "two machines": "cluster",
}
"""What is searched for -> a page that must be among the first that are found."""

_FIRST_FOUND = 3
"""Pages that a person sees without scrolling."""

SHOT_PAGES = (
    "index",
    "troubleshooting",
    "comparison",
    "reference/tasks",
    "reference/arguments",
    "reference/python",
    "explanation/row",
    "explanation/flow_control",
    "project/index",
    "costs",
)
"""Pages of which a picture is kept."""

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SEARCH_TIMEOUT_MS = 20_000

_CLICK = """target => {
    const links = [...document.querySelectorAll("nav.md-tabs a, nav.md-nav--primary a.md-nav__link")];
    const link = links.find(each => each.href.split("#")[0] === target && each.offsetParent);
    if (link) link.click();
    return Boolean(link);
}"""
"""Clicks the link to a page, where the navigation shows one, and says whether it did."""


def chromium() -> str:
    """Find the browser.

    Returns:
        The path of its program.

    Raises:
        FileNotFoundError: There is none.
    """
    for program in (os.environ.get("CHROMIUM"), *_PROGRAMS):
        if program and (found := shutil.which(program)):
            return found
    raise FileNotFoundError("there is no chromium here: ./tools/have_chromium.sh installs it, or says how")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port of this machine.

    Args:
        folder: Of the site.

    Yields:
        Its address, with a slash at its end.
    """
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


class Visit:
    """One look at the site.

    Args:
        context: A fresh profile of the browser.
        address: Of the site.

    Attributes:
        problems: What is wrong, a sentence each.
        seen: The pages that were opened.
        found: How many searches found the page that they were to find.
    """

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.problems: list[str] = []
        self.seen: set[str] = set()
        self.found = 0
        self._address, self._width = address, WIDTHS[0]
        self._page = context.new_page()
        self._page.on("console", self._on_console)
        self._page.on("pageerror", lambda error: self._add(f"an error of a script: {error}"))
        self._page.on("request", self._on_request)
        self._page.on("requestfailed", lambda request: self._add(f"{request.url} could not be loaded"))
        self._page.on("response", self._on_response)

    def look(self) -> None:
        """Open each page of the navigation, look at it at all widths, and search at each."""
        self._resize(WIDTHS[0])
        self._page.goto(self._address, wait_until="load")
        for name in self._pages_of_navigation():
            self._follow(name)
            for width in WIDTHS:
                self._resize(width)
                self._check()
                if name.removesuffix(".html") in SHOT_PAGES:
                    self._shoot(name.removesuffix(".html").replace("/", "-"))
            self._resize(WIDTHS[0])
        for width in WIDTHS:
            self._resize(width)
            self._page.goto(self._address, wait_until="load")
            self._open_search()
            for words, page in WORDS.items():
                self._search(words, page)
            self._shoot("search")
        self._use_drawer()

    def _resize(self, width: int) -> None:
        self._width = width
        self._page.set_viewport_size({"width": width, "height": HEIGHT})

    def _use_drawer(self) -> None:
        """Open the navigation that a narrow window hides, and follow its first link."""
        self._page.goto(self._address, wait_until="load")
        self._page.click("label.md-header__button[for=__drawer]")
        with self._page.expect_navigation(wait_until="load"):
            self._page.click("nav.md-nav--primary > ul > li:nth-child(2) > a.md-nav__link")
        if self._page.url == self._address:
            self._add("the navigation does not lead on")

    def _add(self, problem: str) -> None:
        name = self._page.url.removeprefix(self._address) or "index.html"
        self.problems.append(f"{name}, {self._width} wide: {problem}")

    def _on_console(self, message: object) -> None:
        if getattr(message, "type", "") in ("error", "warning"):
            self._add(f"the console says: {getattr(message, 'text', message)}")

    def _on_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and not request.url.startswith(self._address):
            self._add(f"{request.url} is asked for, which is elsewhere")

    def _on_response(self, response: object) -> None:
        if getattr(response, "status", 200) >= 400:
            self._add(f"{getattr(response, 'url', '')} is answered with {getattr(response, 'status', '')}")

    def _pages_of_navigation(self) -> list[str]:
        """Addresses that the navigation leads to, below the site's."""
        links: list[str] = self._page.eval_on_selector_all(
            "nav.md-nav--primary a.md-nav__link, nav.md-tabs a", "all => all.map(a => a.getAttribute('href'))"
        )
        found = dict.fromkeys(urljoin(self._address, link).partition("#")[0] for link in links if link)
        names = [link.removeprefix(self._address) or "index.html" for link in found]
        return [name for name in names if name.endswith(".html")]

    def _follow(self, name: str) -> None:
        """Click the link to a page, where the navigation shows it; open it by its address where it is folded away."""
        target = urljoin(self._address, name)
        with self._page.expect_navigation(wait_until="load"):
            if not self._page.evaluate(_CLICK, target):
                self._page.evaluate("address => { location.href = address }", target)
        self.seen.add(name)

    def _check(self) -> None:
        heading = self._page.query_selector("article h1")
        if heading is None or not heading.inner_text().strip("¶ \n"):
            self._add("there is no heading")
        wide = self._page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            self._add(f"it is {wide} pixels wider than the window")
        broken = self._page.eval_on_selector_all(
            "article img", "all => all.filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
        )
        for source in broken:
            self._add(f"the picture {source} cannot be shown")

    def _open_search(self) -> None:
        """Click where the words go, which a narrow window has behind a button."""
        button = self._page.locator("label.md-header__button[for=__search]")
        (button if button.is_visible() else self._page.locator("input.md-search__input")).click()

    def _search(self, words: str, page: str) -> None:
        self._page.locator("input.md-search__input").focus()
        self._page.keyboard.press("Control+A")
        self._page.keyboard.type(words)
        try:
            first = f"li.md-search-result__item:nth-child(-n + {_FIRST_FOUND})"
            found = self._page.locator(f"{first} a.md-search-result__link[href*='/{page}.html']").first
            found.wait_for(state="attached", timeout=_SEARCH_TIMEOUT_MS)
            self.found += 1
        except Exception:  # of playwright, whatever its class
            self._add(f"a search for {words} does not find {page} among the first {_FIRST_FOUND}")

    def _shoot(self, name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        self._page.screenshot(path=SHOTS / f"{name}-{self._width}.png")


def look(site: Path = SITE) -> Visit:
    """Look at a site at all widths.

    Args:
        site: The folder that was built.

    Returns:
        What was found.
    """
    with served(site) as address, sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=chromium(), headless=True, args=list(_ARGUMENTS)
        )
        try:
            visit = Visit(context, address)
            visit.look()
        finally:
            context.close()
    return visit


def main() -> int:
    """Look at build/site, and print what is wrong.

    Returns:
        The exit status: 1 where something is.
    """
    visit = look()
    for problem in visit.problems:
        print(problem)
    searches = f"{visit.found} of {len(WIDTHS) * len(WORDS)} searches found their page"
    print(f"{len(visit.seen)} pages at {len(WIDTHS)} widths, {searches}, {len(visit.problems)} problems.")
    print(f"Pictures: {SHOTS.relative_to(ROOT)}")
    return 1 if visit.problems else 0


if __name__ == "__main__":
    sys.exit(main())
