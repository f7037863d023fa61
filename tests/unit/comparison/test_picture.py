"""The picture of a comparison: what it shows of whom, and that it is the same again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from huggingface_api_handler.comparison.picture import Point, best, save_picture
from huggingface_api_handler.comparison.picture_labels import Box, best_spot, spots
from huggingface_api_handler.errors import InputError

pytest.importorskip("matplotlib", reason="NOT TESTED: the extra plots is not installed")


def table(dollars: list[float | None], seconds: float | None = 2.0, *, has_truth: bool = True) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for number, price in enumerate(dollars):
        row: dict[str, Any] = {"model": f"owner/model-{number}", "usd_per_1000": price, "seconds_per_1000": seconds}
        for name in ("accuracy", "agreement"):
            is_measured = (name == "accuracy") == has_truth and (has_truth or number > 0)
            value = 0.8 + number / 20 if is_measured else None
            row |= {name: value, f"{name}_low": value and value - 0.1, f"{name}_high": value and value + 0.05}
        rows.append({**row, "answered": 50})
    out = pd.DataFrame(rows)
    out.attrs["comparison"] = {"reference": "owner/model-0", "has_truth": has_truth, "sample": list(range(50))}
    return out


def texts(drawn: pd.DataFrame, folder: Path) -> list[str]:
    save_picture(drawn, folder / "out.svg")
    return re.findall(r"<(?:text|tspan)[^>]*>([^<]+)</", (folder / "out.svg").read_text("utf-8"))


def test_each_model_is_named_beside_its_point(tmp_path: Path) -> None:
    found = texts(table([0.01, 1.5, 0.2]), tmp_path)
    assert {"Accuracy on 50 rows", "dollars for 1,000 inputs", "model-0", "80.0 %", "model-2", "90.0 %"} <= set(found)


def test_seconds_are_shown_and_said_where_no_dollars_are_known(tmp_path: Path) -> None:
    found = texts(table([None, None]), tmp_path)
    assert "seconds for 1,000 inputs (what they cost in dollars is unknown)" in found
    assert not any("$" in text for text in found)


def test_a_model_of_unknown_cost_stands_apart_and_not_at_zero(tmp_path: Path) -> None:
    assert "dollars unknown" in texts(table([0.5, None]), tmp_path)
    assert "dollars and seconds are unknown: nothing was asked" in texts(table([None, None], None), tmp_path)


def test_agreement_is_shown_without_a_truth(tmp_path: Path) -> None:
    found = texts(table([0.5, 0.1], has_truth=False), tmp_path)
    assert {"Agreement with model-0 on 50 rows", "model-0 (the reference)", "100.0 %"} <= set(found)


def test_a_model_that_is_missing_is_said(tmp_path: Path) -> None:
    drawn = table([0.5, 0.1])
    drawn.loc[1, "accuracy"] = None
    assert "1 model is not shown, without an answer that could be measured" in texts(drawn, tmp_path)
    drawn.loc[0, "accuracy"] = None
    with pytest.raises(InputError, match="no model was measured"):
        save_picture(drawn, tmp_path / "out.svg")


@pytest.mark.parametrize("name", ["out.svg", "out.png"])
def test_the_same_comparison_is_the_same_file(tmp_path: Path, name: str) -> None:
    content = []
    for _ in range(2):
        save_picture(table([0.01, 1.5, None]), tmp_path / name)
        content.append((tmp_path / name).read_bytes())
    assert content[0] == content[1]
    assert content[0].startswith((b"<?xml", b"\x89PNG"))


def test_the_best_are_those_that_no_other_beats_for_less() -> None:
    points = [
        Point(name, cost, value, 0.0, 1.0)
        for name, cost, value in (("a", 1.0, 0.8), ("b", 1.0, 0.7), ("c", 2.0, 0.8), ("d", 3.0, 0.9), ("e", None, 1.0))
    ]
    assert [point.name for point in best(points)] == ["a", "d"]


def test_a_name_covers_neither_a_bar_nor_the_edge() -> None:
    boxes = {spot: spot.box(100, 100, 50, 20, 1.0) for spot in spots()}
    inside = Box(0, 0, 160, 200)
    assert best_spot(boxes, [], Box(0, 0, 300, 200)).across == 1  # right of it, where there is room
    assert best_spot(boxes, [], inside).across == 1
    assert best_spot(boxes, [], Box(0, 0, 140, 200))[:2] == (-1, 0)
    chosen = boxes[best_spot(boxes, [Box(105, 0, 115, 200), Box(40, 90, 95, 110)], inside)]
    assert chosen.common(Box(105, 0, 115, 200)) == chosen.common(Box(40, 90, 95, 110)) == 0


def test_a_name_with_dollars_is_no_formula(tmp_path: Path) -> None:
    drawn, name = table([0.01, 1.5]), "$x^{ or $y"
    drawn["model"] = [name, "b"]
    drawn.attrs["comparison"]["reference"] = name
    assert name in texts(drawn, tmp_path)
