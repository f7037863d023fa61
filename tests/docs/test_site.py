"""build/site, which `make docs` has built, in a browser."""

from __future__ import annotations

import pytest

from tools import look_at_site


@pytest.fixture(scope="module")
def visit() -> look_at_site.Visit:
    assert (look_at_site.SITE / "index.html").is_file(), "run `make docs` first"
    return look_at_site.look()


def test_no_page_is_broken_too_wide_without_a_heading_or_asks_elsewhere(visit: look_at_site.Visit) -> None:
    assert visit.problems == []


def test_all_pages_of_the_site_are_in_the_navigation(visit: look_at_site.Visit) -> None:
    built = {str(page.relative_to(look_at_site.SITE)) for page in look_at_site.SITE.rglob("*.html")}
    assert built - {"404.html"} == visit.seen


def test_each_search_finds_its_page_at_each_width(visit: look_at_site.Visit) -> None:
    assert visit.found == len(look_at_site.WIDTHS) * len(look_at_site.WORDS) >= 20
