"""``python -m tools.diagrams [--check]``: the diagrams of docs/explanation, as SVG.

A diagram is boxes on a grid and arrows between them. It has its own white ground, so that it can be read on a light and on
a dark page.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from tools.generated import ROOT, run

FOLDER = ROOT / "docs" / "explanation"

BOX_WIDTH, LINE_HEIGHT, PADDING = 180, 18, 12
COLUMN_WIDTH, ROW_HEIGHT, MARGIN = 310, 120, 20
"""Pixels. A box of up to four lines fits into a row with room for an arrow."""

_COLORS = {"ours": ("#e8eaf6", "#3f51b5"), "theirs": ("#fff3e0", "#ef6c00"), "end": ("#e8f5e9", "#2e7d32")}
"""Whose a box is -> its ground and its line: ours, somebody else's, and where it ends."""


@dataclass(frozen=True)
class Box:
    """One box.

    Attributes:
        column: Its place from the left, from 0; a half is between two.
        row: Its place from above.
        lines: What stands in it; the first line is bold.
        kind: A key of the colors.
    """

    column: float
    row: float
    lines: tuple[str, ...]
    kind: str = "ours"

    @property
    def center(self) -> tuple[float, float]:
        """Where its middle is, in pixels."""
        return MARGIN + self.column * COLUMN_WIDTH + BOX_WIDTH / 2, MARGIN + self.row * ROW_HEIGHT + 40

    @property
    def height(self) -> float:
        """How high it is, in pixels."""
        return len(self.lines) * LINE_HEIGHT + PADDING

    def edge(self, other: tuple[float, float]) -> tuple[float, float]:
        """Find where a line from its middle leaves it.

        Args:
            other: Where the line goes.

        Returns:
            The point of its border.
        """
        x, y = self.center
        dx, dy = other[0] - x, other[1] - y
        scale = min(
            (BOX_WIDTH / 2) / abs(dx) if dx else float("inf"), (self.height / 2) / abs(dy) if dy else float("inf")
        )
        return x + dx * scale, y + dy * scale


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows.

    Attributes:
        title: What it shows, for who cannot see it.
        boxes: By their names.
        arrows: From, to, and what stands beside it.
    """

    title: str
    boxes: Mapping[str, Box]
    arrows: Sequence[tuple[str, str, str]]


ROW_DIAGRAM = Diagram(
    "A row's way: cell, input, stored answer or request, answer, prediction",
    {
        "cell": Box(0, 0, ("A row's cell", "NULL and blank are", "never sent")),
        "input": Box(1, 0, ("An input", "equal rows are one")),
        "store": Box(2, 0, ("The answer store", "asked before?")),
        "failure": Box(0, 1, ("A failure", "gets a kind")),
        "wait": Box(1, 1, ("It waits", "for a slot and a turn,", "with others in a list")),
        "row": Box(2, 1, ("Columns of the row", "prediction, confidence,", "explain"), "end"),
        "error": Box(0, 2, ("The row's error", "says why"), "end"),
        "server": Box(1, 2, ("The server", "sees one request"), "theirs"),
        "answer": Box(2, 2, ("An answer", "whose is which part", "is proved")),
    },
    [
        ("cell", "input", ""),
        ("input", "store", ""),
        ("input", "wait", "not stored"),
        ("store", "row", "stored"),
        ("wait", "server", ""),
        ("server", "answer", "200"),
        ("server", "failure", "else"),
        ("failure", "wait", "again, or in parts"),
        ("failure", "error", "for good"),
        ("answer", "row", "kept in the store too"),
    ],
)

FLOW_CONTROL_DIAGRAM = Diagram(
    "How requests are paced: one first, then more, a pause on a 429, a trial when the service is away",
    {
        "first": Box(0, 0, ("One request", "a wrong key costs", "no more")),
        "grow": Box(1, 0, ("More at once", "while answers stay", "as fast as alone")),
        "hold": Box(2, 0, ("Just under the limit", "slots and turns"), "end"),
        "stop": Box(0, 1, ("The query stops", "with one message"), "theirs"),
        "pause": Box(1, 1, ("Pause", "all requests of", "the route")),
        "away": Box(2, 1, ("The service is away", "one request at a time", "tries it")),
    },
    [
        ("first", "grow", "answered"),
        ("first", "stop", "refused"),
        ("grow", "hold", ""),
        ("grow", "pause", "429"),
        ("hold", "pause", "429"),
        ("hold", "away", "5xx only"),
        ("away", "pause", "asks to wait"),
    ],
)

ANSWER_STORE_DIAGRAM = Diagram(
    "Two queries with an equal row: one claims it and asks, the other finds the stored answer",
    {
        "one": Box(0, 0, ("Query A", "claims the row's key")),
        "two": Box(0, 1, ("Query B", "has an equal row")),
        "store": Box(1, 0.5, ("The store", "a file, or one Redis:", "keyed hashes, answers,", "claims of 5 s")),
        "server": Box(2, 0, ("The server", "is asked once"), "theirs"),
        "rows": Box(2, 1, ("Rows of both", "have their prediction"), "end"),
    },
    [
        ("one", "store", "claim"),
        ("one", "server", "one request"),
        ("server", "store", "answer"),
        ("two", "store", "waits, finds"),
        ("store", "rows", ""),
    ],
)

SECURITY_DIAGRAM = Diagram(
    "Where the key may go: to the engine's endpoint or to Hugging Face, and to nothing that a cell or a model names",
    {
        "writer": Box(0, 0, ("Who writes SQL", "names models, tables,", "a model's endpoint")),
        "author": Box(0, 1, ("Who writes cells", "names media")),
        "engine": Box(1, 0, ("The engine", "holds the key")),
        "judge": Box(1, 1, ("Judged after DNS", "public addresses only")),
        "server": Box(2, 0, ("Engine's endpoint,", "or Hugging Face", "over HTTPS"), "end"),
        "other": Box(2, 1, ("Any other host", "gets no key"), "theirs"),
    },
    [
        ("writer", "engine", "asks"),
        ("writer", "judge", "endpoint"),
        ("author", "judge", ""),
        ("engine", "server", "key"),
        ("judge", "other", "no key"),
    ],
)

LAYERS_DIAGRAM = Diagram(
    "Folders of the package: each imports those right of it and below it, and none the other way",
    {
        "cli": Box(0, 0, ("cli, demo", "commands")),
        "homes": Box(1, 0, ("handler, sql,", "runners, distributed", "homes of SQL and tables")),
        "lifecycle": Box(2, 0, ("lifecycle", "CREATE, SELECT,", "DESCRIBE")),
        "runtime": Box(0, 1, ("inference/runtime", "a query, its requests")),
        "flow": Box(1, 1, ("flow_control, storage", "limits; what is stored")),
        "protocols": Box(2, 1, ("protocols", "one kind of server each")),
        "config": Box(0, 2, ("config", "arguments")),
        "tasks": Box(1, 2, ("tasks", "what an answer means")),
        "transport": Box(2, 2, ("media, transport", "bytes")),
    },
    [
        ("cli", "homes", ""),
        ("homes", "lifecycle", ""),
        ("lifecycle", "runtime", ""),
        ("runtime", "flow", ""),
        ("flow", "protocols", ""),
        ("protocols", "transport", ""),
        ("runtime", "config", ""),
        ("config", "tasks", ""),
    ],
)

DIAGRAMS = {
    "row": ROW_DIAGRAM,
    "flow_control": FLOW_CONTROL_DIAGRAM,
    "answer_store": ANSWER_STORE_DIAGRAM,
    "security": SECURITY_DIAGRAM,
    "layers": LAYERS_DIAGRAM,
}


def svg(diagram: Diagram) -> str:
    """Draw a diagram.

    Args:
        diagram: What to draw.

    Returns:
        An SVG file.
    """
    boxes = diagram.boxes.values()
    width = max(box.center[0] for box in boxes) + BOX_WIDTH / 2 + MARGIN
    height = max(box.center[1] + box.height / 2 for box in boxes) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label={quoteattr(diagram.title)} '
        'font-family="system-ui, sans-serif" font-size="13">',
        f"<title>{escape(diagram.title)}</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#546e7a"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#ffffff"/>',
        *(_arrow(diagram.boxes[start], diagram.boxes[end]) for start, end, _ in diagram.arrows),
        *(_box(box) for box in boxes),
        *(_label(diagram.boxes[start], diagram.boxes[end], text) for start, end, text in diagram.arrows if text),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(box: Box) -> str:
    (x, y), (ground, line) = box.center, _COLORS[box.kind]
    left, top = x - BOX_WIDTH / 2, y - box.height / 2
    text = "".join(
        f'<text x="{x:.0f}" y="{top + PADDING / 2 + LINE_HEIGHT * (number + 0.75):.1f}" text-anchor="middle" '
        f'fill="#263238"{" font-weight=" + quoteattr("bold") if number == 0 else ""}>{escape(line_)}</text>'
        for number, line_ in enumerate(box.lines)
    )
    return (
        f'<rect x="{left:.0f}" y="{top:.1f}" width="{BOX_WIDTH}" height="{box.height}" rx="6" fill="{ground}" '
        f'stroke="{line}" stroke-width="1.5"/>{text}'
    )


def _arrow(start: Box, end: Box) -> str:
    (x1, y1), (x2, y2) = start.edge(end.center), end.edge(start.center)
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#546e7a" stroke-width="1.5" '
        'marker-end="url(#tip)"/>'
    )


def _label(start: Box, end: Box, text: str) -> str:
    (x1, y1), (x2, y2) = start.edge(end.center), end.edge(start.center)
    return (
        f'<text x="{(x1 + x2) / 2:.1f}" y="{(y1 + y2) / 2 + 4:.1f}" text-anchor="middle" fill="#37474f" '
        f'stroke="#ffffff" stroke-width="4" paint-order="stroke">{escape(text)}</text>'
    )


def files() -> dict[Path, str]:
    """Draw all diagrams.

    Returns:
        Path -> SVG.
    """
    return {FOLDER / f"{name}.svg": svg(diagram) for name, diagram in DIAGRAMS.items()}


if __name__ == "__main__":
    sys.exit(run("python -m tools.diagrams", "Draw the diagrams of docs/explanation.", files()))
