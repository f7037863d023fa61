"""Links between the documents lead to a heading that is there, as GitHub and the site name it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.tools.test_documents import DOCUMENTS, ROOT

_FENCE = re.compile(r"^[ ]*```.*?^[ ]*```", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)#([^)\s]+)\)")


def slug(heading: str) -> str:
    """How a heading is called in a link."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(text: str) -> set[str]:
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        found[slug(heading)] = found.get(slug(heading), 0) + 1
    again = {f"{name}{sign}{number}" for name, count in found.items() for number in range(1, count) for sign in "-_"}
    return set(found) | again


def broken(document: Path) -> list[str]:
    text = document.read_text("utf-8")
    found = []
    for path, anchor in _LINK.findall(_FENCE.sub("", text)):
        target = (document.parent / path).resolve() if path else document
        if target.suffix == ".md" and target.is_file() and anchor not in anchors(target.read_text("utf-8")):
            found.append(f"{path}#{anchor}")
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_anchors_are_headings(document: Path) -> None:
    assert broken(document) == []


def test_a_link_to_a_missing_heading_is_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One\n\n## Two's `code` and more\n\n```\n# not a heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](#here) [b](other.md#twos-code-and-more) [c](other.md#three) [d](#not-a-heading)\n")
    assert broken(page) == ["other.md#three", "#not-a-heading"]
