"""Which rows are drawn, and how labels are read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from huggingface_api_handler.comparison.labels import MAX_LABELS, Labels
from huggingface_api_handler.comparison.sample import draw, usable_rows
from huggingface_api_handler.errors import InputError

ROWS = [(f"text {number}",) for number in range(500)]


def drawn(rows: list[tuple[str]], size: int, seed: str = "") -> set[tuple[str]]:
    positions = draw(rows, size, seed)
    assert len(positions) == len(set(positions)) == size
    return {rows[place] for place in positions}


def test_the_same_rows_are_drawn_again_whatever_their_order() -> None:
    assert drawn(ROWS, 50) == drawn(ROWS[::-1], 50)
    assert draw(ROWS, 50, "") == sorted(draw(ROWS, 50, ""))


def test_a_larger_sample_holds_the_smaller_one() -> None:
    assert drawn(ROWS, 50) < drawn(ROWS, 80)


def test_more_rows_replace_few_of_a_sample() -> None:
    more = [*ROWS, *((f"other {number}",) for number in range(50))]
    assert len(drawn(ROWS, 50) & drawn(more, 50)) >= 38


def test_another_seed_draws_other_rows() -> None:
    assert len(drawn(ROWS, 50) & drawn(ROWS, 50, "again")) < 20


def test_equal_rows_are_drawn_each_for_itself() -> None:
    rows = [("same",)] * 300 + [(f"{number}",) for number in range(300)]
    equal = sum(place < 300 for place in draw(rows, 200, ""))
    assert 75 < equal < 125


def test_all_rows_are_drawn_where_there_are_no_more() -> None:
    assert draw(ROWS[:3], 3, "") == draw(ROWS[:3], 200, "") == draw(ROWS[:3], None, "") == [0, 1, 2]


def test_rows_without_a_value_are_not_usable() -> None:
    table = pd.DataFrame({"text": ["a", None, " ", "d", "e"], "label": pd.Series([1, 2, 3, None, 5], dtype="Int64")})
    assert usable_rows(table, ["text", "label"]) == [0, 4]
    assert usable_rows(table, ["text"]) == [0, 3, 4]
    assert usable_rows(table, []) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("cell", "label"),
    [
        ("Positive", "positive"),
        (" LABEL_1 ", "positive"),
        ("very\n bad", "negative"),
        ("Other One", "other one"),
        (1, "1"),
        (1.0, "1"),
        (0.5, "0.5"),
        (np.True_, "true"),
        (None, None),
        (float("nan"), None),
        ("  ", None),
    ],
)
def test_a_cell_is_read_as_a_label(cell: object, label: str | None) -> None:
    assert Labels({"positive": "label_1", "negative": ["Very Bad"]}).read(cell) == label


def test_a_name_of_two_labels_is_refused() -> None:
    with pytest.raises(InputError, match="'POS' means 'positive' and 'post'"):
        Labels({"positive": ["pos"], "post": "POS"})


def test_models_are_told_the_labels_of_the_truth_in_its_spelling() -> None:
    assert Labels(None).among(["B", "a", "b", None, "A "]) == ["B", "a"]
    assert Labels(["x"]).among(["B"]) == ["x"]
    assert Labels(None).among(map(str, range(MAX_LABELS))) != []
    assert Labels(None).among(map(str, range(MAX_LABELS + 1))) == []
