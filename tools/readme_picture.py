"""``python -m tools.readme_picture [--check]``: docs/overview.svg, what becomes of the rows of a table.

Its numbers are counted in examples/reviews.csv.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from tools.generated import ROOT, run

PICTURE = ROOT / "docs" / "overview.svg"
REVIEWS = ROOT / "examples" / "reviews.csv"

_WIDTH, _HEIGHT = 860, 300
_LINE_HEIGHT = 20
_FIRST_LINE = 58
_BLUE, _GREY, _TEXT = "#1a5fb4", "#5e5c64", "#241f31"


class _Box(NamedTuple):
    """A box with a heading and lines of text."""

    left: int
    width: int
    heading: str
    lines: tuple[str, ...]


def picture() -> str:
    """Draw the picture.

    Returns:
        The SVG file.
    """
    rows, distinct, empty = _counts()
    boxes = (
        _Box(
            20,
            190,
            "Your table",
            (f"{rows} rows", "id, text, stars", "", "in MindsDB, DuckDB,", "CSV, Parquet, pandas,", "Dask, Ray, Spark"),
        ),
        _Box(
            290,
            250,
            "huggingface_api",
            (
                f"{distinct} different texts are asked",
                "stored answers are not asked again",
                f"{empty} NULLs stay NULL",
                "",
                "in batches, as fast as the",
                "service takes them, within",
                "your budget",
            ),
        ),
        _Box(
            620,
            220,
            "Who answers",
            ("Hugging Face", "an Inference Endpoint", "your server (TEI, vLLM, ...)", "small models on this machine"),
        ),
    )
    body = [line for box in boxes for line in _drawn(box)]
    body += _arrow(210, 290, 90, "SQL") + _arrow(540, 620, 90, "requests") + _arrow(620, 540, 150, "")
    body += _arrow(290, 210, 150, "")
    body += [
        _text(
            _WIDTH // 2,
            262,
            "Each row comes back with a prediction, its score, and an error where it has none.",
            middle=True,
        ),
        _text(
            _WIDTH // 2,
            284,
            "sentiment   sentiment_confidence   sentiment_explain   sentiment_error",
            _GREY,
            middle=True,
        ),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        'role="img" font-family="Helvetica, Arial, sans-serif" font-size="14">'
    )
    title = "<title>A table goes in, its different texts are asked, and each row comes back with a prediction</title>"
    background = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
    return "\n".join([head, title, background, *body, "</svg>", ""])


def _counts() -> tuple[int, int, int]:
    """Rows, different texts, and rows without a text."""
    with REVIEWS.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    given = [text for text in texts if text.strip()]
    return len(texts), len(set(given)), len(texts) - len(given)


def _drawn(box: _Box) -> Iterator[str]:
    yield (
        f'<rect x="{box.left}" y="16" width="{box.width}" height="216" rx="8" fill="#f6f8fa" stroke="{_BLUE}" '
        'stroke-width="1.5"/>'
    )
    yield _text(box.left + 16, 42, box.heading, _BLUE, bold=True)
    for number, line in enumerate(box.lines, 1):
        if line:
            yield _text(box.left + 16, _FIRST_LINE + number * _LINE_HEIGHT - 8, line)


def _arrow(start: int, end: int, y: int, words: str) -> list[str]:
    step = 1 if end > start else -1
    first, last = start + 6 * step, end - 6 * step
    back = last - 8 * step
    drawn = [
        f'<path d="M {first} {y} H {last} M {back} {y - 5} L {last} {y} L {back} {y + 5}" fill="none" '
        f'stroke="{_GREY}" stroke-width="1.5"/>'
    ]
    return [*drawn, _text((start + end) // 2, y - 10, words, _GREY, middle=True)] if words else drawn


def _text(x: int, y: int, words: str, colour: str = _TEXT, *, bold: bool = False, middle: bool = False) -> str:
    more = (' font-weight="bold"' if bold else "") + (' text-anchor="middle"' if middle else "")
    return f'<text x="{x}" y="{y}" fill="{colour}"{more}>{escape(words)}</text>'


if __name__ == "__main__":
    sys.exit(run("python -m tools.readme_picture", "Draw docs/overview.svg.", {PICTURE: picture()}))
