"""The blocks of a page in Markdown: which of them run, in which home, and what they print.

Before each block of ``sql``, ``python`` or ``sh`` stands a mark, in a comment that no reader sees::

    <!-- run: embedded mindsdb -->
    <!-- skip: it wants a GPU -->

``run`` names homes. ``embedded`` is SQL in one's own process, ``mindsdb`` is MindsDB; Python and shell run in the
environment of the home. ``dask``, ``ray`` and ``spark`` are the environments of these engines. ``skip`` says why a block
does not run. A block of ``text``, or of no language, right behind a block that runs is what it prints.

A comment may also prepare what a page takes for granted. It runs at its place, as a block would::

    <!-- setup: embedded mindsdb
    CREATE ML_ENGINE hf FROM huggingface_api USING endpoint = 'http://127.0.0.1:8900/models';
    -->

``setup python`` does the same in Python. Of the whole page, ``<!-- tables: reviews mails -->`` names tables that are
there, and ``<!-- service: stand-in -->`` says that a stand-in answers and not the local server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOMES = ("embedded", "mindsdb", "dask", "ray", "spark")
LANGUAGES = {"sql": "sql", "python": "python", "py": "python", "sh": "sh", "bash": "sh", "shell": "sh", "console": "sh"}
"""Of blocks that run, by the word behind the fence."""

_OUTPUTS = ("", "text")
_LEAST_REASON_CHARS = 10

_PART = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n`]*\n(?P<text>.*?)^(?P=indent)```[ ]*$"
    r"|^ *<!-- (?P<word>run|skip|setup|setup python|tables|service): *(?P<said>.*?)[ ]*-->[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block that runs, or does not and says why.

    Attributes:
        language: ``sql``, ``python`` or ``sh``.
        text: Without its indentation.
        line: Of its fence, from 1; of its mark, where the block is a setup.
        homes: Where it runs.
        reason: Why it does not run; "" where it does.
        printed: What it prints; None where the page does not say it.
        span: Where that is in the page.
        indent: Of the fence.
    """

    language: str
    text: str
    line: int
    homes: tuple[str, ...]
    reason: str = ""
    printed: str | None = None
    span: tuple[int, int] = (0, 0)
    indent: str = ""


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        path: Of the file.
        text: Of the file.
        blocks: In order.
        faults: Blocks without a mark, and marks that cannot be read.
        tables: That are there before the first block.
        service: ``local``, or ``stand-in``.
        answers: The name of the answers of its own that the stand-in gives; "" for none.
    """

    path: Path
    text: str
    blocks: tuple[Block, ...]
    faults: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    service: str = "local"
    answers: str = ""

    @property
    def name(self) -> str:
        """The path from the top of the checkout."""
        return self.path.relative_to(ROOT).as_posix() if self.path.is_relative_to(ROOT) else self.path.name

    def of(self, home: str) -> list[Block]:
        """The blocks that run in a home, in order."""
        return [block for block in self.blocks if home in block.homes]


def page_paths() -> list[Path]:
    """README, and every page below docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def read_page(path: Path) -> Page:
    """Read a page from its file."""
    return parse_page(path.read_text("utf-8"), path)


def pages_of(home: str) -> list[Page]:
    """The pages with a block that runs in a home."""
    return [page for page in map(read_page, page_paths()) if page.of(home)]


def parse_page(text: str, path: Path) -> Page:
    """Find the blocks of a page.

    Args:
        text: In Markdown.
        path: Of the file.

    Returns:
        The page, with what is wrong with its marks in ``faults``.
    """
    reader = _Reader(text, path)
    for part in _PART.finditer(text):
        reader.read(part)
    return reader.page()


_HOW_TO_MARK = (
    f"Write a line before it: <!-- run: HOMES --> with some of {', '.join(HOMES)}, "
    "or <!-- skip: why it does not run -->"
)


class _Reader:
    """Reads the parts of a page one after another."""

    def __init__(self, text: str, path: Path) -> None:
        self._text, self._path = text, path
        self._blocks: list[Block] = []
        self._faults: list[str] = []
        self._of_page: dict[str, str] = {}
        self._mark: re.Match[str] | None = None
        self._end_of_block = -1  # of a block that may have an output behind it

    def page(self) -> Page:
        """What was read, once all is."""
        self._has_no_block()
        service, _, answers = self._of_page.get("service", "local").partition(" ")
        if service not in ("local", "stand-in"):
            self._faults.append(f"{self._path.name}: service is {service!r}, and may be local or stand-in")
        tables = tuple(self._of_page.get("tables", "").split())
        return Page(self._path, self._text, tuple(self._blocks), tuple(self._faults), tables, service, answers)

    def read(self, part: re.Match[str]) -> None:
        """Read a mark, a block, or a comment."""
        line = self._text.count("\n", 0, part.start()) + 1
        if part["language"] in LANGUAGES:
            self._block(part, line)
            return
        self._has_no_block()
        if part["word"] in ("run", "skip"):
            self._mark = part
        elif part["word"] in ("tables", "service"):
            self._of_page[part["word"]] = part["said"]
        elif part["word"]:
            names, _, code = part["said"].partition("\n")
            language = "python" if part["word"] == "setup python" else "sql"
            self._blocks.append(Block(language, code, line, self._homes(names, line)))
        elif part["language"] in _OUTPUTS and self._end_of_block >= 0 and self._is_right_behind(part):
            printed = _without(part["indent"], part["text"])
            block = replace(self._blocks[-1], printed=printed, span=part.span("text"), indent=part["indent"])
            self._blocks[-1] = block
            self._end_of_block = -1

    def _block(self, part: re.Match[str], line: int) -> None:
        mark, self._mark = self._mark, None
        homes: tuple[str, ...] = ()
        reason = ""
        if mark is None or self._text[mark.end() : part.start()].strip():
            self._is_wrong(line, f"this block of {part['language']} has no mark. {_HOW_TO_MARK}")
        elif mark["word"] == "run":
            homes = self._homes(mark["said"], line)
        else:
            reason = mark["said"]
            if len(reason) < _LEAST_REASON_CHARS:
                self._is_wrong(line, f"say why this block is skipped, and not only {reason!r}")
        language = LANGUAGES[part["language"]]
        self._blocks.append(Block(language, _without(part["indent"], part["text"]), line, homes, reason))
        self._end_of_block = part.end()

    def _homes(self, names: str, line: int) -> tuple[str, ...]:
        homes = tuple(names.split())
        if not homes or not set(homes) <= set(HOMES):
            self._is_wrong(line, f"{names!r} names no home. Homes are {', '.join(HOMES)}")
        return homes

    def _is_right_behind(self, part: re.Match[str]) -> bool:
        return not self._text[self._end_of_block : part.start()].strip()

    def _has_no_block(self) -> None:
        if self._mark is not None:
            line = self._text.count("\n", 0, self._mark.start()) + 1
            self._is_wrong(line, f"this mark stands before no block: {self._mark[0]}")
        self._mark = None

    def _is_wrong(self, line: int, words: str) -> None:
        self._faults.append(f"{self._path.name}, line {line}: {words}")


def _without(indent: str, text: str) -> str:
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


def skipped(pages: Iterable[Page]) -> list[str]:
    """Say which blocks are skipped, and for which reason.

    Args:
        pages: Of which it is said.

    Returns:
        A line for each reason.
    """
    reasons: dict[str, list[str]] = {}
    for page in pages:
        for block in page.blocks:
            if block.reason:
                reasons.setdefault(block.reason, []).append(f"{page.name}:{block.line}")
    return [f"{', '.join(where)}: {reason}" for reason, where in reasons.items()]
