"""What ``make docs`` does beside what mkdocs does; mkdocs.yml names this file under `hooks`.

- Nothing is asked of another machine while the site is built: a connection to one ends the build.
- Files of the repository's root become pages below `project/`, so that links to them and to their headings are checked.
- A link to any other file of the repository becomes its text: the site has no such file.
- Tutorials are in the order of their index.
- No page loads anything from elsewhere. Links that a person follows may lead anywhere.
"""

from __future__ import annotations

import logging
import posixpath
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
PROJECT_PAGES = (
    "README.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "examples/README.md",
    "training/README.md",
)
PROJECT_FOLDER = "project/"
PROJECT_BOOST = 0.3
"""Of them in the search, where a page of docs/ says the same."""
SEARCH_BOOSTS = {
    "troubleshooting.md": 4.0,
    "reference/arguments.md": 2.0,
    "architecture.md": 0.3,
    "decisions.md": 0.3,
    "two_homes.md": 0.5,
    "benchmarks.md": 0.5,
    "reliability.md": 0.5,
    "reference/python.md": 0.5,
}
"""Of other pages: messages and arguments, which people look up, come first, and what is for developers comes later."""

TUTORIALS = "tutorials/"
ASSETS = {"assets/icon.svg": "icon.svg"}
"""File of the site -> file of the repository."""

LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}
"""Elements that a browser loads by itself, with the attribute that says from where."""
LOADED_LINKS = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "prefetch", "manifest", "modulepreload"}

_log = logging.getLogger("mkdocs.hooks.site")
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"(```.*?^[ ]*```|``.+?``|`[^`\n]+`)", re.DOTALL | re.MULTILINE)
_IN_BOUNDS = re.compile(r"^(?:127\.|::1$|localhost$|0\.0\.0\.0$)")


def on_startup(**_: Any) -> None:
    """Let no connection leave this machine from here on."""
    sys.addaudithook(_refuse_other_machines)


def _refuse_other_machines(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    else:
        return
    if host is not None and not _IN_BOUNDS.match(str(host)):
        raise PluginError(f"The build asked for {host}. Give it what it needs from this machine.")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the tutorials into the navigation.

    Args:
        config: The configuration of mkdocs.yml.

    Returns:
        The same.
    """
    for entry in config.nav or []:
        for title, target in entry.items():
            if target == TUTORIALS:
                entry[title] = tutorials(Path(config.docs_dir) / TUTORIALS)
    return config


def tutorials(folder: Path) -> list[str]:
    """List the tutorials: the index, the pages in the order of its links, then what it does not name.

    Args:
        folder: The folder of their pages.

    Returns:
        Their paths below docs/.
    """
    index = folder / "index.md"
    named = [link["target"].partition("#")[0] for link in _LINK.finditer(index.read_text("utf-8"))]
    ordered = dict.fromkeys(name for name in named if "/" not in name and (folder / name).is_file())
    rest = sorted(path.name for path in folder.glob("*.md") if path.name not in {index.name, *ordered})
    return [TUTORIALS + name for name in (index.name, *ordered, *rest)]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository that are pages of the site.

    Args:
        files: Those of docs/.
        config: The configuration.

    Returns:
        The same collection, with these.
    """
    for name in PROJECT_PAGES:
        files.append(File.generated(config, PROJECT_FOLDER + name, content=(ROOT / name).read_text("utf-8")))
    for uri, name in ASSETS.items():
        files.append(File.generated(config, uri, content=(ROOT / name).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of a page to where their files are on the site.

    Args:
        markdown: The page as it is in the repository.
        page: The page.
        config: The configuration.
        files: All files of the site.

    Returns:
        The page with other links.
    """
    if page.file.src_uri.startswith(PROJECT_FOLDER):
        page.meta["search"] = {"boost": PROJECT_BOOST}
    elif page.file.src_uri in SEARCH_BOOSTS:
        page.meta["search"] = {"boost": SEARCH_BOOSTS[page.file.src_uri]}
    if page.parent is None and not page.meta.get("hide"):
        page.meta["hide"] = ["navigation"]  # of one page, at the side
    parts = _CODE.split(markdown)
    parts[::2] = [_LINK.sub(lambda link: _relinked(link, page.file.src_uri), part) for part in parts[::2]]
    # A link whose text is code was cut by the split, so what is left of these is looked for in the whole.
    whole = "".join(parts)
    return _LINK.sub(lambda link: _relinked(link, page.file.src_uri) if "`" in link["text"] else link[0], whole)


def _relinked(link: re.Match[str], page: str) -> str:
    target, hash_sign, anchor = link["target"].partition("#")
    if not target or "://" in target or target.startswith("mailto:"):
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(repository_path(page)), target))
    if path.startswith(f"{DOCS}/") and (ROOT / path).is_file():
        uri = path.removeprefix(f"{DOCS}/")
    elif path in PROJECT_PAGES:
        uri = PROJECT_FOLDER + path
    elif (ROOT / path).exists():
        return link["text"]
    else:
        return link[0]  # mkdocs says that it leads nowhere
    return f"{link['picture']}[{link['text']}]({posixpath.relpath(uri, posixpath.dirname(page))}{hash_sign}{anchor})"


def repository_path(page: str) -> str:
    """Say which file of the repository a page is.

    Args:
        page: Its path on the site, such as ``project/README.md`` or ``chat.md``.

    Returns:
        Its path in the repository, such as ``README.md`` or ``docs/chat.md``.
    """
    return page.removeprefix(PROJECT_FOLDER) if page.startswith(PROJECT_FOLDER) else f"{DOCS}/{page}"


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Warn where a page loads something from elsewhere, which ends a strict build.

    Args:
        output: The page in HTML.
        page: The page.
        config: The configuration.

    Returns:
        The same text.
    """
    for address in loaded_from_elsewhere(output):
        _log.warning("%s loads %s. Keep it in docs/ instead.", page.file.src_uri, address)
    return output


def loaded_from_elsewhere(html: str) -> list[str]:
    """Find what a browser would load from another host.

    Args:
        html: A page.

    Returns:
        The addresses, in the order of the page.
    """
    parser = _Loaded()
    parser.feed(html)
    return parser.found


class _Loaded(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        address = values.get(LOADED.get(tag, ""), "")
        if tag == "link" and LOADED_LINKS & set(values.get("rel", "").split()):
            address = values.get("href", "")
        if re.match(r"(?:https?:)?//", address):
            self.found.append(address)
