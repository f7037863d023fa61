"""What a block printed, compared with what the page shows."""

from __future__ import annotations

import re

ANYTHING = "\N{HORIZONTAL ELLIPSIS}"
"""In a page: any characters of a line. Alone on a line: any lines, also none."""

_RULE = re.compile(r"\s*-+(?:   -+)*")
_TIME = re.compile(r"\d[\d,]*(?:\.\d+)? m?s\b")
_REQUESTS = re.compile(r"\d+ requests?\b")
_NUMBER = re.compile(r"-?\d+\.\d+")

_OF_THE_DAY = {"seconds", "requests"}
"""Columns that are others each time."""

_TOLERANCE = 0.02
"""Of scores: other processors round the models' numbers otherwise."""


def is_alike(printed: str, shown: str) -> bool:
    """Whether two texts are the same but for times, requests, little differences in scores, and what the page leaves open."""
    if ANYTHING in [line.strip() for line in shown.splitlines()]:
        return _is_alike_around(printed, shown)
    ours, theirs = _comparable(printed), _comparable(shown)
    return len(ours) == len(theirs) and all(map(_is_alike, ours, theirs))


def _is_alike_around(printed: str, shown: str) -> bool:
    """The same where the page leaves out lines: what is before the first and behind the last such line is compared."""
    lines = shown.rstrip().splitlines()
    gaps = [number for number, line in enumerate(lines) if line.strip() == ANYTHING]
    before, after = lines[: gaps[0]], lines[gaps[-1] + 1 :]
    ours = printed.rstrip().splitlines()
    if len(ours) < len(before) + len(after):
        return False
    heads = is_alike("\n".join(ours[: len(before)]), "\n".join(before))
    return heads and is_alike("\n".join(ours[len(ours) - len(after) :]), "\n".join(after))


def _is_alike(ours: str, theirs: str) -> bool:
    if ANYTHING in theirs:
        return re.fullmatch(".*".join(map(re.escape, theirs.split(ANYTHING))), ours) is not None
    if _NUMBER.sub("#", ours) != _NUMBER.sub("#", theirs):
        return False
    pairs = zip(_NUMBER.findall(ours), _NUMBER.findall(theirs), strict=True)
    return all(abs(float(one) - float(other)) <= _TOLERANCE for one, other in pairs)


def _comparable(text: str) -> list[str]:
    """The cells of tables, and lines that are in none."""
    found: list[str] = []
    columns: list[tuple[str, int, int]] = []
    lines = text.rstrip().splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        if _RULE.fullmatch(following) and following.strip():
            columns = [(line[m.start() : m.end()].strip(), *m.span()) for m in re.finditer("-+", following)]
            found += [name for name, _, _ in columns]
        elif _RULE.fullmatch(line) and line.strip():
            continue
        elif columns and line.startswith("  "):
            found += ["" if name in _OF_THE_DAY else line[start:end].strip() for name, start, end in columns]
        else:
            columns = []
            found.append(_REQUESTS.sub("requests", _TIME.sub("s", line)).rstrip())
    return found
