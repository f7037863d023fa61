"""What ends a build of the site: a dead link or heading, a page outside the navigation, a connection, something from elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mkdocs.utils import yaml_load

from tools import site_docstrings, site_hooks
from tools.generated import ROOT

GOOD = {
    "index.md": "# Home\n\n## A part\n\n[here](#a-part) and [README](../README.md), [a test](../tests/conftest.py)\n"
}


def build(
    folder: Path, pages: dict[str, str], nav: tuple[str, ...] = ("index.md",)
) -> subprocess.CompletedProcess[str]:
    """Build a small site with the hooks and the strictness of ours."""
    validation = yaml_load((ROOT / "mkdocs.yml").read_text("utf-8"))["validation"]
    for name, text in pages.items():
        (folder / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "docs" / name).write_text(text)
    config = {
        "site_name": "Test",
        "site_dir": str(folder / "site"),
        "docs_dir": str(folder / "docs"),
        "theme": {"name": "material", "font": False},
        "plugins": [],
        "use_directory_urls": False,
        "hooks": [str(ROOT / "tools" / "site_hooks.py")],
        "nav": [{name: name} for name in (*nav, *(f"project/{page}" for page in site_hooks.PROJECT_PAGES))],
        "validation": validation,
    }
    (folder / "mkdocs.yml").write_text(json.dumps(config))
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[x](missing.md)", "missing.md"),
        ("[x](#nothing)", "#nothing"),
        ("[x](../README.md#no-such-part)", "no-such-part"),
        ("[x](/absolute.md)", "absolute"),
        ("![x](https://elsewhere.example/picture.svg)", "loads https://elsewhere.example/picture.svg"),
        ('<script src="//cdn.example/x.js"></script>', "loads //cdn.example/x.js"),
    ],
)
def test_what_leads_nowhere_or_comes_from_elsewhere_ends_the_build(tmp_path: Path, text: str, says: str) -> None:
    # The links of the repository's own pages lead to pages that this small site lacks, so the site is what fails too.
    pages = {"index.md": f"# Home\n\n{text}\n"}
    done = build(tmp_path, pages)
    assert done.returncode == 1 and says in done.stderr


def test_a_page_outside_the_navigation_ends_the_build(tmp_path: Path) -> None:
    done = build(tmp_path, {**GOOD, "lonely.md": "# Lonely\n"})
    assert done.returncode == 1 and "lonely.md" in done.stderr


def test_good_links_are_not_complained_of(tmp_path: Path) -> None:
    done = build(tmp_path, GOOD)
    assert "'index.md'" not in done.stderr
    html = (tmp_path / "site" / "index.html").read_text("utf-8")
    assert 'href="#a-part"' in html and '<a href="project/index.html">README</a>' in html
    assert ", a test</p>" in html and "conftest.py" not in html  # the site has no such file


def test_pictures_of_the_repositorys_pages_lead_into_the_site() -> None:
    picture = site_hooks._LINK.search("![a picture](docs/compare.svg)")
    assert picture is not None
    assert site_hooks._relinked(picture, "project/README.md") == "![a picture](../compare.svg)"


def test_a_connection_ends_the_build() -> None:
    program = (
        "from tools import site_hooks\nimport socket\nsite_hooks.on_startup()\n"
        "socket.create_server(('127.0.0.1', 0)).close()\n"
        "socket.create_connection(('elsewhere.example', 443), timeout=5)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "The build asked for elsewhere.example" in done.stderr


def test_each_page_with_a_place_of_its_own_in_the_search_is_there() -> None:
    assert [page for page in site_hooks.SEARCH_BOOSTS if not (ROOT / "docs" / page).is_file()] == []


def test_tutorials_are_in_the_order_of_their_index(tmp_path: Path) -> None:
    for name in ("index", "zebra", "apple", "middle", "later"):
        (tmp_path / f"{name}.md").write_text(f"# {name}\n")
    (tmp_path / "index.md").write_text("# All\n[z](zebra.md) [m](middle.md#part) [x](../costs.md) [z](zebra.md)\n")
    found = site_hooks.tutorials(tmp_path)
    assert found == [f"tutorials/{name}.md" for name in ("index", "zebra", "middle", "apple", "later")]


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<a href="https://elsewhere.example">x</a><img src="a.svg">', []),
        ('<link rel="stylesheet" href="https://fonts.example/a.css">', ["https://fonts.example/a.css"]),
        ('<link rel="canonical" href="https://site.example/">', []),
        ('<iframe src="http://elsewhere.example/">', ["http://elsewhere.example/"]),
    ],
)
def test_what_a_browser_loads_by_itself_is_found(html: str, found: list[str]) -> None:
    assert site_hooks.loaded_from_elsewhere(html) == found


def test_examples_of_docstrings_get_a_fence() -> None:
    text = "Say so.\n\n>>> f(1)\n[1, 2]\n\nMore.\n\n    >>> g()\n    [3]\n"
    fenced = site_docstrings.fenced(text)
    assert (
        fenced.count("```pycon\n>>> f(1)\n[1, 2]\n```") == 1 and "    ```pycon\n    >>> g()\n    [3]\n    ```" in fenced
    )
