"""Which rows are asked about: the same ones again, as long as they are in the table."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import pandas as pd

_DIGEST_BYTES = 8


def draw(rows: Sequence[Sequence[object]], size: int | None, seed: str) -> list[int]:
    """Draw rows without replacement.

    Each row has a keyed hash of what it holds, and those with the least are drawn. So the same rows are drawn whatever
    the order of the table, a larger sample holds a smaller one, and more rows replace few of them: stored answers count
    (E. Cohen, H. Kaplan, "Summarizing data using bottom-k sketches", PODC 2007).

    Args:
        rows: The cells of each row.
        size: How many to draw; None for all.
        seed: Any text. Another one draws another sample.

    Returns:
        The positions of the rows, in the order of the table.
    """
    if size is None or size >= len(rows):
        return list(range(len(rows)))
    key = hashlib.blake2b(seed.encode()).digest()
    seen: Counter[bytes] = Counter()
    hashes = []
    for position, row in enumerate(rows):
        content = "\x1f".join(map(str, row)).encode("utf-8", "surrogatepass")
        seen[content] += 1  # equal rows are drawn each for itself
        number = seen[content].to_bytes(_DIGEST_BYTES, "big")
        hashes.append((hashlib.blake2b(number + content, digest_size=_DIGEST_BYTES, key=key).digest(), position))
    return sorted(position for _, position in sorted(hashes)[:size])


def usable_rows(table: pd.DataFrame, columns: Sequence[str]) -> list[int]:
    """Find the rows that can be asked about.

    Args:
        table: The table.
        columns: Those that need a value.

    Returns:
        The positions of the rows in which each of them has one; where none is named, in which any column has one. NULL,
        NaN and texts of spaces are none, and no model is sent them.
    """
    every = [table[name] for name in columns] or [series for _, series in table.items()]
    has_all = all if columns else any
    values = [[not (missing or (isinstance(cell, str) and not cell.strip()))
               for cell, missing in zip(series.tolist(), series.isna().tolist(), strict=True)]
              for series in every]  # fmt: skip
    return [position for position, row in enumerate(zip(*values, strict=True)) if has_all(row)]
