"""Film reviews for ``bench.semantic``: those of SemBench, or a like table with a seed; and what others paid."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from .baselines import review_text

FEW_POSITIVE_FILM = "taken_3"
"""The film of queries 2 to 4 and 8: 14 of its 120 reviews are positive."""
PAIRED_FILM = "ant_man_and_the_wasp_quantumania"
"""The film of queries 5 to 7 and 9: 256 reviews, each of them twice."""
COLUMNS = ["movie", "review_id", "text", "original_score", "sentiment"]
OTHER_FILMS = 103
LARGEST_OTHER_FILM = 54
OTHER_FILM_RATIO = 0.9671
"""Each of the other films has so many times the reviews of the one before it."""
OTHER_POSITIVE_SHARE = 0.823
LEAST_REVIEWS = 4
"""Of a film."""
EMPTY_TEXTS = 24
"""Reviews without a text in the table with a seed, of every kind: NULL, empty, spaces. SemBench's has none."""


class Paid(NamedTuple):
    """What a system needed for a query.

    Attributes:
        seconds: From the query to its answer.
        dollars: For its tokens.
        quality: F1 (queries 1, 2, 5 to 7), 1 minus the relative error (3, 4, 8) or Spearman's correlation (9, 10).
    """

    seconds: float
    dollars: float
    quality: float


_PAID = """
     bigquery            lotus               palimpzest           thalamusdb
Q1   26.3 0.0471 1.00    37.0 0.0869 1.00    4.4 0.0012 1.00      3.9 0.0004 0.95
Q2   9.5 0.0030 1.00     3.0 0.0051 1.00     31.5 0.0068 1.00     1.8 0.0015 0.92
Q3   10.9 0.0031 0.43    3.1 0.0049 0.43     4.0 0.0092 0.43      3.6 0.0023 0.64
Q4   11.4 0.0031 0.43    5.7 0.0050 0.43     6.5 0.0188 0.64      4.4 0.0023 0.64
Q5   54.5 1.0067 0.84    520.0 2.1168 0.67   2.0 0.0119 0.32      2.3 0.0012 1.00
Q6   54.7 1.0004 0.63    459.3 1.7834 0.67   2.6 0.0119 0.78      1.8 0.0009 0.85
Q7   170.8 3.2579 0.70   469.8 1.7863 0.20   1294.0 7.7187 0.68   622.2 0.1517 0.57
Q8   10.9 0.0031 0.68    3.0 0.0040 0.92     4.8 0.0185 0.84      6.9 0.0046 0.80
Q9   13.2 0.0178 0.78    6.1 0.0178 0.75     5.7 0.0497 0.78      - - -
Q10  39.1 0.1316 0.44    37.1 0.1303 0.40    44.3 0.3792 0.42     - - -
"""
"""Seconds, dollars and quality with Gemini 2.5 Flash, as https://github.com/SemBench/SemBench published them."""


def published() -> dict[str, dict[str, Paid]]:
    """What the four published systems needed: by query, then by system. A query that failed is left out."""
    names, *lines = _PAID.strip().splitlines()
    systems = names.split()
    table: dict[str, dict[str, Paid]] = {}
    for line in lines:
        query, *cells = line.split()
        triples = [cells[at : at + 3] for at in range(0, len(cells), 3)]
        table[query] = {
            system: Paid(*map(float, triple))
            for system, triple in zip(systems, triples, strict=True)
            if triple[0] != "-"
        }
    return table


def read_reviews(folder: Path) -> pd.DataFrame:
    """The reviews of SemBench's film scenario.

    Args:
        folder: It has ``reviews.csv`` with ``COLUMNS``.
    """
    return pd.read_csv(folder / "reviews.csv", usecols=COLUMNS, keep_default_na=False, na_values={"original_score": ""})


def make_reviews(seed: int = 0) -> pd.DataFrame:
    """A table like SemBench's: films of the same sizes and shares of sentiment, duplicates, and some empty texts.

    Args:
        seed: Tables of another seed have other texts, in another order.

    Returns:
        2,000 rows of ``COLUMNS``.
    """
    chance = random.Random(seed)
    rows: list[list[object]] = []
    for film, texts, positive, times in _films():
        for number in range(texts):
            is_positive = number < positive
            score = chance.choice(("3", "4", "5") if is_positive else ("1", "2", "3"))
            sentiment = "POSITIVE" if is_positive else "NEGATIVE"
            review = [film, 1000 + len(rows), review_text(seed, len(rows)), f"{score}/5", sentiment]
            rows += [review] * times
    chance.shuffle(rows)
    others = [at for at, row in enumerate(rows) if row[0] not in (FEW_POSITIVE_FILM, PAIRED_FILM)]
    for at, empty in zip(chance.sample(others, EMPTY_TEXTS), (None, "", "  ") * EMPTY_TEXTS, strict=False):
        rows[at] = [*rows[at][:2], empty, *rows[at][3:]]
    return pd.DataFrame(rows, columns=COLUMNS)


def _films() -> list[tuple[str, int, int, int]]:
    """Each film's name, its reviews, how many of them are positive, and how often each is in the table."""
    films = [(PAIRED_FILM, 128, 66, 2), (FEW_POSITIVE_FILM, 118, 14, 1), (FEW_POSITIVE_FILM, 1, 0, 2)]
    for number in range(OTHER_FILMS):
        reviews = max(LEAST_REVIEWS, round(LARGEST_OTHER_FILM * OTHER_FILM_RATIO**number))
        films.append((f"film_{number}", reviews, round(reviews * OTHER_POSITIVE_SHARE), 1))
    return films


_GRADES = {"A": 5.0, "B": 4.0, "C": 3.0, "D": 2.0, "F": 1.0}
_OF = re.compile(r"([\d.]+) ?(?:/|of) ?([\d.]+)")


def stars(original_score: str | None) -> float | None:
    """What a reviewer gave, on a scale from 1 to 5.

    Args:
        original_score: As it was written, such as '3/4', '75/100' or 'B+'.

    Returns:
        The stars; None where it has no scale.

    >>> stars("3/4"), stars("B+"), stars("Recommended")
    (4.0, 4.33, None)
    """
    if not isinstance(original_score, str):
        return None
    written = original_score.strip()
    if (found := _OF.fullmatch(written)) and float(found[2]) > 0:
        return 1 + 4 * float(found[1]) / float(found[2])
    if (grade := _GRADES.get(written[:1])) is not None and written[1:] in ("", "+", "-"):
        return min(5.0, grade + {"": 0.0, "+": 0.33, "-": -0.33}[written[1:]])
    return None
