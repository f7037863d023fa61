"""build/site, which `make docs` has built, in a browser."""

from __future__ import annotations

from pathlib import Path

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


GOOD_PAGE = "<html><nav class='md-tabs'><a href='bad.html'>bad</a></nav><article><h1>Good</h1></article></html>"
BAD_PAGE = (
    "<html><article><div style='width: 3000px'>wide</div><img src='missing.svg'></article>"
    "<script>console.error('a mistake'); new Image().src = 'http://127.0.0.2:9/x.png'; nothing.at_all</script></html>"
)


def test_what_is_wrong_with_a_page_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look_at_site.Visit, "_pages_of_navigation", lambda visit: ["bad.html"])
    monkeypatch.setattr(look_at_site.Visit, "_open_search", lambda visit: None)
    monkeypatch.setattr(look_at_site.Visit, "_use_drawer", lambda visit: None)
    monkeypatch.setattr(look_at_site, "WORDS", {})
    monkeypatch.setattr(look_at_site, "SHOTS", tmp_path / "shots")
    (tmp_path / "index.html").write_text(GOOD_PAGE)
    (tmp_path / "bad.html").write_text(BAD_PAGE)
    problems = "\n".join(each for each in look_at_site.look(tmp_path).problems if each.startswith("bad.html"))
    for told in (
        "there is no heading",
        "wider than the window",
        "missing.svg cannot be shown",
        "missing.svg is answered with 404",
        "the console says: a mistake",
        "an error of a script: nothing is not defined",
        "http://127.0.0.2:9/x.png is asked for, which is elsewhere",
    ):
        assert told in problems
